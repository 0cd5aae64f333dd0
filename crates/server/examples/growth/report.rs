//! Figures as a table, and by which power of n they grew.

use std::fmt::Write as _;

use anyhow::Context as _;

/// A figure for one item that grows by more than this power of n is worse than n log n in all: log n itself grows by the power
/// 0.12 from 1,000 to 10,000, and caches that more items do not fit into add up to 0.3.
const WORSE: f64 = 0.5;
/// Over so many rows at once, where there are as many: what grows up to a bound, as a scan of at most 256 owners does, is no
/// worse for it.
const STEPS: usize = 2;

/// One figure for each name.
#[derive(Debug, Default)]
pub struct Row(Vec<(String, f64)>);

impl Row {
    /// What one item or one operation costs, with its unit in the name.
    pub fn add(&mut self, name: &str, value: f64) {
        self.0.push((name.to_owned(), value));
    }

    pub fn to_text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name}\t{value}");
            text
        })
    }

    pub fn from_text(text: &str) -> anyhow::Result<Self> {
        let figure = |line: &str| {
            let (name, value) = line.split_once('\t').with_context(|| format!("not a figure: {line}"))?;
            Ok((name.to_owned(), value.parse()?))
        };
        text.lines().map(figure).collect::<anyhow::Result<_>>().map(Self)
    }
}

pub struct Table {
    title: &'static str,
    rows: Vec<(usize, Row)>,
}

impl Table {
    pub fn new(title: &'static str) -> Self {
        Self { title, rows: Vec::new() }
    }

    pub fn add(&mut self, size: usize, row: Row) {
        self.rows.push((size, row));
    }

    /// Prints the newest row, and the head before the first.
    pub fn print_row(&self) {
        let Some((size, row)) = self.rows.last() else { return };
        if self.rows.len() == 1 {
            let names: Vec<&str> = row.0.iter().map(|(name, _)| name.as_str()).collect();
            println!("\n| {} | {} |\n|{}", self.title, names.join(" | "), " --- |".repeat(names.len() + 1));
        }
        let value = |value: f64| if value.is_finite() { format!("{value:.1}") } else { "-".to_owned() };
        let cells = row.0.iter().enumerate().map(|(at, (_, figure))| match self.power(self.rows.len() - 1, at, 1) {
            Some(power) => format!("{} ({power:+.2})", value(*figure)),
            None => value(*figure),
        });
        println!("| {size} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }

    /// By which power of n a figure grew since so many rows before.
    fn power(&self, row: usize, figure: usize, rows: usize) -> Option<f64> {
        let value = |row: usize| self.rows.get(row)?.1.0.get(figure).map(|(_, value)| *value);
        let (now, then) = (value(row)?, value(row.checked_sub(rows)?)?);
        let steps = (self.rows.get(row)?.0 as f64 / self.rows.get(row - rows)?.0 as f64).log10();
        (now > 0.0 && then > 0.0).then(|| (now / then).log10() / steps)
    }

    pub fn print_end(&self) {
        let mut worse = Vec::new();
        let steps = STEPS.min(self.rows.len() - 1).max(1);
        for at in steps..self.rows.len() {
            for (figure, (name, _)) in self.rows[at].1.0.iter().enumerate() {
                if let Some(power) = self.power(at, figure, steps).filter(|power| *power > WORSE) {
                    worse.push(format!("{name} at {}: n^{:.2} in all", self.rows[at].0, 1.0 + power));
                }
            }
        }
        match worse.is_empty() {
            true => println!("\n{}: nothing grew worse than n log n.", self.title),
            false => println!("\n{}: worse than n log n: {}.", self.title, worse.join("; ")),
        }
    }
}
