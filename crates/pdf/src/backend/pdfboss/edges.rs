//! The outermost lines of a page as pdfboss reads it, and the blocks of those that are headers or footers.

use pdfboss_text::{ArtifactKind, TextSpan};

use super::blocks::{line_of, lines_of};
use super::{RawPage, laid_out, span_seen};
use crate::backend::header_footer::shape;
use crate::backend::{Block, Content, Context, Edge, EdgeLine, Line};

/// How many of the outermost lines at either end may be headers or footers.
const EDGE_LINES: usize = 2;
/// Two spans are on one line when their base lines are closer than this part of the size of type.
const SAME_LINE: f32 = 0.5;
/// Base lines further apart than this many sizes of type are not of one text: single spacing is about 1.2.
const APART: f64 = 1.9;
/// A gap wider than this part of the size of type is a space.
const SPACE: f32 = 0.15;

/// The outermost lines of the page.
pub(super) fn edges(raw: &RawPage) -> Vec<EdgeLine> {
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
            // One line more, to see how far away it is.
            _ if count > EDGE_LINES => break,
            _ => lines.push((y, vec![span])),
        }
    }
    let page_height = raw.frame.size().1;
    let apart = lines.windows(2).rposition(|pair| is_gap(&pair[0], &pair[1]));
    let line = |(place, (y, spans)): (usize, (f64, Vec<&TextSpan>))| {
        let text = joined(raw, &spans);
        let is_number = text.trim().parse() == Ok(raw.number);
        let marked = is_number || spans.iter().all(|span| is_marked(span));
        let apart = apart.is_some_and(|last| place <= last);
        EdgeLine { edge, shape: shape(&text), y, page_height, marked, apart }
    };
    lines.into_iter().enumerate().take(EDGE_LINES).map(line).collect()
}

/// Whether empty space lies between two neighbouring lines.
fn is_gap((y, spans): &(f64, Vec<&TextSpan>), (next_y, next): &(f64, Vec<&TextSpan>)) -> bool {
    let size = spans.iter().chain(next).map(|span| f64::from(span.size)).fold(0.0, f64::max);
    (next_y - y).abs() > APART * size
}

/// Spans that read upright on the page as it is seen and show something.
fn upright(raw: &RawPage) -> impl Iterator<Item = &TextSpan> {
    raw.spans.iter().filter(|span| span.rotate.rem_euclid(360) == raw.rotate && !span.text.trim().is_empty())
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

pub(super) fn on_line(raw: &RawPage, span: &TextSpan, line: &EdgeLine) -> bool {
    let y = raw.frame.point(span.x, span.y).1;
    span.rotate.rem_euclid(360) == raw.rotate && (y - line.y).abs() <= f64::from(span.size * SAME_LINE)
}

pub(super) fn header_footer_blocks(raw: &RawPage, spans: &[TextSpan], context: &Context, edge: Edge) -> Vec<Block> {
    let of_line = |line: &EdgeLine| -> Option<Block> {
        let own: Vec<TextSpan> = spans.iter().filter(|span| on_line(raw, span, line)).cloned().collect();
        let bbox = own.iter().map(|span| span_seen(raw, span)).reduce(|a, b| a.around(&b))?;
        let invisible = own.iter().all(|span| span.invisible);
        let lines: Vec<Line> = laid_out(own, &[], &[]).0.into_iter().flat_map(lines_of).map(line_of).collect();
        let content = match edge {
            Edge::Top => Content::Header(lines),
            Edge::Foot => Content::Footer(lines),
        };
        Some(Block { bbox, content, invisible })
    };
    let mut lines: Vec<&EdgeLine> = context.headers_footers.iter().filter(|line| line.edge == edge).collect();
    lines.sort_by(|a, b| a.y.total_cmp(&b.y));
    lines.into_iter().filter_map(of_line).collect()
}
