//! From blocks and pictures to the zones of a page.
//!
//! Pure: the same layout gives the same zones, but for the time measured. Decides what is a figure, what is a scan, and
//! how far each zone is to be trusted.

use std::time::{Duration, Instant};

use crate::artifact::{Bbox, Cell, Item, Kind, PageArtifact, Status, VERSION, Zone};
use crate::backend::{Block, Content, Image, Layout, Line, Ruled};
use crate::text::{clean, join, squeeze, unreadable_share};

/// The note on every scan while there is no engine.
pub const NO_OCR: &str = "no OCR engine is configured; this region was not read";
/// The tool of everything read from the text of the file.
pub const TEXT_LAYER: &str = "text-layer";
/// The tool of placed pictures.
pub const IMAGE: &str = "image";
/// The tool of what was not read.
pub const NO_TOOL: &str = "none";

/// Pictures smaller than this, in points either way, are ornaments.
const MIN_FIGURE: f64 = 24.0;
/// Pictures closer than this are strips of one.
const STRIP_GAP: f64 = 1.0;
/// More pictures than this are a drawing made of dots; only the largest are looked at.
const MAX_IMAGES: usize = 400;
/// Fewer characters than this do not make a page of text.
const SCAN_MAX_CHARS: usize = 10;
/// A picture over more than this share of the page is a scan, when there is no text.
const SCAN_MIN_COVER: f64 = 0.5;
/// A picture over more than this share of the page is its background, when there is text.
const BACKGROUND_COVER: f64 = 0.85;
/// Share of unreadable characters from which a page gets a warning.
const UNREADABLE_WARNING: f64 = 0.2;
/// Each lost part of a page costs this much confidence, up to four of them.
const LOSS_PENALTY: f64 = 0.1;

/// How far a kind of zone is to be trusted when every character is readable.
const TABLE_DRAWN: f64 = 0.9;
const TABLE_GUESSED: f64 = 0.6;
const HEADING: f64 = 0.95;
const EARLIER_OCR: f64 = 0.8;

/// Makes the zones of a page; `begun` is told of each one as its work begins.
pub fn page(number: u32, layout: Layout, reading: Duration, mut begun: impl FnMut(&Zone)) -> PageArtifact {
    let start = Instant::now();
    let frame = Bbox { x0: 0.0, y0: 0.0, x1: layout.width, y1: layout.height };
    let penalty = LOSS_PENALTY * layout.losses.len().min(4) as f64;
    let chars: usize = layout.blocks.iter().map(weight).sum();
    let mut zones = Vec::with_capacity(layout.blocks.len());
    for block in &layout.blocks {
        let mut zone = empty(block.bbox.clipped(&frame), kind(&block.content));
        number_zone(&mut zone, number, zones.len());
        begun(&zone);
        let own = Instant::now();
        fill(&mut zone, block, penalty);
        let share = weight(block) as f64 / chars.max(1) as f64;
        zone.duration_ms = millis(own.elapsed() + reading.mul_f64(share));
        if !zone.text.is_empty() {
            zones.push(zone);
        }
    }
    place_pictures(&mut zones, &layout.images, &frame, chars);
    let mut warnings = layout.losses;
    if unreadable_share(&zones.iter().map(|zone| zone.text.as_str()).collect::<String>()) > UNREADABLE_WARNING {
        warnings.push(
            "much of the text has no readable characters: the file does not say which letters its fonts draw".into(),
        );
    }
    let mut page = PageArtifact {
        version: VERSION,
        number,
        width: layout.width,
        height: layout.height,
        duration_ms: millis(reading + start.elapsed()),
        zones,
        warnings,
        unreadable: false,
    };
    renumber(&mut page);
    page
}

fn empty(bbox: Bbox, kind: Kind) -> Zone {
    Zone {
        id: String::new(),
        index: 0,
        kind,
        bbox,
        tool: TEXT_LAYER.into(),
        status: Status::Completed,
        confidence: 0.0,
        duration_ms: 0.0,
        note: String::new(),
        text: String::new(),
        level: None,
        preformatted: false,
        items: Vec::new(),
        rows: Vec::new(),
        pixels: None,
    }
}

fn kind(content: &Content) -> Kind {
    match content {
        Content::Heading(..) => Kind::Heading,
        Content::Paragraph(_) | Content::Preformatted(_) => Kind::Paragraph,
        Content::List(_) => Kind::List,
        Content::Table(..) => Kind::Table,
        Content::Header(_) => Kind::Header,
        Content::Footer(_) => Kind::Footer,
    }
}

/// Writes text and confidence.
fn fill(zone: &mut Zone, block: &Block, penalty: f64) {
    let mut trust = if block.invisible { EARLIER_OCR } else { 1.0 };
    match &block.content {
        Content::Heading(level, lines) => {
            zone.level = Some((*level).clamp(1, 6));
            zone.text = joined(lines);
            trust *= HEADING;
        }
        Content::Paragraph(lines) | Content::Header(lines) | Content::Footer(lines) => zone.text = joined(lines),
        Content::Preformatted(lines) => {
            zone.preformatted = true;
            zone.text = preformatted(lines);
        }
        Content::List(items) => {
            zone.items = items
                .iter()
                .map(|item| Item { number: item.number, text: joined(&item.lines) })
                .filter(|item| !item.text.is_empty())
                .collect();
            zone.text = zone.items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join("\n");
        }
        Content::Table(rows, ruled) => {
            zone.rows = table(rows);
            let row = |row: &Vec<Cell>| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join("\t");
            zone.text = zone.rows.iter().map(row).collect::<Vec<_>>().join("\n");
            trust *= match ruled {
                Ruled::Drawn => TABLE_DRAWN,
                Ruled::Guessed => TABLE_GUESSED,
            };
        }
    }
    zone.confidence = round((trust * (1.0 - unreadable_share(&zone.text)) - penalty).clamp(0.0, 1.0));
}

fn joined(lines: &[Line]) -> String {
    join(lines.iter().map(|line| line.text.as_str()))
}

/// Line ends kept, indents made of spaces: a character of fixed pitch is about 0.6 of the size of type wide.
fn preformatted(lines: &[Line]) -> String {
    let left = lines.iter().map(|line| line.x).fold(f64::INFINITY, f64::min);
    let line = |line: &Line| {
        let columns = ((line.x - left) / (line.size * 0.6).max(1.0)).round().clamp(0.0, 120.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let indent = " ".repeat(columns as usize);
        format!("{indent}{}", clean(&line.text).trim_end())
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Cells cleaned; rows and columns without any text left out where nothing spans them.
fn table(rows: &[Vec<crate::backend::TableCell>]) -> Vec<Vec<Cell>> {
    let cell = |cell: &crate::backend::TableCell| Cell {
        text: squeeze(&clean(&cell.text)),
        colspan: cell.colspan.max(1),
        rowspan: cell.rowspan.max(1),
    };
    let mut rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let plain = rows.iter().flatten().all(|cell| cell.colspan == 1 && cell.rowspan == 1);
    if plain {
        rows.retain(|row| row.iter().any(|cell| !cell.text.is_empty()));
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        for column in (0..columns).rev() {
            if rows.iter().all(|row| row.get(column).is_none_or(|cell| cell.text.is_empty())) {
                rows.iter_mut().for_each(|row| {
                    if column < row.len() {
                        row.remove(column);
                    }
                });
            }
        }
    }
    rows
}

/// Characters of a block, a measure of the work it was.
fn weight(block: &Block) -> usize {
    let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
    let of_lines = |lines: &[Line]| lines.iter().map(|line| visible(&line.text)).sum();
    match &block.content {
        Content::Heading(_, lines)
        | Content::Paragraph(lines)
        | Content::Preformatted(lines)
        | Content::Header(lines)
        | Content::Footer(lines) => of_lines(lines),
        Content::List(items) => items.iter().map(|item| of_lines(&item.lines)).sum(),
        Content::Table(rows, _) => rows.iter().flatten().map(|cell| visible(&cell.text)).sum(),
    }
}

/// Adds figures where they stand in the reading order, or one scan.
fn place_pictures(zones: &mut Vec<Zone>, images: &[Image], frame: &Bbox, chars: usize) {
    let pictures = pictures(images, frame);
    let page_area = frame.area().max(1.0);
    if chars < SCAN_MAX_CHARS
        && let Some(scan) = pictures.iter().copied().reduce(merge)
        && pictures.iter().map(|picture| picture.bbox.area()).sum::<f64>() > SCAN_MIN_COVER * page_area
    {
        let mut zone = empty(scan.bbox, Kind::Scan);
        zone.tool = NO_TOOL.into();
        zone.status = Status::Skipped;
        zone.note = NO_OCR.into();
        zone.pixels = Some(scan.pixels);
        zones.push(zone);
        return;
    }
    for picture in pictures {
        if chars >= SCAN_MAX_CHARS && picture.bbox.area() > BACKGROUND_COVER * page_area {
            continue;
        }
        let mut zone = empty(picture.bbox, Kind::Figure);
        zone.tool = IMAGE.into();
        zone.confidence = 1.0;
        zone.pixels = Some(picture.pixels).filter(|[width, height]| *width > 0 && *height > 0);
        let at = zones.iter().position(|other| comes_after(other, &picture.bbox)).unwrap_or(zones.len());
        zones.insert(at, zone);
    }
}

/// Pictures large enough, clipped to the page, strips joined.
fn pictures(images: &[Image], frame: &Bbox) -> Vec<Image> {
    let clipped = |image: &Image| Image { bbox: image.bbox.clipped(frame), pixels: image.pixels };
    let mut all: Vec<Image> = images.iter().map(clipped).filter(|image| image.bbox.area() > 0.0).collect();
    all.sort_by(|a, b| b.bbox.area().total_cmp(&a.bbox.area()));
    all.truncate(MAX_IMAGES);
    let mut joined: Vec<Image> = Vec::new();
    for mut image in all {
        // What was joined may now touch others: look again until nothing does.
        while let Some(at) = joined.iter().position(|other| other.bbox.is_near(&image.bbox, STRIP_GAP)) {
            image = merge(joined.swap_remove(at), image);
        }
        joined.push(image);
    }
    joined.retain(|image| image.bbox.width() >= MIN_FIGURE && image.bbox.height() >= MIN_FIGURE);
    joined.sort_by(|a, b| a.bbox.y0.total_cmp(&b.bbox.y0).then(a.bbox.x0.total_cmp(&b.bbox.x0)));
    joined
}

fn merge(a: Image, b: Image) -> Image {
    let pixels = |image: &Image| u64::from(image.pixels[0]) * u64::from(image.pixels[1]);
    let larger = if pixels(&a) >= pixels(&b) { a } else { b };
    Image { bbox: a.bbox.around(&b.bbox), pixels: larger.pixels }
}

/// Whether a zone is read after a picture: the first one below it in the same column, or the footer.
fn comes_after(zone: &Zone, picture: &Bbox) -> bool {
    let same_column = zone.bbox.x0 < picture.x1 && picture.x0 < zone.bbox.x1;
    zone.kind == Kind::Footer
        || (zone.kind != Kind::Header && same_column && zone.bbox.y0 >= (picture.y0 + picture.y1) / 2.0)
}

fn number_zone(zone: &mut Zone, page: u32, before: usize) {
    zone.index = u32::try_from(before + 1).unwrap_or(u32::MAX);
    zone.id = format!("p{page}z{}", zone.index);
}

fn renumber(page: &mut PageArtifact) {
    for (before, zone) in page.zones.iter_mut().enumerate() {
        number_zone(zone, page.number, before);
    }
}

fn millis(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1000.0)
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{ListItem, TableCell};

    fn at(y0: f64, y1: f64) -> Bbox {
        Bbox { x0: 50.0, y0, x1: 550.0, y1 }
    }

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line { text: (*text).into(), x: 50.0, size: 10.0 }).collect()
    }

    fn block(bbox: Bbox, content: Content) -> Block {
        Block { bbox, content, invisible: false }
    }

    fn layout(blocks: Vec<Block>, images: Vec<Image>) -> Layout {
        Layout { width: 600.0, height: 800.0, blocks, images, losses: Vec::new() }
    }

    fn made(layout: Layout) -> PageArtifact {
        page(7, layout, Duration::from_millis(10), |_| {})
    }

    fn image(bbox: Bbox) -> Image {
        Image { bbox, pixels: [100, 100] }
    }

    #[test]
    fn a_figure_stands_between_the_texts_around_it() {
        let text = |y| block(at(y, y + 50.0), Content::Paragraph(lines(&["some running text"])));
        let page = made(layout(vec![text(100.0), text(500.0)], vec![image(at(200.0, 400.0))]));
        let kinds: Vec<Kind> = page.zones.iter().map(|zone| zone.kind).collect();
        assert_eq!(kinds, [Kind::Paragraph, Kind::Figure, Kind::Paragraph]);
        assert_eq!(page.zones[1].id, "p7z2");
        assert_eq!((page.zones[1].tool.as_str(), page.zones[1].confidence), (IMAGE, 1.0));
    }

    #[test]
    fn a_page_that_is_one_picture_is_a_scan_and_says_so() {
        let page = made(layout(vec![], vec![image(at(0.0, 800.0))]));
        let [zone] = &page.zones[..] else { panic!("one zone, not {:?}", page.zones) };
        assert_eq!((zone.kind, zone.status, zone.confidence), (Kind::Scan, Status::Skipped, 0.0));
        assert_eq!((zone.tool.as_str(), zone.note.as_str()), (NO_TOOL, NO_OCR));
        let small = made(layout(vec![], vec![image(at(0.0, 200.0))]));
        assert_eq!(small.zones[0].kind, Kind::Figure, "a picture on an empty page");
    }

    #[test]
    fn ornaments_backgrounds_and_what_is_off_the_page_are_no_figures() {
        let text = block(at(100.0, 150.0), Content::Paragraph(lines(&["some running text"])));
        let whole = image(Bbox { x0: 0.0, y0: 0.0, x1: 600.0, y1: 800.0 });
        let off = image(Bbox { x0: 700.0, y0: 0.0, x1: 900.0, y1: 200.0 });
        for extra in [image(at(300.0, 310.0)), whole, off] {
            assert_eq!(made(layout(vec![text.clone()], vec![extra])).zones.len(), 1, "{extra:?}");
        }
    }

    #[test]
    fn strips_are_one_figure() {
        let strips = (0..20).map(|n| image(at(100.0 + 10.0 * f64::from(n), 110.0 + 10.0 * f64::from(n)))).collect();
        let page = made(layout(vec![], strips));
        assert_eq!(page.zones.len(), 1);
        assert_eq!((page.zones[0].bbox.y0, page.zones[0].bbox.y1), (100.0, 300.0));
    }

    #[test]
    fn confidence_falls_with_unreadable_text_losses_and_guesses() {
        let trust = |content: Content, losses: usize| {
            let mut layout = layout(vec![block(at(0.0, 10.0), content)], vec![]);
            layout.losses = vec!["lost".into(); losses];
            made(layout).zones[0].confidence
        };
        let text = |text| Content::Paragraph(lines(&[text]));
        let rows = || vec![vec![TableCell { text: "a".into(), colspan: 1, rowspan: 1 }]];
        assert_eq!(trust(text("good"), 0), 1.0);
        assert_eq!(trust(text("go\u{FFFD}\u{FFFD}"), 0), 0.5);
        assert_eq!(trust(text("good"), 2), 0.8);
        assert_eq!(trust(Content::Table(rows(), Ruled::Drawn), 0), TABLE_DRAWN);
        assert_eq!(trust(Content::Table(rows(), Ruled::Guessed), 0), TABLE_GUESSED);
    }

    #[test]
    fn work_on_a_zone_is_announced_before_it_is_done_and_time_adds_up() {
        let text = |y| block(at(y, y + 50.0), Content::Paragraph(lines(&["0123456789"])));
        let mut seen = Vec::new();
        let layout = layout(vec![text(0.0), text(100.0)], vec![]);
        let page = page(1, layout, Duration::from_millis(100), |zone| seen.push((zone.id.clone(), zone.text.len())));
        assert_eq!(seen, [("p1z1".into(), 0), ("p1z2".into(), 0)]);
        assert!(page.zones.iter().all(|zone| zone.duration_ms >= 50.0));
        assert!(page.duration_ms >= 100.0);
    }

    #[test]
    fn lists_tables_and_code_keep_their_shape() {
        let item = |number, text| ListItem { number, lines: lines(&[text]) };
        let cell = |text: &str| TableCell { text: text.into(), colspan: 1, rowspan: 1 };
        let mut code = lines(&["if x:", "return"]);
        code[1].x = 74.0;
        let page = made(layout(
            vec![
                block(at(0.0, 10.0), Content::List(vec![item(Some(3), "three"), item(None, "bullet")])),
                block(at(20.0, 30.0), Content::Table(vec![vec![cell("a"), cell(" "), cell("b")]], Ruled::Drawn)),
                block(at(40.0, 50.0), Content::Preformatted(code)),
            ],
            vec![],
        ));
        assert_eq!(page.zones[0].text, "three\nbullet");
        assert_eq!(page.zones[0].items[0].number, Some(3));
        assert_eq!(page.zones[1].text, "a\tb", "the empty column is left out");
        assert_eq!(page.zones[2].text, "if x:\n    return");
    }
}
