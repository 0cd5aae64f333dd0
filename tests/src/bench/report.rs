//! What was measured, as a table for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::machine::Machine;

/// One line of the table: every figure once for each round.
#[derive(Clone, Debug)]
pub struct Row {
    what: String,
    figures: BTreeMap<&'static str, Vec<f64>>,
    /// What a number cannot say.
    notes: Vec<String>,
    /// Why rounds are not in it.
    failed: Vec<String>,
}

/// A figure over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Figure<'a> {
    median: f64,
    low: f64,
    high: f64,
    /// In the order in which they were measured.
    rounds: &'a [f64],
}

impl<'a> Figure<'a> {
    fn of(rounds: &'a [f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(sorted.len() / 2), low: at(0), high: at(sorted.len().saturating_sub(1)), rounds }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    rows: Vec<ReportRow<'a>>,
}

#[derive(Serialize)]
struct ReportRow<'a> {
    what: &'a str,
    figures: BTreeMap<&'static str, Figure<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [String],
    /// Why rounds are not in the figures, or not in all of them.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    failed: &'a [String],
}

impl Row {
    pub fn new(what: String) -> Self {
        Self { what, figures: BTreeMap::new(), notes: Vec::new(), failed: Vec::new() }
    }

    /// The value of a figure in one round.
    pub fn add(&mut self, figure: &'static str, value: f64) {
        self.figures.entry(figure).or_default().push(value);
    }

    /// What a number cannot say, once however often it is said.
    pub fn note(&mut self, what: String) {
        if !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    /// Keeps why a round failed, so that the others still count and the table shows it.
    pub fn note_error(&mut self, round: anyhow::Result<()>) {
        if let Err(error) = round {
            self.failed.push(format!("{error:#}"));
        }
    }

    /// Whether a round failed.
    pub fn failed(&self) -> bool {
        !self.failed.is_empty()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        for (name, rounds) in &self.figures {
            let Figure { median, low, high, .. } = Figure::of(rounds);
            writeln!(f, "  {name:36} {median:12.2}  ({low:.2} to {high:.2})")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
        self.failed.iter().try_for_each(|reason| writeln!(f, "  a round failed: {reason}"))
    }
}

pub fn json(machine: &Machine, rows: &[Row]) -> serde_json::Result<String> {
    let rows = rows.iter().map(|Row { what, figures, notes, failed }| ReportRow {
        what,
        notes,
        failed,
        figures: figures.iter().map(|(name, rounds)| (*name, Figure::of(rounds))).collect(),
    });
    serde_json::to_string_pretty(&Report { machine, rows: rows.collect() })
}
