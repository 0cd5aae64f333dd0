//! What speaks for a table that was found: drawn lines, cells in line with each other, filled cells.

use pdfboss_output::{Cell, Line};

use crate::artifact::Bbox;
use crate::backend::Grid;

/// How far a drawn line may lie outside its table, in points.
const SLACK: f64 = 4.0;
/// Drawn lines closer than this, in points, are one.
const SAME_LINE: f64 = 2.0;
/// A line of the grid runs along this share of the table.
const LONG: f64 = 0.5;
/// Cells are in line when they differ by less than this part of the size of type.
const IN_LINE: f32 = 0.6;

/// Looks at the lines drawn on the page and at the cells, before anything was done to them.
pub(super) fn grid(rows: &[Vec<Cell>], table: &Bbox, drawn: &[Bbox]) -> Grid {
    let columns = rows.iter().map(|row| row.iter().map(|cell| usize::from(cell.colspan.max(1))).sum()).max();
    let cells: usize = rows.iter().map(Vec::len).sum();
    let filled = rows.iter().flatten().filter(|cell| cell.line.is_some()).count();
    Grid {
        drawn: drawn_share(rows.len(), columns.unwrap_or(0), table, drawn),
        aligned: aligned_share(rows),
        filled: filled as f64 / cells.max(1) as f64,
    }
}

/// The share of the grid's lines that are drawn; both directions weigh the same.
fn drawn_share(rows: usize, columns: usize, table: &Bbox, drawn: &[Bbox]) -> f64 {
    let around = Bbox { x0: table.x0 - SLACK, y0: table.y0 - SLACK, x1: table.x1 + SLACK, y1: table.y1 + SLACK };
    let inside: Vec<&Bbox> = drawn.iter().filter(|line| around.is_near(line, 0.0)).collect();
    let flat = inside.iter().filter(|line| line.width() >= line.height());
    let flat = flat.map(|line| (line.y0, line.x1.min(around.x1) - line.x0.max(around.x0))).collect();
    let steep = inside.iter().filter(|line| line.width() < line.height());
    let steep = steep.map(|line| (line.x0, line.y1.min(around.y1) - line.y0.max(around.y0))).collect();
    let share = |found: usize, wanted: usize| (found as f64 / (wanted + 1) as f64).min(1.0);
    (share(long(flat, table.width()), rows) + share(long(steep, table.height()), columns)) / 2.0
}

/// How many places have lines, given by place and length, that together run along most of the table.
fn long(mut lines: Vec<(f64, f64)>, side: f64) -> usize {
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let same = lines.chunk_by(|a, b| b.0 - a.0 <= SAME_LINE);
    same.filter(|same| same.iter().map(|line| line.1).sum::<f64>() >= LONG * side).count()
}

/// The share of cells in line with the others of their column: at the left, at the right or in the middle.
fn aligned_share(rows: &[Vec<Cell>]) -> f64 {
    let mut columns: Vec<Vec<&Line>> = Vec::new();
    for row in rows {
        let mut at = 0;
        for cell in row {
            let span = usize::from(cell.colspan.max(1));
            if span == 1
                && let Some(line) = &cell.line
            {
                columns.resize_with(columns.len().max(at + 1), Vec::new);
                columns[at].push(line);
            }
            at += span;
        }
    }
    let telling = columns.iter().filter(|column| column.len() > 1);
    let (inline, all) = telling.fold((0, 0), |(inline, all), column| (inline + in_line(column), all + column.len()));
    inline as f64 / all.max(1) as f64
}

/// How many cells of a column stand where most do, by the best of three ways.
fn in_line(column: &[&Line]) -> usize {
    let sides: [fn(&Line) -> f32; 3] = [|line| line.x, |line| line.end_x, |line| (line.x + line.end_x) / 2.0];
    let count = |side: fn(&Line) -> f32| {
        let mut places: Vec<f32> = column.iter().map(|line| side(line)).collect();
        places.sort_by(f32::total_cmp);
        let usual = places[places.len() / 2];
        column.iter().filter(|line| (side(line) - usual).abs() <= IN_LINE * line.size).count()
    };
    sides.into_iter().map(count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Bbox = Bbox { x0: 0.0, y0: 0.0, x1: 200.0, y1: 40.0 };

    fn cell(x: f32, end_x: f32) -> Cell {
        Cell { line: Some(Line { inlines: Vec::new(), y: 0.0, x, end_x, size: 10.0 }), colspan: 1, rowspan: 1 }
    }

    fn line(x0: f64, y0: f64, x1: f64, y1: f64) -> Bbox {
        Bbox { x0, y0, x1, y1 }
    }

    #[test]
    fn drawn_lines_are_counted_where_they_run_along_the_table() {
        let rows = vec![vec![cell(0.0, 50.0), cell(100.0, 150.0)]; 2];
        let flat = |y: f64| line(0.0, y, 200.0, y);
        let steep = |x: f64| line(x, 0.0, x, 40.0);
        let all = [flat(0.0), flat(20.0), flat(40.0), steep(0.0), steep(100.0), steep(200.0)];
        assert_eq!(grid(&rows, &TABLE, &all).drawn, 1.0);
        assert_eq!(grid(&rows, &TABLE, &all[..3]).drawn, 0.5, "rows only");
        assert_eq!(grid(&rows, &TABLE, &[]).drawn, 0.0);
        let parts = [line(0.0, 20.0, 60.0, 20.0), line(60.0, 20.5, 120.0, 20.5), line(0.0, 40.0, 20.0, 40.0)];
        assert_eq!(grid(&rows, &TABLE, &parts).drawn, 1.0 / 6.0, "pieces of one line are one, a dash is none");
    }

    #[test]
    fn cells_are_in_line_at_any_side() {
        let left = vec![vec![cell(0.0, 50.0), cell(100.0, 120.0)], vec![cell(1.0, 80.0), cell(90.0, 120.0)]];
        assert_eq!(grid(&left, &TABLE, &[]).aligned, 1.0, "one column at its left, the other at its right");
        let ragged = vec![vec![cell(0.0, 50.0)], vec![cell(20.0, 90.0)], vec![cell(40.0, 95.0)]];
        assert!(grid(&ragged, &TABLE, &[]).aligned < 0.7);
        let half = vec![vec![cell(0.0, 5.0), Cell { line: None, colspan: 1, rowspan: 1 }]];
        assert_eq!((grid(&half, &TABLE, &[]).aligned, grid(&half, &TABLE, &[]).filled), (0.0, 0.5));
    }
}
