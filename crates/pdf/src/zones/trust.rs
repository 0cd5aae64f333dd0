//! How far a zone is to be trusted: measured on what it was made of, not learnt.

use super::round;
use crate::backend::{Block, Content, Grid, Line};
use crate::text::{unreadable_share, wordlike_share};

/// Each lost part of a page costs this much confidence, up to four of them.
const LOSS_PENALTY: f64 = 0.1;
const MAX_LOSSES: usize = 4;
/// A table with nothing that speaks for it, and what everything together adds.
const TABLE_BASE: f64 = 0.3;
const TABLE_GAIN: f64 = 0.65;
/// What columns in line are worth beside drawn ones.
const ALIGNED_WORTH: f64 = 0.7;
/// What a table loses when all its cells are empty.
const EMPTY_PENALTY: f64 = 0.2;
/// A heading set like the text around it, and one at least this much larger.
const PLAIN_HEADING: f64 = 0.7;
const CLEAR_HEADING_SIZE: f64 = 1.3;
/// Text of an earlier OCR whose words all look like words.
const EARLIER_OCR: f64 = 0.9;

/// The confidence of a zone with this text on a page with so many losses and this usual size of type.
pub(super) fn confidence(block: &Block, text: &str, losses: usize, body_size: f64) -> f64 {
    let mut trust = match &block.content {
        Content::Heading(_, lines) => heading(lines, body_size),
        Content::Table(_, grid) => table(grid),
        _ => 1.0,
    };
    if block.invisible {
        trust *= EARLIER_OCR * wordlike_share(text);
    }
    let penalty = LOSS_PENALTY * losses.min(MAX_LOSSES) as f64;
    round((trust * (1.0 - unreadable_share(text)) - penalty).clamp(0.0, 1.0))
}

/// The more its type stands out.
fn heading(lines: &[Line], body_size: f64) -> f64 {
    let size = lines.iter().map(|line| line.size).fold(0.0, f64::max);
    let larger = (size / body_size.max(1.0) - 1.0) / (CLEAR_HEADING_SIZE - 1.0);
    PLAIN_HEADING + (1.0 - PLAIN_HEADING) * larger.clamp(0.0, 1.0)
}

/// The more of its grid is drawn or, where it is not, seen in the alignment of its cells, and the fewer cells are empty.
fn table(grid: &Grid) -> f64 {
    let structure = grid.drawn + (1.0 - grid.drawn) * ALIGNED_WORTH * grid.aligned;
    (TABLE_BASE + TABLE_GAIN * structure) * (1.0 - EMPTY_PENALTY * (1.0 - grid.filled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Bbox;

    fn trust(content: Content, text: &str, losses: usize) -> f64 {
        confidence(&Block { bbox: Bbox::default(), content, invisible: false }, text, losses, 10.0)
    }

    fn line(size: f64) -> Vec<Line> {
        vec![Line { text: "text".into(), x: 0.0, size }]
    }

    #[test]
    fn readable_text_is_certain_and_every_loss_costs() {
        let text = |text, losses| trust(Content::Paragraph(line(10.0)), text, losses);
        assert_eq!(text("all readable", 0), 1.0);
        assert_eq!(text("ab\u{FFFD}\u{FFFD}", 0), 0.5);
        assert_eq!((text("text", 2), text("text", 99)), (0.8, 0.6));
    }

    #[test]
    fn a_heading_is_surer_the_more_it_stands_out() {
        let heading = |size| trust(Content::Heading(1, line(size)), "text", 0);
        assert_eq!((heading(10.0), heading(11.5), heading(13.0), heading(40.0)), (0.7, 0.85, 1.0, 1.0));
    }

    #[test]
    fn a_table_is_surer_the_more_of_its_grid_is_drawn_or_aligned() {
        let table =
            |drawn, aligned, filled| trust(Content::Table(Vec::new(), Grid { drawn, aligned, filled }), "text", 0);
        assert_eq!(table(1.0, 1.0, 1.0), 0.95);
        assert!(table(1.0, 0.0, 1.0) > table(0.5, 1.0, 1.0) && table(0.5, 1.0, 1.0) > table(0.0, 1.0, 1.0));
        assert!(table(0.0, 1.0, 1.0) > table(0.0, 0.5, 1.0) && table(0.0, 0.5, 1.0) > table(0.0, 0.5, 0.5));
        assert_eq!(table(0.0, 0.0, 1.0), 0.3);
    }

    #[test]
    fn an_earlier_ocr_is_as_good_as_its_words() {
        let block = Block { bbox: Bbox::default(), content: Content::Paragraph(line(10.0)), invisible: true };
        assert_eq!(confidence(&block, "The year 1864, well-read.", 0, 10.0), 0.9);
        assert_eq!(confidence(&block, "T~e y|ear l8b4 read", 0, 10.0), 0.225);
    }
}
