//! Why a job waits, and how it waited.

use std::collections::BTreeMap;

use courant_engine::engine::PAGE;
use courant_engine::snapshot::JobSnapshot;
use courant_engine::view::View;
use courant_joblog::event::Change;
use courant_joblog::ids::{Revision, Timestamp};
use courant_joblog::job::{Job, Lane, State};
use courant_joblog::log::{Entry, Filter, Record};
use courant_proto::v1::{ExplainJobResponse, JobWait, PassedBy, WaitReason};

use crate::convert;
use crate::error::Error;
use crate::lanes::{self, LanePause};
use crate::services::Services;
use crate::worker::registry::Registry;

/// Entries of the log that are looked through for who was started meanwhile.
const MAX_ENTRIES: usize = 50_000;
/// Entries of the job that are looked through for its waits.
const MAX_OWN_ENTRIES: usize = 50_000;
/// Waits that are told, the newest.
const MAX_WAITS: usize = 100;
/// Groups of jobs that passed it.
const MAX_GROUPS: usize = 50;

/// A time during which the job waited.
struct Wait {
    cause: &'static str,
    begin: Timestamp,
    /// After this entry others may have been started before it.
    from: Revision,
    /// Since when it is in its queue, which decides who is next.
    queued: Timestamp,
    not_before: Option<Timestamp>,
    end: Option<(Timestamp, Revision)>,
    /// 0: none followed.
    attempt: u32,
}

/// Who was started while it waited.
#[derive(Default)]
struct Passed {
    groups: BTreeMap<(Lane, String), (i64, i64)>,
    before: i64,
    complete: bool,
}

/// Everything there is to tell.
pub async fn explain(
    services: &Services,
    registry: &Registry,
    paused: [Option<LanePause>; Lane::ALL.len()],
    found: JobSnapshot,
) -> Result<ExplainJobResponse, Error> {
    let job = &*found.current.job;
    let waits = waits(services, job).await?;
    let passed = match waits.last() {
        Some(last) => passed(services, job, last).await?,
        None => Passed::default(),
    };
    let reasons = if job.state == State::Queued { reasons(services, registry, &paused, job) } else { Vec::new() };
    let mut passed_by: Vec<PassedBy> = passed.groups.iter().map(|group| passed_by(job, group)).collect();
    passed_by.sort_by_key(|group| std::cmp::Reverse(group.jobs));
    passed_by.truncate(MAX_GROUPS);
    let first_wait = waits.len().saturating_sub(MAX_WAITS);
    Ok(ExplainJobResponse {
        job_id: job.id.to_string(),
        owner: job.owner.to_string(),
        kind: job.kind.to_string(),
        lane: convert::lane(job.lane).into(),
        state: convert::state(job.state).into(),
        position: found.position.map_or(0, |position| i32::try_from(position.position).unwrap_or(i32::MAX)),
        reasons,
        waits: waits[first_wait..].iter().map(wire).collect(),
        passed_by,
        started_before: passed.before,
        complete: passed.complete,
    })
}

fn wire(wait: &Wait) -> JobWait {
    JobWait {
        begin_time: Some(convert::time(wait.begin)),
        end_time: wait.end.map(|(end, _)| convert::time(end)),
        attempt: i32::try_from(wait.attempt).unwrap_or(i32::MAX),
        cause: wait.cause.to_owned(),
        not_before_time: wait.not_before.map(convert::time),
    }
}

fn passed_by(job: &Job, ((lane, owner), (jobs, retries)): (&(Lane, String), &(i64, i64))) -> PassedBy {
    let code = match () {
        () if *lane != job.lane => "OTHER_LANE",
        () if owner != job.owner.as_str() => "OTHER_OWNER",
        () => "SAME_OWNER",
    };
    let (lane, owner) = (convert::lane(*lane).into(), owner.clone());
    PassedBy { lane, owner, jobs: *jobs, retries: *retries, code: code.to_owned() }
}

/// The waits of a job, oldest first, out of its own entries.
async fn waits(services: &Services, job: &Job) -> Result<Vec<Wait>, Error> {
    let (filter, mut after, mut seen) = (Filter::Job(job.id.clone()), Revision::ZERO, 0);
    let mut waits: Vec<Wait> = Vec::new();
    while seen < MAX_OWN_ENTRIES {
        let page = services.engine.log.read(after, &filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        (after, seen) = (last.revision, seen + page.len());
        page.iter().for_each(|entry| note(&mut waits, entry));
    }
    Ok(waits)
}

fn note(waits: &mut Vec<Wait>, entry: &Entry) {
    let Record::Changed { event, job } = &entry.record else { return waits.clear() };
    let (cause, not_before) = match &event.change {
        Change::Submitted(_) => ("SUBMITTED", None),
        Change::Requeued { .. } => ("REQUEUED", None),
        Change::Retrying { not_before, .. } => ("RETRIED", Some(*not_before)),
        Change::Started { attempt, .. } => return end(waits, event.at, entry.revision, *attempt),
        Change::Cancelled { .. } | Change::Failed { .. } => return end(waits, event.at, entry.revision, 0),
        Change::Planned { .. }
        | Change::PageFinished { .. }
        | Change::ExportStarted { .. }
        | Change::ExportCompleted { .. }
        | Change::ExportFailed { .. }
        | Change::OutputStored { .. }
        | Change::Cancelling { .. }
        | Change::Succeeded { .. } => return,
    };
    let (begin, from, queued) = (event.at, entry.revision, job.queued);
    waits.push(Wait { cause, begin, from, queued, not_before, end: None, attempt: 0 });
}

fn end(waits: &mut [Wait], at: Timestamp, revision: Revision, attempt: u32) {
    if let Some(wait) = waits.last_mut().filter(|wait| wait.end.is_none()) {
        (wait.end, wait.attempt) = (Some((at, revision)), attempt);
    }
}

/// Who was started during a wait, of the job's kind.
async fn passed(services: &Services, job: &Job, wait: &Wait) -> Result<Passed, Error> {
    let until = wait.end.map_or(Revision(u64::MAX), |(_, revision)| revision);
    let (mut passed, mut after, mut seen) = (Passed::default(), wait.from, 0);
    loop {
        let page = services.engine.log.read(after, &Filter::All, PAGE).await?;
        let Some(last) = page.last().map(|entry| entry.revision) else { break };
        page.iter().filter(|entry| entry.revision < until).for_each(|entry| passed.note(job, wait, entry));
        (after, seen) = (last, seen + page.len());
        if last >= until {
            break;
        }
        if seen >= MAX_ENTRIES {
            return Ok(passed);
        }
    }
    // Entries may go while they are read: asked after them.
    passed.complete = services.engine.log.trimmed(&Filter::All).await? <= wait.from;
    Ok(passed)
}

impl Passed {
    fn note(&mut self, job: &Job, wait: &Wait, entry: &Entry) {
        let Record::Changed { event, job: other } = &entry.record else { return };
        let is_start = matches!(event.change, Change::Started { .. });
        if !is_start || other.kind != job.kind || other.id == job.id {
            return;
        }
        if other.queued <= wait.queued {
            self.before += 1;
            return;
        }
        let (jobs, retries) = self.groups.entry((other.lane, other.owner.to_string())).or_default();
        *jobs += 1;
        *retries += i64::from(other.attempt > 1);
    }
}

/// What is known of the workers for a kind.
struct Workers {
    connected: u32,
    drained: u32,
    slots: u32,
    busy: u32,
}

fn workers(services: &Services, registry: &Registry, kind: &str) -> Workers {
    let takes = registry.list().into_iter().filter(|worker| worker.capabilities.kinds.iter().any(|of| **of == *kind));
    let connected: Vec<_> = takes.filter(|worker| worker.connected).collect();
    let ready = || connected.iter().filter(|worker| !worker.drained);
    let held = |view: &View| ready().map(|worker| view.held_count(&worker.worker)).sum::<u32>();
    Workers {
        connected: connected.len() as u32,
        drained: connected.iter().filter(|worker| worker.drained).count() as u32,
        slots: ready().map(|worker| worker.capabilities.slots).sum(),
        busy: services.engine.read(held),
    }
}

/// Why it waits now, what weighs most first.
fn reasons(
    services: &Services,
    registry: &Registry,
    paused: &[Option<LanePause>; Lane::ALL.len()],
    job: &Job,
) -> Vec<WaitReason> {
    let mut reasons = Vec::new();
    let mut add = |code: &str, message: String| reasons.push(WaitReason { code: code.to_owned(), message });
    if let Some(pause) = &paused[job.lane as usize] {
        let (lane, by) = (lanes::name(job.lane), &pause.by);
        let why = if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
        add(
            "LANE_PAUSED",
            format!("{by} paused the lane {lane}{why}; `courant admin resume-lane {lane}` has it served"),
        );
    }
    let ms = job.not_before.map_or(0, |at| at.0 - Timestamp::now().0);
    if ms > 0 {
        let seconds = ms as f64 / 1000.0;
        add("RETRY_DELAYED", format!("attempt {} ended badly, and the next one is due in {seconds:.1} s", job.attempt));
    }
    let workers = workers(services, registry, &job.kind);
    if workers.connected == 0 {
        add("NO_WORKER", format!("no worker takes jobs of the kind {}: start one", job.kind));
    } else if workers.drained == workers.connected {
        let message = format!("all {} workers for it are drained: resume one, or start another", workers.drained);
        add("WORKERS_DRAINED", message);
    }
    running_limits(services, registry, job, &mut add);
    if workers.slots > 0 && workers.busy >= workers.slots {
        add(
            "ALL_SLOTS_BUSY",
            format!("all {} slots of its workers are in use: wait, or start more workers", workers.slots),
        );
    }
    queue_reasons(services, paused, job, &mut add);
    if reasons.is_empty() {
        let message = "nothing holds it up: a server is about to give it to a worker".to_owned();
        reasons.push(WaitReason { code: "STARTING".to_owned(), message });
    }
    reasons
}

fn running_limits(services: &Services, registry: &Registry, job: &Job, add: &mut impl FnMut(&str, String)) {
    let slots = registry.slots_of(std::slice::from_ref(&job.kind));
    let limits = services.engine.config.running_limits(&slots);
    let (in_all, running, waiting) = services.engine.read(|view| {
        let waiting: u64 = Lane::ALL.iter().map(|lane| view.queue(&job.kind, *lane).waiting.jobs).sum();
        (view.running_in_all(&job.kind), view.running_of(&job.kind, &job.owner), waiting)
    });
    let (most, share) = (limits.at_any_time(), limits.while_others_wait(&job.kind));
    if in_all >= limits.of_kind(&job.kind) {
        let message = format!("{in_all} of the kind {} run, and no more of it may (--kind-running)", job.kind);
        add("KIND_LIMIT", message);
    }
    if running >= most {
        add("OWNER_LIMIT", format!("{} has {running} of it running, and may have {most} (--owner-running)", job.owner));
    } else if running >= share && waiting > 1 {
        let message = format!(
            "{} has {running} of it running: no more than {share} while others wait (--owner-share)",
            job.owner
        );
        add("OWNER_SHARE", message);
    }
}

fn queue_reasons(
    services: &Services,
    paused: &[Option<LanePause>; Lane::ALL.len()],
    job: &Job,
    add: &mut impl FnMut(&str, String),
) {
    let (position, weights, others) = services.engine.read(|view| {
        let others = Lane::ALL.map(|lane| (lane, view.queue(&job.kind, lane).waiting.jobs));
        (view.position(job), view.weights(), others)
    });
    let weighed = services.lanes.weighed();
    if let Some(ahead) = position.map(|position| position.ahead.jobs).filter(|ahead| *ahead > 0) {
        add("JOBS_AHEAD", format!("{ahead} jobs are before it in the lane {}", lanes::name(job.lane)));
    }
    for (lane, waiting) in others {
        if lane != job.lane && waiting > 0 && paused[lane as usize].is_none() {
            let (name, theirs, own) = (lanes::name(lane), weights.of(lane), weights.of(job.lane));
            let set = [lane, job.lane].iter().find_map(|lane| weighed[*lane as usize].as_ref());
            let by = set.map(|set| format!(" by a weight that {} has set", set.by)).unwrap_or_default();
            add(
                "OTHER_LANES",
                format!("{waiting} jobs wait in the lane {name}, which is served {theirs} times to {own}{by}"),
            );
        }
    }
}
