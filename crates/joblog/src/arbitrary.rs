//! Arbitrary lives of jobs, for property tests: changes that fit the job they meet more often than not, and ones that
//! do not.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use crate::apply::apply;
use crate::event::{AttemptCharge, Change, Event, Submission};
use crate::ids::{BatchId, RequestId, Timestamp, WorkerId};
use crate::job::{Format, Job, JobError, Lane, LaterFields, Output, Page, Parameters, Zone, ZoneKind, ZoneStatus};
use crate::samples;

/// A change before it is known which job it meets.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    change: Change,
    /// Added to the attempt that would be right.
    off: i32,
    at: i64,
}

impl Draft {
    /// The event for this job.
    pub(crate) fn event(self, job: Option<&Job>) -> Event {
        let current = i64::from(job.map_or(0, |job| job.attempt));
        let near = |by: i64| u32::try_from(current + by + i64::from(self.off)).unwrap_or(0);
        let mut change = self.change;
        match &mut change {
            Change::Started { attempt, .. } => *attempt = near(1),
            Change::Planned { attempt, .. }
            | Change::PageFinished { attempt, .. }
            | Change::ExportStarted { attempt, .. }
            | Change::ExportCompleted { attempt, .. }
            | Change::ExportFailed { attempt, .. }
            | Change::Retrying { attempt, .. }
            | Change::Succeeded { attempt, .. }
            | Change::Failed { attempt, .. } => *attempt = near(0),
            Change::OutputStored { attempt, output } => {
                *attempt = near(0);
                output.attempt = *attempt;
            }
            Change::Submitted(_) | Change::Requeued { .. } | Change::Cancelling { .. } | Change::Cancelled { .. } => {}
        }
        Event::new(Timestamp(self.at), change)
    }
}

/// A first event and what is tried after it.
pub(crate) fn life(length: usize) -> impl Strategy<Value = (Submission, Vec<Draft>)> {
    (submission(), vec(draft(), 0..length))
}

/// Every event of a life that is legal, with the job after it.
pub(crate) fn history(submission: Submission, drafts: Vec<Draft>) -> Vec<(Event, Job)> {
    let first = Event::new(Timestamp(0), Change::Submitted(Box::new(submission)));
    let job = apply(None, &first).unwrap();
    let mut story = vec![(first, job)];
    for draft in drafts {
        let job = story.last().map(|(_, job)| job);
        let event = draft.event(job);
        if let Ok(next) = apply(job, &event) {
            story.push((event, next));
        }
    }
    story
}

prop_compose! {
    fn draft()(change in change(), off in prop_oneof![12 => Just(0), 1 => -2..=2], at in any::<i64>()) -> Draft {
        Draft { change, off, at }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        1 => submission().prop_map(|submission| Change::Submitted(Box::new(submission))),
        8 => text().prop_map(|worker| Change::Started { attempt: 0, worker: WorkerId::new(worker) }),
        6 => prop_oneof![9 => Just(5u32), 1 => 0u32..7, 1 => any::<u32>()]
            .prop_flat_map(|pages| {
                let document = prop_oneof![9 => Just(None), 2 => Just(Some(8)), 1 => any::<u32>().prop_map(Some)];
                (proptest::option::of(select(Lane::ALL.to_vec())), document).prop_map(move |(lane, of)| (pages, lane, of))
            })
            .prop_map(|(pages, lane, document)| Change::Planned { attempt: 0, pages, lane, document }),
        14 => page().prop_map(|page| Change::PageFinished { attempt: 0, page: Box::new(page) }),
        5 => format().prop_map(|format| Change::ExportStarted { attempt: 0, format }),
        4 => (format(), any::<u64>(), text()).prop_map(|(format, bytes, sha256)| {
            Change::ExportCompleted { attempt: 0, format, bytes, sha256: sha256.into() }
        }),
        2 => (format(), error()).prop_map(|(format, error)| Change::ExportFailed { attempt: 0, format, error }),
        4 => output().prop_map(|output| Change::OutputStored { attempt: 0, output: Box::new(output) }),
        3 => (error(), any::<i64>(), select(vec![AttemptCharge::Charged, AttemptCharge::Free])).prop_map(|(error, not_before, charge)| {
            Change::Retrying { attempt: 0, error, not_before: Timestamp(not_before), charge }
        }),
        3 => (text(), proptest::option::of(text())).prop_map(|(by, password)| Change::Requeued { by: by.into(), password: password.map(Into::into) }),
        1 => text().prop_map(|by| Change::Cancelling { by: by.into() }),
        2 => vec(text(), 0..3).prop_map(|warnings| Change::Succeeded { attempt: 0, warnings }),
        1 => error().prop_map(|error| Change::Failed { attempt: 0, error }),
        1 => text().prop_map(|by| Change::Cancelled { by: by.into() }),
    ]
}

fn text() -> impl Strategy<Value = String> {
    // A few awkward ones: making them up character by character takes most of the test's time.
    const TEXTS: [&str; 8] = ["", "a", "alice", "zoë", "日本語", "\u{0}\n\"'\\", "\u{1F4C4}", "a.b/c *>"];
    select(TEXTS.map(String::from).to_vec())
}

prop_compose! {
    fn output()(name in text(), media_type in text(), bytes in any::<u64>(), sha256 in text()) -> Output {
        Output { name: name.into(), media_type: media_type.into(), bytes, sha256: sha256.into(), attempt: 0 }
    }
}

fn parameters() -> impl Strategy<Value = Option<Parameters>> {
    prop_oneof![
        Just(None),
        text().prop_map(|text| Some(Parameters::Inline(text.into()))),
        (any::<u32>(), text()).prop_map(|(bytes, sha256)| Some(Parameters::Stored { bytes, sha256: sha256.into() })),
    ]
}

fn format() -> impl Strategy<Value = Format> {
    select(Format::ALL.to_vec())
}

prop_compose! {
    fn error()(code in text(), message in text(), retryable in any::<bool>()) -> JobError {
        JobError { code: code.into(), message: message.into(), retryable }
    }
}

prop_compose! {
    fn submission()(
        (id, owner) in (text(), text()),
        batch in of(text()),
        request in of(text()),
        lane in select(Lane::ALL.to_vec()),
        labels in proptest::collection::btree_map(text(), text(), 0..3),
        formats in vec(format(), 0..6),
        max_attempts in prop_oneof![0u32..5, any::<u32>()],
        (folder, traceparent, callback) in (of(text()), of(text()), of(text())),
        parameters in parameters(),
    ) -> Submission {
        let labels: BTreeMap<String, String> = labels;
        Submission {
            batch: batch.map(BatchId::new),
            request: request.map(RequestId::new),
            lane,
            labels,
            formats,
            max_attempts,
            later: LaterFields {
                folder: folder.map(Into::into),
                traceparent: traceparent.map(Into::into),
                parameters,
                outputs: Vec::new(),
                callback: callback.map(Into::into),
            },
            ..samples::submission(&id, &owner)
        }
    }
}

prop_compose! {
    fn page()(
        number in prop_oneof![9 => 1u32..=5, 1 => 0u32..8, 1 => any::<u32>()],
        size in (-1e6..1e6f64, 0.0..1e6f64),
        zones in vec(zone(), 0..3),
        duration_ms in any::<u64>(),
        warnings in vec(text(), 0..2),
    ) -> Page {
        Page { number, width: size.0, height: size.1, zones, duration_ms, warnings }
    }
}

prop_compose! {
    fn zone()(
        (id, tool, note) in (text(), text(), text()),
        (index, page) in (any::<u32>(), any::<u32>()),
        bbox in proptest::array::uniform4(-1e9..1e9f64),
        kind in select(vec![
            ZoneKind::Heading, ZoneKind::Paragraph, ZoneKind::List, ZoneKind::Table, ZoneKind::Figure,
            ZoneKind::Header, ZoneKind::Footer, ZoneKind::Scan,
        ]),
        status in select(vec![
            ZoneStatus::Processing, ZoneStatus::Completed, ZoneStatus::Skipped, ZoneStatus::Failed,
        ]),
        confidence in 0.0..=1.0f64,
        duration_ms in any::<u64>(),
    ) -> Zone {
        let (id, tool, note) = (id.into(), tool.into(), note.into());
        Zone { id, index, page, bbox, kind, tool, status, confidence, duration_ms, note }
    }
}
