//! Tables with drawn columns whose rows are lines of text.
//!
//! A ruled table often draws its columns but only every fifth row. Read by its drawn cells, five records become one; read
//! by lines, each stays its own. This is tried when a table has many more lines than drawn rows, and believed only when
//! most lines fill most columns: cells with wrapped text do not.

use super::TableCell;
use crate::artifact::Bbox;

/// Fewer columns can be read either way.
const MIN_COLUMNS: usize = 3;
/// How many lines there must be for each drawn row.
const LINES_PER_ROW: f64 = 1.5;
/// Share of lines that must fill at least half of the columns.
const FULL_LINES: f64 = 0.6;
/// A column is drawn when its line runs along this share of the table's height.
const DRAWN_SHARE: f64 = 0.5;
/// Drawn lines closer than this, in points, are one.
const SAME_LINE: f64 = 2.0;
/// A gap wider than this part of the size of type is a space.
const SPACE: f64 = 0.2;
/// A gap wider than this is more than a space between words.
const WORD_SPACE: f64 = 0.45;
/// How wide a digit is, as part of the size of type.
const DIGIT: f64 = 0.55;
/// Characters of numbers that are half as wide as a digit.
const NARROW: [char; 5] = [',', '.', '-', '(', ')'];
/// How far text may reach into the next column, in points.
const OVERHANG: f64 = 3.0;

/// A piece of text in a table, as seen.
pub(super) struct Piece {
    pub(super) bbox: Bbox,
    pub(super) y: f64,
    pub(super) size: f64,
    pub(super) text: String,
}

/// Reads a table again by its lines. None when it is better read by its drawn rows.
pub(super) fn by_lines(
    mut pieces: Vec<Piece>,
    drawn: &[Bbox],
    table: &Bbox,
    drawn_rows: usize,
) -> Option<Vec<Vec<TableCell>>> {
    let edges = column_edges(drawn, table, &pieces);
    let columns = edges.len().checked_sub(1).filter(|&columns| columns >= MIN_COLUMNS)?;
    pieces.retain(|piece| !piece.text.trim().is_empty());
    pieces.sort_by(|a, b| a.y.total_cmp(&b.y));
    let lines: Vec<&[Piece]> = pieces.chunk_by(|a, b| b.y - a.y <= a.size * 0.4).collect();
    if (lines.len() as f64) < LINES_PER_ROW * drawn_rows as f64 {
        return None;
    }
    let rows: Vec<Vec<TableCell>> = lines.iter().map(|line| row(line, &edges)).collect();
    let is_full = |row: &&Vec<TableCell>| row.iter().filter(|cell| !cell.text.is_empty()).count() * 2 >= columns;
    let full = rows.iter().filter(is_full).count();
    (full as f64 >= FULL_LINES * rows.len() as f64).then_some(rows)
}

/// Where columns begin and end: long drawn lines and the sides of the table.
fn column_edges(drawn: &[Bbox], table: &Bbox, pieces: &[Piece]) -> Vec<f64> {
    let inside =
        |line: &&Bbox| line.height() > line.width() && line.x0 > table.x0 - OVERHANG && line.x1 < table.x1 + OVERHANG;
    let mut lines: Vec<Bbox> =
        drawn.iter().filter(inside).map(|line| line.clipped(&Bbox { x0: line.x0, x1: line.x1, ..*table })).collect();
    lines.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    let mut edges: Vec<f64> = lines
        .chunk_by(|a, b| b.x0 - a.x0 <= SAME_LINE)
        .filter(|same| same.iter().map(Bbox::height).sum::<f64>() >= DRAWN_SHARE * table.height())
        .map(|same| same.iter().map(|line| line.x0).sum::<f64>() / same.len() as f64)
        .collect();
    // Text outside the drawn columns stands in columns of its own.
    if edges.first().is_none_or(|first| pieces.iter().any(|piece| piece.bbox.x0 < first - OVERHANG)) {
        edges.insert(0, table.x0);
    }
    if edges.last().is_none_or(|last| pieces.iter().any(|piece| piece.bbox.x0 > last + OVERHANG)) {
        edges.push(table.x1);
    }
    edges
}

/// Text placed in a row: its first and last column, where it ends, and the text.
struct Placed {
    first: usize,
    last: usize,
    end: f64,
    text: String,
}

fn row(line: &[Piece], edges: &[f64]) -> Vec<TableCell> {
    let columns = edges.len() - 1;
    let mut pieces: Vec<Piece> = line.iter().flat_map(|piece| divided(piece, edges)).collect();
    pieces.sort_by(|a, b| a.bbox.x0.total_cmp(&b.bbox.x0));
    let pieces = words_joined(pieces);
    let mut cells: Vec<Placed> = Vec::new();
    for Piece { bbox, size, text, .. } in pieces {
        let (first, last) = span(&bbox, edges);
        match cells.last_mut() {
            Some(cell) if first <= cell.last => {
                if bbox.x0 - cell.end > SPACE * size {
                    cell.text.push(' ');
                }
                cell.text.push_str(&text);
                (cell.last, cell.end) = (last.max(cell.last), bbox.x1);
            }
            _ => cells.push(Placed { first, last, end: bbox.x1, text }),
        }
    }
    let empty = || TableCell { text: String::new(), colspan: 1, rowspan: 1 };
    let (mut row, mut next) = (Vec::new(), 0);
    for Placed { first, last, text, .. } in cells {
        row.extend(std::iter::repeat_with(empty).take(first - next));
        let colspan = u8::try_from(last - first + 1).unwrap_or(u8::MAX);
        row.push(TableCell { text, colspan, rowspan: 1 });
        next = last + 1;
    }
    row.extend(std::iter::repeat_with(empty).take(columns.saturating_sub(next)));
    row
}

/// The column a place is in.
fn column(x: f64, edges: &[f64]) -> usize {
    edges[1..edges.len() - 1].iter().filter(|edge| x >= **edge).count()
}

/// The first and last column of a piece.
fn span(bbox: &Bbox, edges: &[f64]) -> (usize, usize) {
    let middle = column((bbox.x0 + bbox.x1) / 2.0, edges);
    (column(bbox.x0 + OVERHANG, edges).min(middle), column(bbox.x1 - OVERHANG, edges).max(middle))
}

/// Words of one phrase joined, so that a heading over several columns is not cut where a column ends.
fn words_joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        let is_word = |piece: &Piece| !piece.text.chars().all(is_numeric);
        match joined.last_mut() {
            Some(last)
                if is_word(last) && is_word(&piece) && piece.bbox.x0 - last.bbox.x1 <= WORD_SPACE * piece.size =>
            {
                if piece.bbox.x0 - last.bbox.x1 > SPACE * piece.size {
                    last.text.push(' ');
                }
                last.text.push_str(&piece.text);
                last.bbox.x1 = last.bbox.x1.max(piece.bbox.x1);
            }
            _ => joined.push(piece),
        }
    }
    joined
}

fn is_numeric(c: char) -> bool {
    c.is_ascii_digit() || c == ' ' || NARROW.contains(&c)
}

/// Numbers divided where a column ends. Several may be drawn in one go, with wide spacing between the digits: digits are
/// all of one width, so it is known where each begins. Other text is left whole.
fn divided(piece: &Piece, edges: &[f64]) -> Vec<Piece> {
    if !piece.text.chars().all(is_numeric) {
        return vec![Piece { text: piece.text.clone(), ..*piece }];
    }
    let width = |c: char| piece.size * if c.is_ascii_digit() { DIGIT } else { DIGIT / 2.0 };
    let count = piece.text.chars().count() as f64;
    // What is left over beside the digits themselves lies behind each of them.
    let spacing = (piece.bbox.width() - piece.text.chars().map(width).sum::<f64>()) / count.max(1.0);
    let mut parts: Vec<(usize, Piece)> = Vec::new();
    let mut start = piece.bbox.x0;
    for c in piece.text.chars() {
        let end = start + width(c) + spacing.min(0.0);
        let at = column((start + end) / 2.0, edges);
        match parts.last_mut() {
            Some((column, part)) if *column == at => {
                part.text.push(c);
                part.bbox.x1 = end;
            }
            _ => parts.push((at, Piece { bbox: Bbox { x0: start, x1: end, ..piece.bbox }, text: c.into(), ..*piece })),
        }
        start += width(c) + spacing;
    }
    parts.into_iter().map(|(_, part)| part).filter(|part| !part.text.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Bbox = Bbox { x0: 0.0, y0: 0.0, x1: 300.0, y1: 100.0 };

    fn columns() -> Vec<Bbox> {
        [0.0, 100.0, 200.0, 300.0].map(|x| Bbox { x0: x, y0: 0.0, x1: x, y1: 100.0 }).to_vec()
    }

    fn piece(x: f64, y: f64, text: &str) -> Piece {
        Piece { bbox: Bbox { x0: x, y0: y - 8.0, x1: x + 50.0, y1: y }, y, size: 8.0, text: text.into() }
    }

    fn texts(rows: &[Vec<TableCell>]) -> Vec<String> {
        rows.iter().map(|row| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn records_between_drawn_rows_stay_apart() {
        let mut pieces: Vec<Piece> = Vec::new();
        for (n, y) in [(1, 20.0), (2, 35.0), (3, 50.0), (4, 65.0)] {
            pieces.extend([10.0, 120.0, 230.0].map(|x| piece(x, y, &n.to_string())));
        }
        let mut wide = piece(20.0, 80.0, "over two");
        wide.bbox.x1 = 180.0;
        pieces.push(wide);
        let rows = by_lines(pieces, &columns(), &TABLE, 2).unwrap();
        assert_eq!(texts(&rows), ["1|1|1", "2|2|2", "3|3|3", "4|4|4", "over two|"]);
        assert_eq!(rows[4][0].colspan, 2);
    }

    #[test]
    fn numbers_drawn_in_one_go_are_divided_and_letters_drawn_one_by_one_joined() {
        let edges = [0.0, 100.0, 200.0, 300.0];
        let mut run = piece(90.0, 20.0, "1234");
        run.bbox.x1 = 110.0;
        let mut letters: Vec<Piece> = Vec::new();
        for (n, text) in ["C", "o", "x"].into_iter().enumerate() {
            let mut letter = piece(210.0 + 5.0 * n as f64, 20.0, text);
            letter.bbox.x1 = letter.bbox.x0 + 5.0;
            letters.push(letter);
        }
        letters.push(run);
        assert_eq!(texts(&[row(&letters, &edges)]), ["12|34|Cox"]);
    }

    #[test]
    fn wrapped_text_is_left_to_the_drawn_rows() {
        let pieces = vec![
            piece(10.0, 20.0, "name"),
            piece(120.0, 20.0, "a long"),
            piece(230.0, 20.0, "x"),
            piece(120.0, 30.0, "text in"),
            piece(120.0, 40.0, "three lines"),
        ];
        assert!(by_lines(pieces, &columns(), &TABLE, 1).is_none());
        assert!(by_lines(vec![piece(10.0, 20.0, "x")], &[], &TABLE, 1).is_none(), "no drawn columns");
    }
}
