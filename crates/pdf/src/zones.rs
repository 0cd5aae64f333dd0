//! From blocks and pictures to the zones of a page.
//!
//! Pure: the same layout gives the same zones, but for the time measured. Decides what is a figure, what is a scan, and
//! how far each zone is to be trusted.

mod pictures;
mod trust;

use std::time::{Duration, Instant};

use crate::artifact::{Bbox, Cell, Item, Kind, PageArtifact, Status, VERSION, Zone};
use crate::backend::{Block, Content, Layout, Line};
use crate::text::{clean, join, squeeze, unreadable_share};

/// The note on every scan while there is no engine.
pub const NO_OCR: &str = "no OCR engine is configured; this region was not read";
/// The note on every scan of a job that wants no OCR.
pub const OCR_OFF: &str = "OCR is off for this job; this region was not read";
/// The warning of a page that was to be read by OCR and has no scan to say why it was not.
const OCR_NOT_DONE: &str = "this page could not be drawn, so its own text stands here and not what OCR reads";
/// The tool of everything read from the text of the file.
pub const TEXT_LAYER: &str = "text-layer";
/// The tool of placed pictures.
pub const IMAGE: &str = "image";
/// The tool of what was not read.
pub const NO_TOOL: &str = "none";

/// Share of unreadable characters from which a page gets a warning.
pub(crate) const UNREADABLE_WARNING: f64 = 0.2;
/// Fewer characters than this beside a picture of the whole page may be no more than a stamp on a scan.
const THIN_MAX_CHARS: usize = 100;
/// The note on a scan that could not be drawn for OCR.
pub const NOT_DRAWN: &str = "skipped, because its images are too large or cannot be rendered";

/// A page with its zones.
#[derive(Clone, Debug, PartialEq)]
pub struct ZonedPage {
    pub page: PageArtifact,
    /// It has no text layer, one that says little beside a picture of the whole page, or one that cannot be read.
    pub wants_ocr: bool,
}

/// Makes the zones of a page; `begun` is told of each one as its work begins.
pub fn page(number: u32, layout: Layout, reading: Duration, mut begun: impl FnMut(&Zone)) -> ZonedPage {
    let start = Instant::now();
    let frame = Bbox { x0: 0.0, y0: 0.0, x1: layout.width, y1: layout.height };
    let chars: usize = layout.blocks.iter().map(weight).sum();
    let mut zones = Vec::with_capacity(layout.blocks.len());
    for block in &layout.blocks {
        let mut zone = empty(block.bbox.clipped(&frame), kind(&block.content));
        number_zone(&mut zone, number, zones.len());
        begun(&zone);
        let own = Instant::now();
        fill(&mut zone, block);
        zone.confidence = trust::confidence(block, &zone.text, layout.losses.len(), layout.body_size);
        let share = weight(block) as f64 / chars.max(1) as f64;
        zone.duration_ms = millis(own.elapsed() + reading.mul_f64(share));
        if !zone.text.is_empty() {
            zones.push(zone);
        }
    }
    let covered = pictures::place_pictures(&mut zones, &layout.images, &frame, chars);
    let mut warnings = layout.losses;
    let unreadable = unreadable_share(&zones.iter().map(|zone| zone.text.as_str()).collect::<String>());
    if unreadable > UNREADABLE_WARNING {
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
    let without_text = chars < pictures::SCAN_MAX_CHARS;
    let wants_ocr = without_text || (covered && chars < THIN_MAX_CHARS) || unreadable > UNREADABLE_WARNING;
    ZonedPage { page, wants_ocr }
}

/// Pixels of the largest picture among the zones of a page.
pub(crate) fn largest_picture(page: &PageArtifact) -> u64 {
    let pixels = |[width, height]: [u32; 2]| u64::from(width) * u64::from(height);
    page.zones.iter().filter_map(|zone| zone.pixels).map(pixels).max().unwrap_or(0)
}

/// Says on the scan of a page that it could not be drawn.
pub(crate) fn not_drawn(page: &mut PageArtifact) {
    scans(page).for_each(|scan| scan.note = NOT_DRAWN.into());
}

/// Says that a page which was to be read by OCR, whatever its text, was not.
pub(crate) fn not_read_by_ocr(page: &mut PageArtifact) {
    if scans(page).next().is_none() {
        page.warnings.push(OCR_NOT_DONE.into());
    }
}

/// Says on the scans of a page that nobody wanted to read them.
pub(crate) fn ocr_is_off(mut page: PageArtifact) -> PageArtifact {
    scans(&mut page).for_each(|scan| scan.note = OCR_OFF.into());
    page
}

/// The page without the text that the file has.
pub(crate) fn without_text_layer(mut page: PageArtifact) -> PageArtifact {
    page.zones.retain(|zone| zone.tool != TEXT_LAYER);
    renumber(&mut page);
    page
}

fn scans(page: &mut PageArtifact) -> impl Iterator<Item = &mut Zone> {
    page.zones.iter_mut().filter(|zone| zone.kind == Kind::Scan)
}

pub(crate) fn empty(bbox: Bbox, kind: Kind) -> Zone {
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
        words: Vec::new(),
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

fn fill(zone: &mut Zone, block: &Block) {
    match &block.content {
        Content::Heading(level, lines) => {
            zone.level = Some((*level).clamp(1, 6));
            zone.text = joined(lines);
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
        Content::Table(rows, _) => {
            zone.rows = table(rows);
            let row = |row: &Vec<Cell>| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join("\t");
            zone.text = zone.rows.iter().map(row).collect::<Vec<_>>().join("\n");
        }
    }
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

fn number_zone(zone: &mut Zone, page: u32, before: usize) {
    zone.index = u32::try_from(before + 1).unwrap_or(u32::MAX);
    zone.id = format!("p{page}z{}", zone.index);
}

pub(crate) fn renumber(page: &mut PageArtifact) {
    for (before, zone) in page.zones.iter_mut().enumerate() {
        number_zone(zone, page.number, before);
    }
}

pub(crate) fn millis(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1000.0)
}

pub(crate) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
