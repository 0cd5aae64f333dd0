//! From the blocks that pdfboss finds to ours.
//!
//! Puts right what it gets wrong: text written downwards, frames taken for tables, records taken for one row, code taken
//! for running text.

use pdfboss_output::{Block as FoundBlock, Line as FoundLine, Marker};
use pdfboss_text::TextSpan;

use super::{RawPage, evidence, laid_out, ruling_seen, seen_bbox, span_seen};
use crate::artifact::Bbox;
use crate::backend::{Block, Content, Context, Line, ListItem, TableCell, grid, vertical};

/// Share of characters of fixed pitch, in percent, from which a line counts as preformatted.
const FIXED_PITCH_PERCENT: usize = 90;
/// Parts of the names of fonts with a fixed pitch, in small letters.
const FIXED_PITCH_NAMES: [&str; 9] =
    ["courier", "mono", "cmtt", "sftt", "consolas", "menlo", "inconsolata", "typewriter", "lmtt"];
/// A table of at most this many filled cells, one of them this long, may be a frame around text.
const FRAME_MAX_CELLS: usize = 6;
const FRAME_MIN_TEXT: usize = 200;
/// Text this close behind the side of a table, in sizes of type, belongs to it.
const OVERHANG_GAP: f64 = 0.5;

/// A span and where it is on the page as seen.
struct PositionedSpan<'a> {
    span: &'a TextSpan,
    bbox: Bbox,
}

pub(super) fn body_blocks(raw: &RawPage, mut body: Vec<TextSpan>, context: &Context) -> Vec<Block> {
    let columns: Vec<TextSpan> = body.extract_if(.., |span| span.vertical).collect();
    let mut blocks = vertical::blocks(columns.iter().map(|span| vertical_piece(raw, span)).collect());
    let (found, body) = laid_out(body, &raw.rulings, &context.sizes);
    let seen: Vec<PositionedSpan<'_>> =
        body.iter().map(|span| PositionedSpan { span, bbox: span_seen(raw, span) }).collect();
    for found in found {
        if is_framed_text(&found) {
            let frame = seen_bbox(raw, &found);
            let inside = seen.iter().filter(|seen| frame.holds_middle_of(&seen.bbox));
            let framed: Vec<PositionedSpan<'_>> = inside.map(|seen| PositionedSpan { ..*seen }).collect();
            let spans = framed.iter().map(|seen| seen.span.clone()).collect();
            let (again, _) = laid_out(spans, &[], &context.sizes);
            blocks.extend(again.into_iter().flat_map(|block| body_block(raw, &framed, block)));
        } else {
            blocks.extend(body_block(raw, &seen, found));
        }
    }
    blocks
}

/// A block; a paragraph in parts where it goes from running text to fixed pitch and back.
fn body_block(raw: &RawPage, seen: &[PositionedSpan<'_>], found: FoundBlock) -> Vec<Block> {
    let mut bbox = seen_bbox(raw, &found);
    if matches!(found, FoundBlock::Table { .. }) {
        bbox = with_overhang(seen, bbox);
    }
    let inside = seen.iter().filter(|seen| bbox.holds_middle_of(&seen.bbox));
    let own: Vec<&TextSpan> = inside.map(|seen| seen.span).collect();
    let content = match found {
        FoundBlock::Paragraph { lines, .. } => return paragraph(raw, &own, lines, bbox),
        FoundBlock::Heading { level, lines, .. } => Content::Heading(level, to_lines(lines)),
        FoundBlock::List { items, .. } => Content::List(items.into_iter().map(item).collect()),
        FoundBlock::Table { rows, .. } => {
            let drawn: Vec<Bbox> = raw.rulings.iter().map(|ruling| ruling_seen(raw, ruling)).collect();
            let grid = evidence::grid(&rows, &bbox, &drawn);
            Content::Table(table(raw, &own, rows, &bbox, &drawn), grid)
        }
    };
    vec![Block { bbox, content, invisible: is_invisible(&own) }]
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

fn paragraph(raw: &RawPage, own: &[&TextSpan], lines: Vec<FoundLine>, bbox: Bbox) -> Vec<Block> {
    let fixed: Vec<bool> = fixed_pitch(own);
    let is_fixed = |line: &FoundLine| is_fixed_pitch(own, &fixed, line);
    let marked: Vec<(bool, FoundLine)> = lines.into_iter().map(|line| (is_fixed(&line), line)).collect();
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

/// Whether a span stands on a line. Lines of turned text have coordinates of their own, so nothing stands on them.
fn is_on(span: &TextSpan, line: &FoundLine) -> bool {
    let slack = line.size * 0.5;
    span.rotate == 0 && (span.y - line.y).abs() <= slack && span.x >= line.x - slack && span.x <= line.end_x + slack
}

/// Whether most of a line is of fixed pitch; `own` and `fixed` go in step.
fn is_fixed_pitch(own: &[&TextSpan], fixed: &[bool], line: &FoundLine) -> bool {
    let (mut all, mut of_fixed) = (0, 0);
    for (span, fixed) in own.iter().zip(fixed).filter(|(span, _)| is_on(span, line)) {
        let count = span.text.chars().filter(|c| !c.is_whitespace()).count();
        all += count;
        of_fixed += if *fixed { count } else { 0 };
    }
    all > 0 && of_fixed * 100 >= all * FIXED_PITCH_PERCENT
}

/// Which spans have a fixed pitch. Neighbours mostly share a font, whose name is looked at once.
fn fixed_pitch(spans: &[&TextSpan]) -> Vec<bool> {
    let same_font = spans.chunk_by(|a, b| a.font_name == b.font_name);
    let of_font = |spans: &[&TextSpan]| {
        let by_name = has_fixed_pitch_name(&spans[0].font_name);
        spans.iter().map(|span| by_name || span.monospace).collect::<Vec<bool>>()
    };
    same_font.flat_map(of_font).collect()
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

fn table(
    raw: &RawPage,
    own: &[&TextSpan],
    rows: Vec<Vec<pdfboss_output::Cell>>,
    bbox: &Bbox,
    drawn: &[Bbox],
) -> Vec<Vec<TableCell>> {
    let piece = |span: &&TextSpan| grid::Piece {
        bbox: span_seen(raw, span),
        y: raw.frame.point(span.x, span.y).1,
        size: f64::from(span.size),
        text: span.text.clone(),
    };
    let plain = own.iter().all(|span| span.rotate.rem_euclid(360) == raw.rotate && is_left_to_right(&span.text));
    let by_lines = if plain { grid::by_lines(own.iter().map(piece).collect(), drawn, bbox, rows.len()) } else { None };
    by_lines.unwrap_or_else(|| rows.into_iter().map(row).collect())
}

/// A table with the text that begins in it and ends beside it: its box is drawn around lines, not around text.
fn with_overhang(seen: &[PositionedSpan<'_>], table: Bbox) -> Bbox {
    let mut boxes: Vec<(Bbox, f64)> = seen.iter().map(|seen| (seen.bbox, f64::from(seen.span.size))).collect();
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

fn is_left_to_right(text: &str) -> bool {
    !text.chars().any(|c| matches!(c, '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'))
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

pub(super) fn lines_of(block: FoundBlock) -> Vec<FoundLine> {
    match block {
        FoundBlock::Heading { lines, .. } | FoundBlock::Paragraph { lines, .. } => lines,
        FoundBlock::List { items, .. } => items.into_iter().flat_map(|item| item.lines).collect(),
        FoundBlock::Table { rows, .. } => rows.into_iter().flatten().filter_map(|cell| cell.line).collect(),
    }
}

fn to_lines(lines: Vec<FoundLine>) -> Vec<Line> {
    lines.into_iter().map(line_of).collect()
}

pub(super) fn line_of(line: FoundLine) -> Line {
    let text = line.inlines.iter().map(|inline| inline.text.as_str()).collect();
    Line { text, x: f64::from(line.x), size: f64::from(line.size) }
}
