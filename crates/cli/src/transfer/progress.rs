//! How far it is, on a terminal. Nothing is shown elsewhere.

use courant_server::transfer::Step;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// A line on standard error.
pub struct Line(ProgressBar);

impl Line {
    pub fn new() -> Self {
        // Standard error; hidden when that is no terminal.
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub fn show(&self, step: Step) {
        self.0.tick();
        self.0.set_message(match step {
            Step::Checking => "checking the log".to_owned(),
            Step::Events { done, of: Some(of) } => format!("{done} of {of} events"),
            Step::Events { done, of: None } => format!("{done} events"),
            Step::SmallFiles { done } => format!("{done} small files"),
            Step::Files { done, of } => format!("{done} of {of} files"),
        });
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// `3 files (1.2 MiB)`.
pub fn files(count: u64, bytes: u64) -> String {
    format!("{} ({})", counted(count, "file"), HumanBytes(bytes))
}

/// `1 job`, `2 jobs`.
pub fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_said_in_words() {
        assert_eq!((counted(1, "job"), counted(0, "job")), ("1 job".into(), "0 jobs".into()));
        assert_eq!(files(2, 2048), "2 files (2.00 KiB)");
    }
}
