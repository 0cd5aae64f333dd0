//! Finished jobs within retention: what a start takes, what they take in memory, and what reading them costs.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use courant_joblog::event::{Change, Event};
use courant_joblog::ids::{DocumentId, JobId, Timestamp};
use courant_joblog::job::{
    Document, Export, ExportState, Format, Job, Lane, LaterFields, PageRange, Pages, Progress, Stage, State,
};
use courant_joblog::log::{Append, Log as _};
use courant_joblog::packed::PackedJob;
use courant_joblog::sqlite::{Options, SqliteLog};
use courant_proto::v1::job_service_server::JobService as _;
use courant_proto::v1::{JobState, ListJobsRequest};
use courant_server::jobs::Jobs;

use super::measure::{Stopwatch, bytes_each, peak, quickest_us, resident};
use super::report::Row;
use super::service::{TIMES, api, by_admin, each, open, owner};

const OWNERS: usize = 1_000;
/// How many lists of each kind.
const LISTS: usize = 200;

/// Only the newest entry of each job: it is all that a start reads.
pub async fn fill(folder: &Path, jobs: usize) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder.join("log"))?;
    let log = Arc::new(SqliteLog::open(&folder.join("log"), Options::default())?);
    each(0..jobs, |number| {
        let log = log.clone();
        async move {
            let event = Event::new(Timestamp::now(), Change::Succeeded { attempt: 1, warnings: Vec::new() });
            log.append(Append::one(None, event, Arc::new(finished(number)))).await?;
            anyhow::Ok(())
        }
    })
    .await?;
    Ok(())
}

pub async fn row(folder: &Path, size: usize) -> anyhow::Result<Row> {
    let mut row = Row::default();
    let (empty, watch) = (resident()?, Stopwatch::start());
    let services = open(folder).await?;
    row.add("start, µs a job", watch.stop().clock_us(size));
    row.add("packed, bytes a job", PackedJob::of(&finished(size)).bytes() as f64);
    row.add("bytes a job", bytes_each(empty, resident()?, size));
    row.add("bytes a job at the peak", bytes_each(empty, peak()?, size));
    let ids: Vec<JobId> = services.engine.read(|view| view.list(None, None).map(|(key, _)| key.1.clone()).collect());
    anyhow::ensure!(ids.len() == size, "{} of {size} jobs are there", ids.len());
    let mut random = fastrand::Rng::with_seed(1);
    let get = quickest_us(TIMES, async || {
        (0..TIMES).for_each(|_| drop(black_box(services.engine.get(&ids[random.usize(..size)]))));
        Ok(())
    });
    row.add("get, µs", get.await?);

    let api = api(&services)?;
    let all = ListJobsRequest { owner: "-".into(), ..ListJobsRequest::default() };
    let of_one = ListJobsRequest { owner: owner(7).as_str().to_owned(), page_size: 1, ..all.clone() };
    for (name, request, jobs) in [("list of 50, µs", &all, 50), ("newest of an owner, µs", &of_one, 1)] {
        let lists = quickest_us(LISTS, async || {
            for _ in 0..LISTS {
                anyhow::ensure!(page(&api, request).await?.0 == jobs, "a page has {jobs} jobs");
            }
            Ok(())
        });
        row.add(name, lists.await?);
    }
    let failed = ListJobsRequest { states: vec![JobState::Failed.into()], ..all.clone() };
    let nothing = ListJobsRequest { filter: "\"in no job\"".into(), ..all.clone() };
    for (name, request) in [("filter by state, µs a job", failed), ("filter by text, µs a job", nothing)] {
        let filtered = quickest_us(size, async || {
            anyhow::ensure!(whole(&api, request.clone()).await? == 0, "nothing fits");
            Ok(())
        });
        row.add(name, filtered.await?);
    }
    Ok(row)
}

/// How many jobs a page has, and where the next begins.
async fn page(api: &Jobs, request: &ListJobsRequest) -> anyhow::Result<(usize, String)> {
    let answer = api.list_jobs(by_admin(request.clone())).await?.into_inner();
    Ok((answer.jobs.len(), answer.next_page_token))
}

/// How many jobs the whole list has.
async fn whole(api: &Jobs, mut request: ListJobsRequest) -> anyhow::Result<usize> {
    let mut jobs = 0;
    loop {
        let (found, next) = page(api, &request).await?;
        jobs += found;
        if next.is_empty() {
            return Ok(jobs);
        }
        request.page_token = next;
    }
}

/// A document of 12 pages that was read an hour ago, with four exports.
fn finished(number: usize) -> Job {
    let id = JobId::random();
    let begun = Timestamp::now().plus_ms(-3_600_000);
    // Jobs do not end in the order in which they came.
    let at = |second: i64| begun.plus_ms(second * 1_000 + (number % 997) as i64);
    let sha256 = || -> Box<str> { format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..)).into() };
    let export = |format: Format| {
        let state = ExportState::Completed { bytes: 40_000 + (number % 9_973) as u64, sha256: sha256() };
        Export { format, attempt: 1, state }
    };
    let (stage, operation) = (Stage::Done, "Done".to_owned());
    Job {
        owner: owner(number % OWNERS),
        document: Document {
            id: DocumentId::new(JobId::random().as_str()),
            name: format!("Quarterly report {number}.pdf").into(),
            bytes: 1_500_000 + number as u64,
            sha256: sha256(),
        },
        id,
        batch: None,
        request: None,
        kind: "pdf".into(),
        lane: Lane::Normal,
        labels: BTreeMap::new(),
        formats: Format::ALL.to_vec(),
        state: State::Succeeded,
        attempt: 1,
        max_attempts: 3,
        attempts_without_progress: 0,
        worker: None,
        progress: Progress { percent: 100.0, stage, operation, units_done: 12, units_total: 12 },
        pages: Pages {
            total: Some(12),
            done: vec![PageRange { first: 1, last: 12, attempt: 1 }],
            expected: None,
            document: None,
        },
        zones: 143,
        exports: Format::ALL.into_iter().map(export).collect(),
        warnings: Vec::new(),
        error: None,
        attempts: Vec::new(),
        created: at(0),
        queued: at(0),
        started: Some(at(2)),
        attempt_started: Some(at(2)),
        ended: Some(at(14)),
        not_before: None,
        cancelled_by: None,
        batch_size: None,
        cancel_unwatched_ms: None,
        password: None,
        later: LaterFields::default(),
        ran_ms: Some(12_034),
    }
}
