//! The server's metrics, written when they are asked for: `docs/metrics.md` has the list.
//!
//! What happens often is counted where it happens, without a lock; what there is now is looked up here. The engine's lock is
//! taken for the length of a few look-ups.

use std::fmt;
use std::sync::Arc;

use courant_engine::quota::{QuotaKind, QuotaRefusals};
use courant_engine::view::View;
use courant_joblog::commit_stats::CommitStats;
use courant_joblog::job::{Lane, State};
use courant_monitoring::{GrpcCalls, Monitor, Samples};

use super::health::disk;
use crate::audit;
use crate::objects::Operation;
use crate::presence::registry::PresenceRegistry;
use crate::services::Services;
use crate::work_counts::WorkCounts;
use crate::worker::registry::{Registry, WorkerSummary};

/// What is asked.
pub(super) struct ServerMetrics {
    pub(super) services: Arc<Services>,
    pub(super) registry: Arc<Registry>,
    pub(super) presence: Arc<PresenceRegistry>,
    pub(super) calls: GrpcCalls,
}

const STATES: [(State, &str); 6] = [
    (State::Queued, "queued"),
    (State::Running, "running"),
    (State::Cancelling, "cancelling"),
    (State::Succeeded, "succeeded"),
    (State::Failed, "failed"),
    (State::Cancelled, "cancelled"),
];

/// What waits in a lane, over all kinds.
#[derive(Clone, Copy, Debug, Default)]
struct LaneNow {
    waiting: u64,
    delayed: u64,
    running: u64,
    oldest_ms: u64,
}

impl ServerMetrics {
    /// Shows them while the server lives: the monitor may outlive it, and must not keep its log open.
    pub(super) fn register(self, monitor: &Monitor) {
        let Self { services, registry, presence, calls } = self;
        let services = Arc::downgrade(&services);
        monitor.add(move |samples| {
            let Some(services) = services.upgrade() else { return Ok(()) };
            let (registry, presence, calls) = (registry.clone(), presence.clone(), calls.clone());
            Self { services, registry, presence, calls }.write(samples)
        });
    }

    fn write(&self, samples: &mut Samples<'_>) -> fmt::Result {
        self.queues(samples)?;
        self.jobs(samples)?;
        self.workers(samples)?;
        self.log(samples)?;
        self.objects(samples)?;
        self.clients(samples)?;
        self.audit(samples)?;
        self.webhooks(samples)?;
        self.calls.write(samples)
    }

    fn queues(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let lanes = self.services.engine.read(|view| Lane::ALL.map(|lane| lane_now(view, lane)));
        let mut by_lane = |name: &str, help: &str, value: fn(&LaneNow) -> f64| {
            let rows = Lane::ALL.iter().zip(&lanes).map(|(lane, now)| ([name_of(*lane)], value(now)));
            samples.gauges(name, help, ["lane"], rows)
        };
        by_lane("courant_queue_waiting_jobs", "Jobs that wait and are due, by lane.", |now| now.waiting as f64)?;
        by_lane("courant_queue_delayed_jobs", "Jobs that wait for the time of their retry, by lane.", |now| {
            now.delayed as f64
        })?;
        by_lane("courant_queue_running_jobs", "Jobs that workers hold, by lane.", |now| now.running as f64)?;
        let help = "How long the job that waits longest has waited, by lane; 0 when none waits.";
        by_lane("courant_queue_oldest_wait_seconds", help, |now| now.oldest_ms as f64 / 1000.0)?;
        let counts = &self.services.projections.work;
        let waits = Lane::ALL.iter().map(|lane| ([name_of(*lane)], counts.waits(*lane)));
        let help = "How long jobs waited until they were started, by lane; a retry waits again.";
        samples.histograms("courant_queue_wait_seconds", help, ["lane"], waits)
    }

    fn jobs(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let metrics = &self.services.projections.metrics;
        let states =
            self.services.engine.projection(metrics, |metrics, _| STATES.map(|(state, _)| metrics.jobs(state)));
        let rows = STATES.iter().zip(states).map(|((_, name), jobs)| ([*name], jobs as f64));
        samples.gauges("courant_jobs", "Jobs that are kept, by state.", ["state"], rows)?;
        let counts: &WorkCounts = &self.services.projections.work;
        samples.counter("courant_jobs_submitted", "Jobs that came into being.", counts.submitted.get())?;
        let ended = [("succeeded", &counts.succeeded), ("failed", &counts.failed), ("cancelled", &counts.cancelled)];
        let rows = ended.map(|(outcome, count)| ([outcome], count.get()));
        samples.counters("courant_jobs_ended", "Jobs that ended, by outcome.", ["outcome"], rows)?;
        let help = "From the start of the last attempt to the end of jobs that succeeded.";
        samples.histogram("courant_job_duration_seconds", help, &counts.took)?;
        let help = "Attempts that ended badly and are followed by another.";
        samples.counter("courant_job_retries", help, counts.retries.get())?;
        samples.counter("courant_jobs_requeued", "Ended jobs that somebody had tried again.", counts.requeued.get())?;
        samples.counter("courant_pages", "Pages that workers have finished.", counts.pages.get())?;
        let refusals: &QuotaRefusals = &self.services.projections.quota_refusals;
        let rows = QuotaKind::ALL.map(|which| ([which.name()], refusals.of(which).get()));
        samples.counters(
            "courant_quota_refusals",
            "Submits and uploads that a quota refused, by quota.",
            ["quota"],
            rows,
        )
    }

    fn workers(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let known = self.registry.list();
        let count = |is: &dyn Fn(&WorkerSummary) -> bool| {
            known.iter().filter(|worker| worker.connected && is(worker)).count() as f64
        };
        // A program that stands still keeps its connection for a while.
        let silent = |worker: &WorkerSummary| worker.silence > self.services.config.lease;
        let rows = [
            (["ready"], count(&|worker| !worker.drained && !silent(worker))),
            (["drained"], count(&|worker| worker.drained && !silent(worker))),
            (["silent"], count(&silent)),
        ];
        samples.gauges(
            "courant_workers",
            "Workers that are connected, those of other servers too, by state; silent: for longer than a lease.",
            ["state"],
            rows,
        )?;
        samples.gauge(
            "courant_worker_slots",
            "Slots of workers that may get jobs.",
            f64::from(self.registry.slots()),
        )?;
        let held = self.services.engine.read(|view| view.held().count());
        samples.gauge("courant_worker_slots_busy", "Slots in which a job runs.", held as f64)?;
        let (made, lost) = self.registry.claims.counts();
        samples.counter("courant_claims", "Tries to start a waiting job that this server made.", made)?;
        let help = "Of these, those in which another server was first, or the job was cancelled.";
        samples.counter("courant_claims_lost", help, lost)?;
        let help = "How long it took to start a waiting job for a worker, until that was durable.";
        samples.histogram("courant_claim_duration_seconds", help, &self.services.engine.stats.claims)
    }

    fn log(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let engine = &self.services.engine;
        let help = "How long appends of jobs took until they were durable, refused ones too.";
        samples.histogram("courant_log_append_duration_seconds", help, &engine.stats.appends)?;
        // Logs elsewhere are committed elsewhere.
        let commits: Arc<CommitStats> = engine.log.commits().unwrap_or_default();
        let help = "How long commits of the log on this disk took, with their fsync; none with the log on NATS.";
        samples.histogram("courant_log_commit_duration_seconds", help, &commits.took)?;
        samples.histogram(
            "courant_log_commit_entries",
            "Entries of the log that were committed together.",
            &commits.entries,
        )?;
        let (head, at) = (engine.log.head().borrow().0, engine.read(|view| view.revision().0));
        samples.gauge("courant_log_revision", "The newest durable revision of the log.", head as f64)?;
        let help = "Revisions of the log that the view does not show yet.";
        samples.gauge("courant_view_lag_revisions", help, head.saturating_sub(at) as f64)?;
        let (free, all) = disk(&self.services.config.data_dir).unwrap_or_default();
        samples.gauge("courant_disk_free_bytes", "Free space on the disk of the data folder.", free as f64)?;
        samples.gauge("courant_disk_size_bytes", "Size of the disk of the data folder.", all as f64)
    }

    fn objects(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let stats = &self.services.objects.stats;
        let rows = Operation::ALL.iter().map(|(operation, name)| ([*name], stats.took(*operation)));
        let help =
            "How long requests to the store of documents and results took until their answer began, by operation.";
        samples.histograms("courant_object_request_duration_seconds", help, ["operation"], rows)?;
        let rows = Operation::ALL.iter().map(|(operation, name)| ([*name], stats.failed(*operation)));
        let help = "Requests that the store of documents and results could not carry out, by operation.";
        samples.counters("courant_object_request_failures", help, ["operation"], rows)
    }

    fn audit(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let stats = &self.services.audit.stats;
        samples.counter("courant_audit_lines", "Lines that were written into the audit log.", stats.lines.get())?;
        let rows = audit::Drop::ALL.map(|(why, name)| ([name], stats.dropped(why)));
        let help = "Events that have no line of their own in the audit log, by reason.";
        samples.counters("courant_audit_events_dropped", help, ["reason"], rows)
    }

    fn webhooks(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let webhooks = &self.services.webhooks;
        let (on, off) = webhooks.counts();
        let rows = [("on", on), ("off", off)].map(|(state, count)| ([state], count as f64));
        samples.gauges("courant_webhooks", "Webhooks, by whether they are sent to.", ["state"], rows)?;
        let help = "Jobs of which something waits to be sent again to a webhook.";
        samples.gauge("courant_webhook_jobs_waiting", help, webhooks.jobs_waiting() as f64)?;
        let stats = &webhooks.stats;
        let attempts = [("received", &stats.delivered), ("failed", &stats.failed)];
        let rows = attempts.map(|(outcome, count)| ([outcome], count.get()));
        let help = "Attempts to send an event to a webhook, by outcome.";
        samples.counters("courant_webhook_attempts", help, ["outcome"], rows)?;
        let help = "Events that were given up after --webhook-retry-for.";
        samples.counter("courant_webhook_events_given_up", help, stats.given_up.get())?;
        let help = "How often a webhook was switched off because it failed.";
        samples.counter("courant_webhooks_switched_off", help, stats.switched_off.get())?;
        let help = "How long receivers of webhooks took to answer, or not to.";
        samples.histogram("courant_webhook_seconds", help, &stats.took)
    }

    fn clients(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let engine = &self.services.engine;
        samples.gauge("courant_watchers", "Watches of jobs that are open.", engine.watchers() as f64)?;
        let watches = &engine.stats.watches;
        let help = "Transient updates that a newer one replaced before they were sent.";
        samples.counter("courant_watch_updates_coalesced", help, watches.coalesced.get())?;
        let help = "Messages dropped from queues of slow watchers, which read them from the log.";
        samples.counter("courant_watch_updates_dropped", help, watches.dropped.get())?;
        samples.counter(
            "courant_watch_lagged",
            "How often a watcher was too slow for its queue.",
            watches.lagged.get(),
        )?;
        let memory = self.services.shares.upload_memory.in_use();
        samples.gauge("courant_upload_memory_bytes", "Memory that documents under way take.", f64::from(memory))?;
        let bridges = self.presence.bridges().bridges.len();
        samples.gauge("courant_bridges", "Bridges that are connected, those of other servers too.", bridges as f64)
    }
}

fn lane_now(view: &View, lane: Lane) -> LaneNow {
    let now = view.now();
    let queues = view.queues().filter(|queue| queue.lane == lane);
    queues.fold(LaneNow::default(), |sum, queue| {
        let oldest = queue.oldest.and_then(|id| view.unfinished(id)).map_or(0, |job| now.ms_since(job.since));
        LaneNow {
            waiting: sum.waiting + queue.waiting.jobs,
            delayed: sum.delayed + u64::from(queue.delayed),
            running: sum.running + u64::from(queue.held),
            oldest_ms: sum.oldest_ms.max(oldest),
        }
    })
}

fn name_of(lane: Lane) -> &'static str {
    match lane {
        Lane::Premium => "premium",
        Lane::Normal => "normal",
        Lane::Large => "large",
    }
}
