//! What was measured, as a table for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// One line of the table: every figure once for each round.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    what: String,
    figures: Figures,
}

/// The values of each figure, by its name.
pub type Figures = BTreeMap<&'static str, Vec<f64>>;

impl Row {
    pub fn new(what: String) -> Self {
        Self { what, figures: BTreeMap::new() }
    }

    /// The value of a figure in one round.
    pub fn add(&mut self, figure: &'static str, value: f64) {
        self.figures.entry(figure).or_default().push(value);
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        for (figure, values) in &self.figures {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
            let (median, low, high) = (at(sorted.len() / 2), at(0), at(sorted.len().saturating_sub(1)));
            writeln!(f, "  {figure:36} {median:12.2}  ({low:.2} to {high:.2})")?;
        }
        Ok(())
    }
}

pub fn json(rows: &[Row]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(rows)
}
