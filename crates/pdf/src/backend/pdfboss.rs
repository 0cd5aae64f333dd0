//! The back end on pdfboss: text spans, drawn lines and placed pictures in, blocks out.
//!
//! Sizes of type are ranked over a sample of the document, not the page alone: the sample goes into the layout as a
//! second page that holds nothing but the right number of characters of each size.

use pdfboss_core::{Document, Error, Immediate, OcState, Page, block_on};
use pdfboss_output::{
    BBox, Block as FoundBlock, LayoutOptions, Line as FoundLine, Marker, document_layout_opts, retain_rulings_on_page,
    retain_spans_on_page,
};
use pdfboss_text::{
    ArtifactKind, ExtractReport, FontCache, PlacedImage, ReadingOrder, Ruling, SkipCause, SkippedTextKind, TextSpan,
};

use super::frame::Frame;
use super::furniture::shape;
use super::{
    Block, Content, Context, Edge, EdgeLine, Image, Layout, Line, ListItem, OpenError, PageError, PageHints,
    PdfBackend, Ruled, TableCell, grid, vertical,
};
use crate::artifact::Bbox;

const ORDER: ReadingOrder = ReadingOrder::Content;
/// How many of the outermost lines at either end may be furniture.
const EDGE_LINES: usize = 2;
/// Two spans are on one line when their base lines are closer than this part of the size of type.
const SAME_LINE: f32 = 0.5;
/// A gap wider than this part of the size of type is a space.
const SPACE: f32 = 0.15;
/// How much more the sample weighs than the page.
const SAMPLE_WEIGHT: usize = 10;
/// Share of characters of fixed pitch, in percent, from which a line counts as preformatted.
const FIXED_PITCH_PERCENT: usize = 90;
/// Parts of the names of fonts with a fixed pitch, in small letters.
const FIXED_PITCH_NAMES: [&str; 9] =
    ["courier", "mono", "cmtt", "sftt", "consolas", "menlo", "inconsolata", "typewriter", "lmtt"];
/// How far a drawn line may lie outside its table, in points.
const RULING_SLACK: f64 = 4.0;
/// A table of at most this many filled cells, one of them this long, may be a frame around text.
const FRAME_MAX_CELLS: usize = 6;
const FRAME_MIN_TEXT: usize = 200;
/// Text this close behind the side of a table, in sizes of type, belongs to it.
const OVERHANG_GAP: f64 = 0.5;
/// Reports of lost parts of one page; more of them say nothing new.
const MAX_LOSSES: usize = 8;

/// A document opened with pdfboss.
pub struct Pdfboss {
    document: Document,
    fonts: FontCache,
    layers: Option<OcState>,
}

/// A page as pdfboss reads it.
pub struct RawPage {
    number: u32,
    frame: Frame,
    rotate: i32,
    spans: Vec<TextSpan>,
    rulings: Vec<Ruling>,
    images: Vec<PlacedImage>,
    report: ExtractReport,
}

impl PdfBackend for Pdfboss {
    type Raw = RawPage;

    fn open(bytes: Vec<u8>) -> Result<Self, OpenError> {
        let head = &bytes[..bytes.len().min(1024)];
        if !head.windows(5).any(|window| window == b"%PDF-") {
            return Err(OpenError::NotPdf);
        }
        let document = Document::load(bytes).map_err(|error| match error {
            Error::Encrypted => OpenError::Encrypted,
            other => OpenError::Damaged(other.to_string()),
        })?;
        if document.is_locked() {
            return Err(OpenError::Encrypted);
        }
        let layers = document.oc_state();
        Ok(Self { document, fonts: FontCache::default(), layers })
    }

    fn page_count(&self) -> u32 {
        u32::try_from(self.document.flattened_page_count()).unwrap_or(u32::MAX)
    }

    fn read(&self, number: u32) -> Result<RawPage, PageError> {
        let failed = |error: Error| PageError(error.to_string());
        let page = self.document.page(number.saturating_sub(1) as usize).map_err(failed)?;
        let (mut spans, mut rulings, report) = block_on(pdfboss_text::extract_spans_and_rulings_reporting_cached_with(
            Immediate(&self.document),
            &page,
            &self.fonts,
            self.layers.as_ref(),
            None,
            ORDER,
        ))
        .map_err(failed)?;
        retain_spans_on_page(&mut spans, &page);
        retain_rulings_on_page(&mut rulings, &page);
        let (images, _) =
            pdfboss_text::placed_images_reporting_cached(&self.document, &page, &self.fonts).map_err(failed)?;
        let rotate = page.rotate.rem_euclid(360);
        Ok(RawPage { number, frame: frame(&page), rotate, spans, rulings, images, report })
    }

    fn hints(&self, raw: &RawPage) -> PageHints {
        PageHints { sizes: sizes(&raw.spans), edges: edges(raw) }
    }

    fn layout(&self, raw: &RawPage, context: &Context) -> Layout {
        let (width, height) = raw.frame.size();
        let is_furniture = |span: &TextSpan| context.furniture.iter().any(|line| on_line(raw, span, line));
        let (furniture, body): (Vec<TextSpan>, Vec<TextSpan>) = raw.spans.iter().cloned().partition(is_furniture);
        let mut blocks: Vec<Block> = furniture_blocks(raw, &furniture, context, Edge::Top);
        blocks.extend(body_blocks(raw, body, context));
        blocks.extend(furniture_blocks(raw, &furniture, context, Edge::Foot));
        let image = |image: &PlacedImage| Image {
            bbox: raw.frame.rect([image.bbox.x0, image.bbox.y0, image.bbox.x1, image.bbox.y1]),
            pixels: [image.width, image.height],
        };
        Layout { width, height, blocks, images: raw.images.iter().map(image).collect(), losses: losses(&raw.report) }
    }
}

fn frame(page: &Page) -> Frame {
    let crop = page.crop_box;
    Frame::new([crop.x0, crop.y0, crop.x1, crop.y1], page.rotate)
}

fn seen_bbox(raw: &RawPage, found: &FoundBlock) -> Bbox {
    let BBox { x0, y0, x1, y1 } = match found {
        FoundBlock::Heading { bbox, .. }
        | FoundBlock::Paragraph { bbox, .. }
        | FoundBlock::List { bbox, .. }
        | FoundBlock::Table { bbox, .. } => bbox,
    };
    raw.frame.rect([*x0, *y0, *x1, *y1])
}

fn span_seen(raw: &RawPage, span: &TextSpan) -> Bbox {
    raw.frame.rect([span.bbox.x0, span.bbox.y0, span.bbox.x1, span.bbox.y1])
}

fn sizes(spans: &[TextSpan]) -> Vec<(i32, usize)> {
    let mut sizes = std::collections::BTreeMap::new();
    for span in spans.iter().filter(|span| span.size.is_finite()) {
        #[allow(clippy::cast_possible_truncation)]
        let half_points = (span.size.clamp(0.0, 1000.0) * 2.0).round() as i32;
        *sizes.entry(half_points).or_insert(0) += span.text.chars().count();
    }
    sizes.into_iter().collect()
}

/// Spans that read upright on the page as it is seen and show something.
fn upright(raw: &RawPage) -> impl Iterator<Item = &TextSpan> {
    raw.spans.iter().filter(|span| span.rotate.rem_euclid(360) == raw.rotate && !span.text.trim().is_empty())
}

/// The outermost lines of the page.
fn edges(raw: &RawPage) -> Vec<EdgeLine> {
    let mut spans: Vec<(f64, &TextSpan)> = upright(raw).map(|span| (raw.frame.point(span.x, span.y).1, span)).collect();
    spans.retain(|(y, _)| y.is_finite());
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let top = first_lines(raw, spans.iter().copied(), Edge::Top);
    let foot = first_lines(raw, spans.iter().rev().copied(), Edge::Foot);
    top.into_iter().chain(foot).collect()
}

fn first_lines<'a>(raw: &RawPage, spans: impl Iterator<Item = (f64, &'a TextSpan)>, edge: Edge) -> Vec<EdgeLine> {
    let mut lines: Vec<(f64, Vec<&TextSpan>)> = Vec::new();
    for (y, span) in spans {
        let count = lines.len();
        match lines.last_mut() {
            Some((line_y, line)) if (y - *line_y).abs() <= f64::from(span.size * SAME_LINE) => line.push(span),
            _ if count == EDGE_LINES => break,
            _ => lines.push((y, vec![span])),
        }
    }
    let page_height = raw.frame.size().1;
    let line = |(y, spans): (f64, Vec<&TextSpan>)| {
        let text = joined(raw, &spans);
        let is_number = text.trim().parse() == Ok(raw.number);
        let marked = is_number || spans.iter().all(|span| is_marked(span));
        EdgeLine { edge, shape: shape(&text), y, page_height, marked }
    };
    lines.into_iter().map(line).collect()
}

fn is_marked(span: &TextSpan) -> bool {
    span.artifact.as_ref().is_some_and(|artifact| {
        artifact.kind == ArtifactKind::Pagination && artifact.subtype.as_deref() != Some("Watermark")
    })
}

fn joined(raw: &RawPage, spans: &[&TextSpan]) -> String {
    let mut placed: Vec<(f64, f64, &TextSpan)> = spans
        .iter()
        .map(|span| (raw.frame.point(span.x, span.y).0, raw.frame.point(span.end_x, span.end_y).0, *span))
        .collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut text = String::new();
    let mut end = f64::NEG_INFINITY;
    for (start, span_end, span) in placed {
        if start - end > f64::from(span.size * SPACE) && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&span.text);
        end = span_end;
    }
    text
}

fn on_line(raw: &RawPage, span: &TextSpan, line: &EdgeLine) -> bool {
    let y = raw.frame.point(span.x, span.y).1;
    span.rotate.rem_euclid(360) == raw.rotate && (y - line.y).abs() <= f64::from(span.size * SAME_LINE)
}

fn furniture_blocks(raw: &RawPage, spans: &[TextSpan], context: &Context, edge: Edge) -> Vec<Block> {
    let of_line = |line: &EdgeLine| -> Option<Block> {
        let own: Vec<TextSpan> = spans.iter().filter(|span| on_line(raw, span, line)).cloned().collect();
        let bbox = own.iter().map(|span| span_seen(raw, span)).reduce(|a, b| a.around(&b))?;
        let lines: Vec<Line> = laid_out(&own, &[], &[]).into_iter().flat_map(lines_of).map(line_of).collect();
        let content = match edge {
            Edge::Top => Content::Header(lines),
            Edge::Foot => Content::Footer(lines),
        };
        Some(Block { bbox, content, invisible: own.iter().all(|span| span.invisible) })
    };
    let mut lines: Vec<&EdgeLine> = context.furniture.iter().filter(|line| line.edge == edge).collect();
    lines.sort_by(|a, b| a.y.total_cmp(&b.y));
    lines.into_iter().filter_map(of_line).collect()
}

fn body_blocks(raw: &RawPage, body: Vec<TextSpan>, context: &Context) -> Vec<Block> {
    let (columns, body): (Vec<TextSpan>, Vec<TextSpan>) = body.into_iter().partition(|span| span.vertical);
    let mut blocks = vertical::blocks(columns.iter().map(|span| vertical_piece(raw, span)).collect());
    for found in laid_out(&body, &raw.rulings, &context.sizes) {
        if is_framed_text(&found) {
            let inside = |span: &&TextSpan| seen_bbox(raw, &found).holds_middle_of(&span_seen(raw, span));
            let framed: Vec<TextSpan> = body.iter().filter(inside).cloned().collect();
            let again = laid_out(&framed, &[], &context.sizes);
            blocks.extend(again.into_iter().flat_map(|block| body_block(raw, &framed, block)));
        } else {
            blocks.extend(body_block(raw, &body, found));
        }
    }
    blocks
}

/// Whether a table is only a frame drawn around running text: one of its few cells holds nearly everything.
fn is_framed_text(found: &FoundBlock) -> bool {
    let FoundBlock::Table { rows, .. } = found else { return false };
    let length = |cell: &pdfboss_output::Cell| {
        cell.line.as_ref().map_or(0, |line| line.inlines.iter().map(|inline| inline.text.len()).sum::<usize>())
    };
    let lengths: Vec<usize> = rows.iter().flatten().map(length).filter(|length| *length > 0).collect();
    let (all, longest) = (lengths.iter().sum::<usize>(), lengths.iter().max().copied().unwrap_or(0));
    lengths.len() <= FRAME_MAX_CELLS && longest >= FRAME_MIN_TEXT && longest * 10 >= all * 7
}

fn vertical_piece(raw: &RawPage, span: &TextSpan) -> vertical::Piece {
    vertical::Piece { bbox: span_seen(raw, span), text: span.text.clone(), size: f64::from(span.size) }
}

fn laid_out(spans: &[TextSpan], rulings: &[Ruling], sizes: &[(i32, usize)]) -> Vec<FoundBlock> {
    let Some(first) = spans.first() else { return Vec::new() };
    let page = (spans.to_vec(), rulings.to_vec(), ORDER);
    let sample = (sample_page(first, spans, sizes), Vec::new(), ORDER);
    let mut layouts = document_layout_opts(&[page, sample], &LayoutOptions::default());
    layouts.truncate(1);
    layouts.pop().map(|layout| layout.blocks).unwrap_or_default()
}

/// A page with as many characters of each size as the sampled pages have, scaled to outweigh the page itself.
fn sample_page(model: &TextSpan, spans: &[TextSpan], sizes: &[(i32, usize)]) -> Vec<TextSpan> {
    let total: usize = sizes.iter().map(|(_, count)| count).sum();
    let wanted = SAMPLE_WEIGHT * spans.iter().map(|span| span.text.len()).sum::<usize>();
    let span = |(index, &(half_points, count)): (usize, &(i32, usize))| {
        let share = (wanted as u128 * count as u128 / total.max(1) as u128) as usize;
        #[allow(clippy::cast_precision_loss)]
        let (size, y) = (half_points as f32 / 2.0, -1000.0 * index as f32);
        let mut span = model.clone();
        span.text = "x".repeat(share.max(1));
        (span.size, span.x, span.y, span.end_x, span.end_y) = (size, 0.0, y, 100.0, y);
        (span.bbox.x0, span.bbox.y0, span.bbox.x1, span.bbox.y1) = (0.0, y, 100.0, y + size);
        span.rotate = 0;
        span.glyph_x = Box::default();
        span
    };
    sizes.iter().enumerate().map(span).collect()
}

/// A block; a paragraph in parts where it goes from running text to fixed pitch and back.
fn body_block(raw: &RawPage, spans: &[TextSpan], found: FoundBlock) -> Vec<Block> {
    let mut bbox = seen_bbox(raw, &found);
    if matches!(found, FoundBlock::Table { .. }) {
        bbox = with_overhang(raw, spans, bbox);
    }
    let own: Vec<&TextSpan> = spans.iter().filter(|span| bbox.holds_middle_of(&span_seen(raw, span))).collect();
    let content = match found {
        FoundBlock::Paragraph { lines, .. } => return paragraph(raw, &own, lines, bbox),
        FoundBlock::Heading { level, lines, .. } => Content::Heading(level, to_lines(lines)),
        FoundBlock::List { items, .. } => Content::List(items.into_iter().map(item).collect()),
        FoundBlock::Table { rows, .. } => Content::Table(table(raw, &own, rows, &bbox), ruled(raw, &bbox)),
    };
    vec![Block { bbox, content, invisible: is_invisible(&own) }]
}

fn paragraph(raw: &RawPage, own: &[&TextSpan], lines: Vec<FoundLine>, bbox: Bbox) -> Vec<Block> {
    let marked: Vec<(bool, FoundLine)> = lines.into_iter().map(|line| (is_fixed_pitch(own, &line), line)).collect();
    let stretches: Vec<&[(bool, FoundLine)]> = marked.chunk_by(|a, b| a.0 == b.0).collect();
    let whole = stretches.len() == 1;
    let block = |stretch: &&[(bool, FoundLine)]| {
        let lines: Vec<Line> = stretch.iter().map(|(_, line)| line_of(line.clone())).collect();
        let on_stretch = |span: &&&TextSpan| stretch.iter().any(|(_, line)| is_on(span, line));
        let spans: Vec<&TextSpan> = own.iter().filter(on_stretch).copied().collect();
        let around = spans.iter().map(|span| span_seen(raw, span)).reduce(|a, b| a.around(&b));
        let content = if stretch[0].0 { Content::Preformatted(lines) } else { Content::Paragraph(lines) };
        let bbox = around.filter(|_| !whole).unwrap_or(bbox);
        Block { bbox, content, invisible: is_invisible(if whole { own } else { &spans }) }
    };
    stretches.iter().map(block).collect()
}

/// A table with the text that begins in it and ends beside it: its box is drawn around lines, not around text.
fn with_overhang(raw: &RawPage, spans: &[TextSpan], table: Bbox) -> Bbox {
    let mut boxes: Vec<(Bbox, f64)> = spans.iter().map(|span| (span_seen(raw, span), f64::from(span.size))).collect();
    boxes.sort_by(|a, b| a.0.x0.total_cmp(&b.0.x0));
    boxes.iter().fold(table, |table, (text, size)| {
        let middle = (text.y0 + text.y1) / 2.0;
        let touches = text.x0 <= table.x1 + size * OVERHANG_GAP && text.x1 >= table.x0;
        if touches && (table.y0..=table.y1).contains(&middle) {
            Bbox { x1: table.x1.max(text.x1), ..table }
        } else {
            table
        }
    })
}

/// Whether a span stands on a line. Lines of turned text have coordinates of their own, so nothing stands on them.
fn is_on(span: &TextSpan, line: &FoundLine) -> bool {
    let slack = line.size * 0.5;
    span.rotate == 0 && (span.y - line.y).abs() <= slack && span.x >= line.x - slack && span.x <= line.end_x + slack
}

fn is_fixed_pitch(own: &[&TextSpan], line: &FoundLine) -> bool {
    let (mut all, mut fixed) = (0, 0);
    for span in own.iter().filter(|span| is_on(span, line)) {
        let count = span.text.chars().filter(|c| !c.is_whitespace()).count();
        all += count;
        fixed += if span.monospace || has_fixed_pitch_name(&span.font_name) { count } else { 0 };
    }
    all > 0 && fixed * 100 >= all * FIXED_PITCH_PERCENT
}

/// Fonts made by TeX and others do not set the flag.
fn has_fixed_pitch_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FIXED_PITCH_NAMES.iter().any(|part| name.contains(part))
}

fn is_invisible(spans: &[&TextSpan]) -> bool {
    let hidden = spans.iter().filter(|span| span.invisible).count();
    hidden > 0 && hidden * 2 > spans.len()
}

fn table(raw: &RawPage, own: &[&TextSpan], rows: Vec<Vec<pdfboss_output::Cell>>, bbox: &Bbox) -> Vec<Vec<TableCell>> {
    let piece = |span: &&TextSpan| grid::Piece {
        bbox: span_seen(raw, span),
        y: raw.frame.point(span.x, span.y).1,
        size: f64::from(span.size),
        text: span.text.clone(),
    };
    let drawn: Vec<Bbox> = raw.rulings.iter().map(|ruling| ruling_seen(raw, ruling)).collect();
    let plain = own.iter().all(|span| span.rotate.rem_euclid(360) == raw.rotate && is_left_to_right(&span.text));
    let by_lines = if plain { grid::by_lines(own.iter().map(piece).collect(), &drawn, bbox, rows.len()) } else { None };
    by_lines.unwrap_or_else(|| rows.into_iter().map(row).collect())
}

fn is_left_to_right(text: &str) -> bool {
    !text.chars().any(|c| matches!(c, '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'))
}

fn ruling_seen(raw: &RawPage, ruling: &Ruling) -> Bbox {
    raw.frame.rect([ruling.start.x, ruling.start.y, ruling.end.x, ruling.end.y])
}

fn row(cells: Vec<pdfboss_output::Cell>) -> Vec<TableCell> {
    let cell = |cell: pdfboss_output::Cell| TableCell {
        text: cell.line.map(|line| line_of(line).text).unwrap_or_default(),
        colspan: cell.colspan.max(1),
        rowspan: cell.rowspan.max(1),
    };
    cells.into_iter().map(cell).collect()
}

fn item(found: pdfboss_output::ListItem) -> ListItem {
    let number = match found.marker {
        Marker::Bullet => None,
        Marker::Number(number) => Some(number),
    };
    let mut lines = to_lines(found.lines);
    if let Some(first) = lines.first_mut() {
        first.text = first.text.chars().skip(found.marker_len).collect();
    }
    lines.retain(|line| !line.text.trim().is_empty());
    ListItem { number, lines }
}

fn lines_of(block: FoundBlock) -> Vec<FoundLine> {
    match block {
        FoundBlock::Heading { lines, .. } | FoundBlock::Paragraph { lines, .. } => lines,
        FoundBlock::List { items, .. } => items.into_iter().flat_map(|item| item.lines).collect(),
        FoundBlock::Table { rows, .. } => rows.into_iter().flatten().filter_map(|cell| cell.line).collect(),
    }
}

fn to_lines(lines: Vec<FoundLine>) -> Vec<Line> {
    lines.into_iter().map(line_of).collect()
}

fn line_of(line: FoundLine) -> Line {
    let text = line.inlines.iter().map(|inline| inline.text.as_str()).collect();
    Line { text, x: f64::from(line.x), size: f64::from(line.size) }
}

/// A grid is drawn when enough lines run through the table.
fn ruled(raw: &RawPage, table: &Bbox) -> Ruled {
    let around = Bbox {
        x0: table.x0 - RULING_SLACK,
        y0: table.y0 - RULING_SLACK,
        x1: table.x1 + RULING_SLACK,
        y1: table.y1 + RULING_SLACK,
    };
    let (mut flat, mut steep) = (0, 0);
    for ruling in &raw.rulings {
        let line = ruling_seen(raw, ruling);
        if around.holds_middle_of(&line) {
            if line.width() >= line.height() { flat += 1 } else { steep += 1 }
        }
    }
    if flat >= 3 || (flat >= 2 && steep >= 2) { Ruled::Drawn } else { Ruled::Guessed }
}

fn losses(report: &ExtractReport) -> Vec<String> {
    let loss = |skipped: &pdfboss_text::SkippedText| {
        let what = match skipped.kind {
            SkippedTextKind::PageContents => "the content of this page",
            SkippedTextKind::Form => "a part of this page",
            SkippedTextKind::XObject => "an object on this page",
            SkippedTextKind::FontEncoding => "the encoding of a font on this page",
        };
        match &skipped.cause {
            SkipCause::UnsupportedFilter(name) => format!("{what} is compressed in a way not supported ({name})"),
            SkipCause::Unreadable => format!("{what} cannot be decoded"),
            SkipCause::Parse => format!("{what} is not valid"),
            SkipCause::Missing => format!("{what} is missing from the file"),
            SkipCause::LimitExceeded => format!("{what} is nested too deeply"),
        }
    };
    let mut losses: Vec<String> = report.skipped.iter().map(loss).collect();
    losses.dedup();
    losses.truncate(MAX_LOSSES);
    losses
}
