//! What is sent next to an endpoint: read from the log.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::{JobId, Revision, Timestamp};
use courant_joblog::log::{Entry, Filter, Log, ReadError};

use super::message::wanted;
use crate::webhook_store::{Endpoint, MAX_WAITING, Progress, WaitingJob};

/// Entries that are read at once.
const PAGE: usize = 256;
/// Jobs that are sent again in one round.
const RETRIES: usize = 64;
/// With so many jobs waiting and no success between, the receiver counts as down: it is asked with one event at a time.
const DOWN_JOBS: usize = 4;

/// Events of one job to send, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JobEvents {
    pub(super) job: JobId,
    /// Everything of the job up to here was sent.
    pub(super) after: Revision,
    pub(super) entries: Vec<Arc<Entry>>,
    /// With the entries it is everything of the job up to here.
    pub(super) up_to: Revision,
    /// More of the job was left for later.
    pub(super) has_more: bool,
    /// How it waited until now.
    pub(super) waited: Option<WaitingJob>,
}

/// One round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) jobs: Vec<JobEvents>,
    /// Where the endpoint is after this round.
    pub(super) position: Revision,
    /// Waiting jobs of which something came up to there.
    pub(super) behind: HashSet<JobId>,
}

/// Whether nothing is sent but one event, to see whether the receiver is back.
pub(super) fn is_down(endpoint: &Endpoint, progress: &Progress) -> bool {
    !endpoint.is_callback() && progress.failing_since.is_some() && progress.waiting.len() >= DOWN_JOBS
}

/// When a job is tried again. Nothing waits for longer than the longest wait: then the clock was set back since.
pub(super) fn due_in(job: &WaitingJob, now: Timestamp, longest: Duration) -> Duration {
    let after = Duration::from_millis(u64::try_from(job.due - now.0).unwrap_or(0));
    if after > longest { Duration::ZERO } else { after }
}

/// Reads what comes next. `longest`: the longest wait.
pub(super) async fn plan(
    log: &dyn Log,
    endpoint: &Endpoint,
    progress: &Progress,
    (now, longest): (Timestamp, Duration),
) -> Result<Plan, ReadError> {
    let mut plan = Plan { position: progress.position.revision, ..Plan::default() };
    let down = is_down(endpoint, progress);
    let is_due = |job: &&WaitingJob| down || due_in(job, now, longest).is_zero();
    let mut again: Vec<&WaitingJob> = progress.waiting.iter().filter(is_due).collect();
    again.sort_by_key(|job| job.due);
    for waiting in again.into_iter().take(if down { 1 } else { RETRIES }) {
        plan.jobs.push(read_job(log, endpoint, waiting, progress.position.revision).await?);
    }
    let room = MAX_WAITING.saturating_sub(progress.waiting.len()).min(PAGE);
    if !down && room > 0 {
        let filter = Filter::Owner(endpoint.owner.clone());
        let page = log.read(progress.position.revision, &filter, room).await?;
        add_new(&mut plan, endpoint, progress, &page);
    }
    Ok(plan)
}

/// What a waiting job still has, up to where the endpoint is.
async fn read_job(
    log: &dyn Log,
    endpoint: &Endpoint,
    waiting: &WaitingJob,
    up_to: Revision,
) -> Result<JobEvents, ReadError> {
    let page = log.read(waiting.after, &Filter::Job(waiting.job.clone()), PAGE).await?;
    let has_more = page.len() >= PAGE && page.last().is_some_and(|last| last.revision < up_to);
    let up_to = if has_more { page.last().map_or(up_to, |last| last.revision) } else { up_to };
    let is_sent = |entry: &&Arc<Entry>| entry.revision <= up_to && wanted(endpoint, &entry.record).is_some();
    Ok(JobEvents {
        job: waiting.job.clone(),
        after: waiting.after,
        entries: page.iter().filter(is_sent).cloned().collect(),
        up_to,
        has_more,
        waited: Some(waiting.clone()),
    })
}

/// New entries, each job's together. Those of jobs that wait wait behind them.
fn add_new(plan: &mut Plan, endpoint: &Endpoint, progress: &Progress, page: &[Arc<Entry>]) {
    let Some(last) = page.last() else { return };
    plan.position = last.revision;
    let waits: HashSet<&JobId> = progress.waiting.iter().map(|waiting| &waiting.job).collect();
    let mut known: HashMap<&JobId, usize> = HashMap::new();
    for entry in page.iter().filter(|entry| wanted(endpoint, &entry.record).is_some()) {
        let job = &entry.key.job;
        if waits.contains(job) {
            plan.behind.insert(job.clone());
            continue;
        }
        let at = *known.entry(job).or_insert_with(|| {
            plan.jobs.push(JobEvents {
                job: job.clone(),
                after: progress.position.revision,
                entries: Vec::new(),
                up_to: last.revision,
                has_more: false,
                waited: None,
            });
            plan.jobs.len() - 1
        });
        plan.jobs[at].entries.push(entry.clone());
    }
}
