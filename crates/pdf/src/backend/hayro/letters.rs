//! Which letters the glyphs of a page stand for, for those that pdfboss cannot name: where the file does not say, the
//! font's own table of characters often does.

use std::collections::HashMap;

use hayro::hayro_interpret::font::{Glyph, GlyphRun, OutlineGlyph};
use hayro::hayro_interpret::hayro_cmap::BfString;
use hayro::hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps, InterpreterCache,
    InterpreterSettings, SoftMask, interpret_page,
};
use hayro::kurbo::{Affine, BezPath, Point, Rect};
use skrifa::{FontRef, MetadataProvider};

use super::Hayro;

/// More glyphs than fit on any page.
const MAX_GLYPHS: usize = 200_000;
/// Places that differ by less than this, in points, are one.
const SAME_PLACE: f32 = 0.5;

/// The letters of a page by the places of their glyphs, in the page's own coordinates.
#[derive(Default)]
pub(in crate::backend) struct Letters {
    cells: HashMap<(i64, i64), Vec<Letter>>,
    count: usize,
}

/// What one glyph stands for, and where it begins.
struct Letter {
    x: f32,
    y: f32,
    text: String,
}

impl Letters {
    /// What the glyph at a place stands for.
    pub(in crate::backend) fn at(&self, x: f32, y: f32) -> Option<&str> {
        let (column, row) = cell(x, y);
        let near = (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (column + dx, row + dy)));
        let distance = |letter: &Letter| (letter.x - x).abs().max((letter.y - y).abs());
        near.filter_map(|cell| self.cells.get(&cell))
            .flatten()
            .map(|letter| (distance(letter), letter))
            .filter(|(distance, _)| *distance < SAME_PLACE)
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, letter)| letter.text.as_str())
    }

    fn add(&mut self, place: Point, text: String) {
        #[allow(clippy::cast_possible_truncation)]
        let (x, y) = (place.x as f32, place.y as f32);
        if self.count < MAX_GLYPHS && x.is_finite() && y.is_finite() {
            self.cells.entry(cell(x, y)).or_default().push(Letter { x, y, text });
            self.count += 1;
        }
    }
}

fn cell(x: f32, y: f32) -> (i64, i64) {
    #[allow(clippy::cast_possible_truncation)]
    let index = |value: f32| (value / SAME_PLACE).floor() as i64;
    (index(x), index(y))
}

impl Hayro {
    /// The letters of a page, counted from 1.
    pub(in crate::backend) fn letters(&self, number: u32) -> Letters {
        let Some(page) = number.checked_sub(1).and_then(|index| self.document.pages().get(index as usize)) else {
            return Letters::default();
        };
        let everywhere = Rect::new(-1e9, -1e9, 1e9, 1e9);
        let cache = InterpreterCache::new();
        let settings = InterpreterSettings::default();
        let mut context = Context::new(Affine::IDENTITY, everywhere, &cache, page.xref(), settings);
        let mut collector = Collector::default();
        interpret_page(page, &mut context, &mut collector);
        collector.letters
    }
}

/// Takes down glyphs and draws nothing.
#[derive(Default)]
struct Collector {
    letters: Letters,
    /// Fonts by their key: which character each glyph shows.
    fonts: HashMap<u128, HashMap<u32, char>>,
}

impl Collector {
    fn text(&mut self, glyph: &Glyph<'_>) -> Option<String> {
        let said = match glyph.as_unicode() {
            Some(BfString::Char(c)) => Some(c.to_string()),
            Some(BfString::String(text)) => Some(text),
            None => None,
        };
        let means_something = |text: &String| !text.is_empty() && !text.contains(['\u{FFFD}', '\0']);
        said.filter(means_something).or_else(|| match glyph {
            Glyph::Outline(glyph) => self.of_font(glyph).map(String::from),
            Glyph::Type3(_) => None,
        })
    }

    /// What the font's table says of a glyph.
    fn of_font(&mut self, glyph: &OutlineGlyph) -> Option<char> {
        let font = glyph.font_data()?;
        let characters = self.fonts.entry(font.cache_key).or_insert_with(|| {
            let Ok(font) = FontRef::new(font.data.as_ref().as_ref()) else { return HashMap::new() };
            let mut characters = HashMap::new();
            for (code, glyph) in font.charmap().mappings() {
                if let Some(c) = char::from_u32(code).filter(|c| !c.is_control()) {
                    characters.entry(glyph.to_u32()).or_insert(c);
                }
            }
            characters
        });
        characters.get(&glyph.glyph_id().to_u32()).copied()
    }
}

impl<'a> Device<'a> for Collector {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, _: &DrawMode) {
        for glyph in run.glyphs() {
            if let Some(text) = self.text(glyph) {
                self.letters.add(props.transform * glyph.transform() * Point::ORIGIN, text);
            }
        }
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'a>, _: &DrawMode) {}
    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn draw_image(&mut self, _: Image<'a, '_>, _: ImageDrawProps<'a>) {}
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_found_by_their_place() {
        let mut letters = Letters::default();
        letters.add(Point::new(10.0, 20.0), "a".into());
        letters.add(Point::new(10.4, 20.0), "b".into());
        letters.add(Point::new(f64::NAN, 20.0), "c".into());
        assert_eq!(letters.at(10.1, 20.1), Some("a"));
        assert_eq!(letters.at(10.3, 19.9), Some("b"));
        assert_eq!(letters.at(11.0, 20.0), None);
    }
}
