//! Made-up jobs and events for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::apply::apply;
use crate::event::{Change, Event, Submission};
use crate::ids::{BatchId, DocumentId, JobId, Owner, RequestId, Revision, Timestamp, WorkerId};
use crate::job::{
    Document, Format, Job, JobError, Lane, LaterFields, Output, Page, Parameters, Zone, ZoneKind, ZoneStatus,
};
use crate::log::Append;

/// What a submit of this job says: JSON and plain text, at most 3 attempts without progress.
/// With every field set.
pub fn submission(id: &str, owner: &str) -> Submission {
    Submission {
        batch: Some(BatchId::new("batch")),
        request: Some(RequestId::new("request")),
        labels: BTreeMap::from([("team".into(), "blue".into())]),
        formats: vec![Format::Json, Format::Text],
        pages: Some(3),
        batch_size: Some(2),
        cancel_unwatched_ms: Some(60_000),
        password: Some("password-1".into()),
        later: LaterFields {
            folder: Some("folder-1".into()),
            parameters: Some(Parameters::Inline(r#"{"pages":"1-3"}"#.into())),
            ..LaterFields::default()
        },
        ..minimal_submission(id, owner)
    }
}

/// Without anything that may be left out; all formats. For `..minimal_submission(id, owner)`.
pub fn minimal_submission(id: &str, owner: &str) -> Submission {
    Submission {
        id: JobId::new(id),
        owner: Owner::new(owner),
        document: Document {
            id: DocumentId::new(format!("doc-{id}")),
            name: "report.pdf".into(),
            bytes: 12_345,
            sha256: "00ff".repeat(16).into(),
        },
        batch: None,
        request: None,
        kind: "pdf".into(),
        lane: Lane::Normal,
        labels: BTreeMap::new(),
        formats: Format::ALL.to_vec(),
        max_attempts: 3,
        pages: None,
        batch_size: None,
        cancel_unwatched_ms: None,
        password: None,
        later: LaterFields::default(),
    }
}

pub fn error(code: &str) -> JobError {
    JobError { code: code.into(), message: format!("what {code} means").into(), retryable: true }
}

pub fn output(name: &str, attempt: u32) -> Output {
    let sha256 = "00ff".repeat(16).into();
    Output { name: name.into(), media_type: "text/plain".into(), bytes: 12, sha256, attempt }
}

/// A page with some zones.
pub fn page(job: &str, number: u32, zones: u32) -> Page {
    Page {
        number,
        width: 595.0,
        height: 842.0,
        zones: (1..=zones).map(|index| zone(job, number, index)).collect(),
        duration_ms: 12,
        warnings: Vec::new(),
    }
}

fn zone(job: &str, page: u32, index: u32) -> Zone {
    Zone {
        id: format!("{job}-p{page}-z{index}").into(),
        index,
        page,
        bbox: [72.0, 72.5 * f64::from(index), 523.0, 90.25],
        kind: ZoneKind::Paragraph,
        tool: "text-layer".into(),
        status: ZoneStatus::Completed,
        confidence: 0.97,
        duration_ms: 3,
        note: "".into(),
    }
}

/// The first append of a job.
pub fn create(id: &str, owner: &str) -> Append {
    create_from(submission(id, owner))
}

/// The first append of the job of this submission.
pub fn create_from(submission: Submission) -> Append {
    let event = Event::new(Timestamp(1_000), Change::Submitted(Box::new(submission)));
    match apply(None, &event) {
        Ok(job) => Append::one(None, event, Arc::new(job)),
        Err(illegal) => unreachable!("a submit is always legal where there is no job: {illegal}"),
    }
}

/// The job after an append.
#[allow(clippy::expect_used, reason = "for tests")]
pub fn job_of(append: &Append) -> &Arc<Job> {
    &append.changes.last().expect("an append has at least one change").job
}

/// A further append of a job; any job can be made so as long as the log lasts. What it says does not matter to a log.
pub fn update(job: &Job, expect: Revision, number: u32) -> Append {
    let at = Timestamp(1_000 + i64::from(number));
    let event = Event::new(at, Change::Started { attempt: number, worker: WorkerId::new("worker") });
    let job = Job { attempt: number, ..job.clone() };
    Append::one(Some(expect), event, Arc::new(job))
}
