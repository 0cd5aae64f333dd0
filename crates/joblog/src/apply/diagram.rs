//! The diagram in `docs/life-of-a-job.md` is what `apply` does: no arrow too many, none too few.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::*;
use crate::arbitrary::{history, life};
use crate::event::AttemptCharge;
use crate::ids::WorkerId;
use crate::job::{Export, ExportState};
use crate::samples::{error, output, page, submission};

const PAGE: &str = include_str!("../../../../docs/life-of-a-job.md");
const STATES: [State; 6] =
    [State::Queued, State::Running, State::Cancelling, State::Succeeded, State::Failed, State::Cancelled];

/// One arrow with one word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Move {
    from: String,
    to: String,
    by: String,
}

impl Move {
    /// A move that was made.
    pub(super) fn made(from: Option<State>, by: &Change, to: State) -> Self {
        let from = from.map_or("[*]".to_owned(), |state| format!("{state:?}"));
        let by: String = format!("{by:?}").chars().take_while(char::is_ascii_alphabetic).collect();
        Self { from, to: format!("{to:?}"), by }
    }
}

/// The arrows of the diagram.
pub(super) fn drawn() -> &'static BTreeSet<Move> {
    static DRAWN: LazyLock<BTreeSet<Move>> = LazyLock::new(read);
    &DRAWN
}

fn read() -> BTreeSet<Move> {
    let diagram = PAGE.split("```mermaid").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut lines = diagram.lines().map(str::trim).filter(|line| !line.is_empty());
    assert_eq!(lines.next(), Some("stateDiagram-v2"));
    let arrows = lines.map(|line| {
        let (from, rest) = line.split_once(" --> ").unwrap_or_else(|| panic!("not an arrow: {line}"));
        let (to, words) = rest.split_once(": ").unwrap_or_else(|| panic!("an arrow without a word: {line}"));
        (from, to, words)
    });
    arrows
        .flat_map(|(from, to, words)| {
            words.split(", ").map(|by| Move { from: from.into(), to: to.into(), by: by.into() })
        })
        .collect()
}

/// One change of every kind, each right for a job in its first attempt.
fn changes() -> Vec<Change> {
    let (attempt, format, by) = (1, Format::Json, Box::<str>::from("alice"));
    let all = vec![
        Change::Submitted(Box::new(submission("J", "alice"))),
        Change::Started { attempt, worker: WorkerId::new("w") },
        Change::Planned { attempt, pages: 2, lane: None, document: None },
        Change::PageFinished { attempt, page: Box::new(page("J", 1, 0)) },
        Change::ExportStarted { attempt, format },
        Change::ExportCompleted { attempt, format, bytes: 1, sha256: "ab".into() },
        Change::ExportFailed { attempt, format, error: error("X") },
        Change::OutputStored { attempt, output: Box::new(output("words.txt", attempt)) },
        Change::Retrying { attempt, error: error("X"), not_before: Timestamp(0), charge: AttemptCharge::Charged },
        Change::Requeued { by: by.clone(), password: None },
        Change::Cancelling { by: by.clone() },
        Change::Succeeded { attempt, warnings: vec![] },
        Change::Failed { attempt, error: error("X") },
        Change::Cancelled { by },
    ];
    // A new kind of change does not compile here: add it above, too.
    for change in &all {
        match change {
            Change::Submitted(_)
            | Change::Started { .. }
            | Change::Planned { .. }
            | Change::PageFinished { .. }
            | Change::ExportStarted { .. }
            | Change::ExportCompleted { .. }
            | Change::ExportFailed { .. }
            | Change::OutputStored { .. }
            | Change::Retrying { .. }
            | Change::Requeued { .. }
            | Change::Cancelling { .. }
            | Change::Succeeded { .. }
            | Change::Failed { .. }
            | Change::Cancelled { .. } => {}
        }
    }
    all
}

/// Jobs in a state for which every change that the state allows at all is possible with one of them: before and in the
/// first attempt, planned or not, with and without an open export.
fn jobs_in(state: State) -> Vec<Job> {
    let base = begin::submitted(&submission("J", "alice"), Timestamp(0));
    let mut jobs = Vec::new();
    for attempt in [0, 1] {
        for pages in [None, Some(2)] {
            for exports in [vec![], vec![Export { format: Format::Json, attempt, state: ExportState::Started }]] {
                let mut job = Job { state, attempt, exports, worker: Some(WorkerId::new("w")), ..base.clone() };
                job.pages.total = pages;
                job.attempt_started = Some(Timestamp(0));
                jobs.push(job);
            }
        }
    }
    jobs
}

fn driven() -> BTreeSet<Move> {
    let event = |change: &Change| Event::new(Timestamp(1), change.clone());
    let mut moves = BTreeSet::new();
    for change in changes() {
        if let Ok(job) = apply(None, &event(&change)) {
            moves.insert(Move::made(None, &change, job.state));
        }
        for job in STATES.into_iter().flat_map(jobs_in) {
            if let Ok(next) = apply(Some(&job), &event(&change)) {
                moves.insert(Move::made(Some(job.state), &change, next.state));
            }
        }
    }
    moves
}

#[test]
fn every_state_under_every_change_moves_as_the_diagram_says() {
    assert_eq!(&driven(), drawn());
}

#[test]
fn arbitrary_lives_make_all_moves_of_the_diagram_and_no_other() {
    use proptest::strategy::{Strategy as _, ValueTree as _};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut made = BTreeSet::new();
    for _ in 0..400 {
        let (submission, drafts) = life(80).new_tree(&mut runner).unwrap().current();
        let mut before = None;
        for (event, job) in history(submission, drafts) {
            made.insert(Move::made(before, &event.change, job.state));
            before = Some(job.state);
        }
    }
    assert_eq!(&made, drawn());
}

#[test]
fn the_page_explains_every_state_and_every_move() {
    let tables: String = PAGE.lines().filter(|line| line.starts_with("| ")).collect::<Vec<_>>().join("\n");
    for word in drawn().iter().flat_map(|arrow| [&arrow.from, &arrow.to, &arrow.by]).filter(|word| *word != "[*]") {
        let first =
            |line: &str| line.split('|').nth(1).is_some_and(|cell| cell.split(", ").any(|name| name.trim() == word));
        assert!(tables.lines().any(first), "{word} is in the diagram but in no table");
    }
}
