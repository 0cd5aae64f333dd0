//! Text written downwards: tiers from top to bottom, in each columns from right to left, each from top to bottom.

use super::{Block, Content, Line};
use crate::artifact::Bbox;

/// Pieces whose middles are closer than this part of their size stand in one column.
const SAME_COLUMN: f64 = 0.6;
/// An empty band across all columns, this many times as high as the type, divides two tiers.
const TIER_GAP: f64 = 1.2;
/// Columns further apart than this many times the usual distance are different blocks.
const BLOCK_GAP: f64 = 1.8;

/// A piece of a column.
pub(super) struct Piece {
    /// Where it is on the page as seen.
    pub(super) bbox: Bbox,
    /// Its text, from top to bottom.
    pub(super) text: String,
    /// Size of type in points.
    pub(super) size: f64,
}

impl Piece {
    fn middle(&self) -> f64 {
        (self.bbox.x0 + self.bbox.x1) / 2.0
    }
}

/// The blocks of all pieces, in reading order.
pub(super) fn blocks(mut pieces: Vec<Piece>) -> Vec<Block> {
    pieces.retain(|piece| !piece.text.trim().is_empty());
    pieces.sort_by(|a, b| a.bbox.y0.total_cmp(&b.bbox.y0));
    let mut tiers: Vec<(f64, Vec<Piece>)> = Vec::new();
    for piece in pieces {
        match tiers.last_mut() {
            Some((end, tier)) if piece.bbox.y0 - *end <= piece.size * TIER_GAP => {
                *end = end.max(piece.bbox.y1);
                tier.push(piece);
            }
            _ => tiers.push((piece.bbox.y1, vec![piece])),
        }
    }
    tiers.into_iter().flat_map(|(_, tier)| tier_blocks(tier)).collect()
}

fn tier_blocks(mut pieces: Vec<Piece>) -> Vec<Block> {
    pieces.sort_by(|a, b| b.middle().total_cmp(&a.middle()));
    let mut columns: Vec<Vec<Piece>> = Vec::new();
    for piece in pieces {
        match columns.last_mut() {
            Some(column) if (column[0].middle() - piece.middle()).abs() <= piece.size * SAME_COLUMN => {
                column.push(piece)
            }
            _ => columns.push(vec![piece]),
        }
    }
    columns.iter_mut().for_each(|column| column.sort_by(|a, b| a.bbox.y0.total_cmp(&b.bbox.y0)));
    let gap = BLOCK_GAP * usual_distance(&columns);
    columns.chunk_by(|a, b| a[0].middle() - b[0].middle() <= gap).filter_map(block).collect()
}

fn usual_distance(columns: &[Vec<Piece>]) -> f64 {
    let mut distances: Vec<f64> = columns.windows(2).map(|pair| pair[0][0].middle() - pair[1][0].middle()).collect();
    distances.sort_by(f64::total_cmp);
    distances.get(distances.len() / 2).copied().unwrap_or(f64::INFINITY)
}

fn block(columns: &[Vec<Piece>]) -> Option<Block> {
    let bbox = columns.iter().flatten().map(|piece| piece.bbox).reduce(|a, b| a.around(&b))?;
    let line = |column: &Vec<Piece>| Line {
        text: column.iter().map(|piece| piece.text.as_str()).collect(),
        x: 0.0,
        size: column[0].size,
    };
    Some(Block { bbox, content: Content::Paragraph(columns.iter().map(line).collect()), invisible: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(x: f64, y: f64, text: &str) -> Piece {
        Piece { bbox: Bbox { x0: x, y0: y, x1: x + 10.0, y1: y + 50.0 }, text: text.into(), size: 10.0 }
    }

    #[test]
    fn columns_are_read_from_right_to_left_and_gaps_divide_blocks() {
        let pieces = vec![
            piece(100.0, 0.0, "五"),
            piece(180.0, 60.0, "二"),
            piece(180.0, 0.0, "一"),
            piece(165.0, 0.0, "三"),
            piece(150.0, 0.0, "四"),
            piece(135.0, 0.0, " "),
            piece(150.0, 140.0, "七"),
            piece(180.0, 140.0, "六"),
        ];
        let texts: Vec<Vec<String>> = blocks(pieces)
            .into_iter()
            .map(|block| match block.content {
                Content::Paragraph(lines) => lines.into_iter().map(|line| line.text).collect(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, [vec!["一二", "三", "四"], vec!["五"], vec!["六", "七"]]);
        assert!(blocks(Vec::new()).is_empty());
    }
}
