//! Webhooks as a courier of the delivery engine.

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::log::{Entry, ReadError, Record};
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::message::Messages;
use super::plan::{JobEvents, Plan, due_in, is_down, plan};
use super::send::{Outcome, Outgoing, Sender};
use super::settle::{JobEnd, JobResult, Patience, settle};
use crate::delivery::{self, Backoff, Courier, Ended, Limits, Senders, Target};
use crate::notifications::NotificationInbox;
use crate::services::Services;
use crate::webhook_store::{Attempt, Endpoint, Known, Position, Progress, SigningSecrets, WebhookStoreError};

/// Failures at one host, without a success, after which a round leaves it alone.
const HOST_FAILURES: usize = 4;

/// Sends for ever. Of several servers each sends to the endpoints that are its own.
pub async fn run(courier: Arc<WebhookCourier>) {
    let services = courier.services.clone();
    tokio::join!(delivery::run(courier), services.webhooks.follow());
}

pub struct WebhookCourier {
    services: Arc<Services>,
    notifications: Arc<NotificationInbox>,
    senders: Arc<dyn Senders>,
    /// Only [`Courier::changed`] waits with it.
    servers: tokio::sync::Mutex<watch::Receiver<()>>,
    sender: Sender,
    patience: Patience,
}

/// An endpoint that may have something to send.
#[derive(Clone, Debug)]
pub struct WebhookTarget {
    endpoint: Arc<Endpoint>,
    urgent: bool,
}

/// Why sending stopped: its own store, or the log.
#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    #[error(transparent)]
    Store(#[from] WebhookStoreError),
    #[error(transparent)]
    Log(#[from] ReadError),
}

impl Target for WebhookTarget {
    fn key(&self) -> &str {
        &self.endpoint.id
    }

    fn owner(&self) -> &str {
        self.endpoint.owner.as_str()
    }

    /// That of callbacks has many.
    fn host(&self) -> String {
        host(&self.endpoint.url).unwrap_or_else(|| self.endpoint.id.clone())
    }

    fn is_urgent(&self) -> bool {
        self.urgent
    }
}

/// Without the rest of the URL, which may have secrets.
fn host(url: &str) -> Option<String> {
    url::Url::parse(url).ok()?.host_str().map(str::to_owned)
}

impl Courier for WebhookCourier {
    type Target = WebhookTarget;
    type Error = CourierError;

    fn name(&self) -> &'static str {
        "webhooks"
    }

    fn limits(&self) -> Limits {
        let config = &self.services.config.webhooks;
        Limits {
            in_all: config.webhook_at_once,
            per_host: config.webhook_per_host_at_once,
            per_user: config.webhook_per_user_at_once,
        }
    }

    fn backoff(&self) -> Backoff {
        self.patience.backoff
    }

    /// By time, and not by how often: see `settle`.
    fn patience(&self) -> Option<u32> {
        None
    }

    async fn changed(&self) {
        let mut servers = self.servers.lock().await;
        tokio::select! {
            () = self.services.webhooks.pending() => {}
            Ok(()) = servers.changed() => self.all_changed(),
        }
    }

    fn all_changed(&self) {
        self.services.webhooks.all_pending();
    }

    async fn collect(&self) -> Result<Vec<WebhookTarget>, CourierError> {
        let pending = self.services.webhooks.take_pending().into_iter();
        let ours = pending.filter(|(endpoint, _)| self.senders.is_ours(&endpoint.id));
        Ok(ours.map(|(endpoint, urgent)| WebhookTarget { endpoint, urgent }).collect())
    }

    /// Sends all that an endpoint waits for, in rounds, or until something is in the way.
    async fn deliver(&self, target: &WebhookTarget) -> Result<Ended, CourierError> {
        let store = &self.services.webhooks;
        loop {
            let known = store.find(&target.endpoint.id);
            let Some(known) = known.filter(|known| known.is_on() && self.senders.is_ours(&known.endpoint.id)) else {
                return Ok(Ended::Done);
            };
            let progress = self.current(&known);
            let now = self.services.engine.wall.now();
            let longest = self.patience.backoff.longest;
            let plan = plan(&*self.services.engine.log, &known.endpoint, &progress, (now, longest)).await?;
            if plan.jobs.is_empty() {
                let moved = plan.position > progress.position.revision;
                let next = progress.waiting.iter().map(|job| due_in(job, now, longest)).min();
                if moved {
                    // Nothing of it is sent: after a crash it is looked through again.
                    let position = Position { revision: plan.position, ..progress.position };
                    store.set_progress(Progress { position, ..progress }, false).await?;
                    continue;
                }
                return Ok(next.map_or(Ended::Done, Ended::Again));
            }
            if let Some(ended) = self.round(&known, progress, plan).await? {
                return Ok(ended);
            }
        }
    }

    async fn forget(&self, _: WebhookTarget) -> Result<(), CourierError> {
        Ok(())
    }
}

impl WebhookCourier {
    pub fn new(
        services: Arc<Services>,
        notifications: Arc<NotificationInbox>,
        senders: Arc<dyn Senders>,
        sender: Sender,
    ) -> Self {
        let servers = tokio::sync::Mutex::new(senders.changed());
        let patience = Patience::new(&services.config.webhooks);
        Self { services, notifications, senders, servers, sender, patience }
    }

    /// How far an endpoint is in the log as it is now.
    fn current(&self, known: &Known) -> Progress {
        let (mut progress, info) = (known.current(), self.services.engine.log.info());
        let Position { epoch, revision } = progress.position;
        if !info.covers(epoch, revision) {
            tracing::warn!(
                webhook = known.endpoint.id,
                "the log was replaced: a webhook is sent what comes from now on"
            );
            progress.waiting.clear();
            progress.position.revision = *self.services.engine.applied().borrow();
        }
        progress.position.epoch = info.current().id;
        progress
    }

    /// Sends a plan. Gives how it ended for now, if it did.
    async fn round(&self, known: &Known, mut progress: Progress, plan: Plan) -> Result<Option<Ended>, CourierError> {
        let (services, endpoint) = (&self.services, &known.endpoint);
        let Plan { jobs, position, behind } = plan;
        let secrets = services.webhooks.secrets(endpoint, services.engine.wall.now());
        let round = Round { courier: self, endpoint, secrets, hosts: Mutex::default(), attempts: Mutex::default() };
        let at_once = services.config.webhooks.webhook_events_at_once;
        let sending = futures::stream::iter(jobs.into_iter().map(|events| round.send(events)));
        let results: Vec<JobResult> = sending.buffer_unordered(at_once).collect().await;
        let failure = results.iter().find_map(|result| match &result.end {
            JobEnd::Failed { asked, why } => Some((*asked, why.clone())),
            JobEnd::All | JobEnd::NotTried | JobEnd::Gone { .. } => None,
        });
        let now = services.engine.wall.now();
        let settled = settle(&mut progress, endpoint, (position, &behind), results, (now, &self.patience));
        let mut attempts = round.attempts.into_inner();
        attempts.sort_by_key(|attempt| attempt.at);
        let newest = attempts.len().saturating_sub(1);
        for (at, mut attempt) in attempts.into_iter().enumerate() {
            attempt.given_up = settled.given_up > 0 && at == newest;
            progress.note(attempt);
        }
        services.webhooks.stats.given_up.add(settled.given_up);
        let (is_off, is_down) = (progress.switched_off.clone(), is_down(endpoint, &progress));
        services.webhooks.set_progress(progress, true).await?;
        if let Some(off) = is_off {
            services.webhooks.stats.switched_off.inc();
            self.tell_owner(endpoint, &off.why).await;
            return Ok(Some(Ended::Done));
        }
        Ok(failure.filter(|_| is_down).map(|(asked, why)| Ended::Failed(asked, why)))
    }

    async fn tell_owner(&self, endpoint: &Endpoint, why: &str) {
        let host = host(&endpoint.url).unwrap_or_default();
        tracing::info!(webhook = endpoint.id, host, why, "a webhook is switched off");
        let told =
            self.notifications.webhook_off(endpoint.owner.as_str(), &endpoint.id, endpoint.generation, &host, why);
        if let Err(error) = told.await {
            tracing::error!(%error, webhook = endpoint.id, "its owner is not notified that a webhook is switched off");
        }
    }
}

/// What the events of one round share.
struct Round<'a> {
    courier: &'a WebhookCourier,
    endpoint: &'a Endpoint,
    secrets: Option<SigningSecrets>,
    /// Failures in a row, by host.
    hosts: Mutex<HashMap<String, usize>>,
    attempts: Mutex<Vec<Attempt>>,
}

impl Round<'_> {
    /// Sends a job's events in order, up to the first that is not received.
    async fn send(&self, events: JobEvents) -> JobResult {
        let mut received = 0;
        let end = loop {
            let Some(entry) = events.entries.get(received) else { break JobEnd::All };
            let Record::Changed { job, .. } = &entry.record else { break JobEnd::All };
            let url = if self.endpoint.is_callback() {
                job.later.callback.as_deref().unwrap_or_default()
            } else {
                &self.endpoint.url
            };
            let host = host(url).unwrap_or_default();
            if self.hosts.lock().get(&host).is_some_and(|failures| *failures >= HOST_FAILURES) {
                break JobEnd::NotTried;
            }
            let failures = events.waited.as_ref().filter(|_| received == 0).map_or(0, |waited| waited.failures);
            match self.send_one(entry, url, failures + 1).await {
                Some((Outcome::Received, _)) | None => {
                    self.hosts.lock().insert(host, 0);
                    received += 1;
                }
                Some((Outcome::Gone, attempt)) => break JobEnd::Gone { why: attempt.error },
                Some((Outcome::Failed(asked), attempt)) => {
                    *self.hosts.lock().entry(host).or_default() += 1;
                    break JobEnd::Failed { asked, why: attempt.error };
                }
            }
        };
        JobResult { events, received, end }
    }

    /// None for what is not sent after all.
    async fn send_one(&self, entry: &Entry, url: &str, number: u32) -> Option<(Outcome, Attempt)> {
        let services = &self.courier.services;
        let epoch = services.engine.log.info().current().id;
        let source = &services.config.webhooks.webhook_source;
        let message = Messages { endpoint: self.endpoint, source, epoch }.of_entry(entry)?;
        let outgoing = Outgoing { url, secrets: self.secrets.as_ref(), message: &message, number };
        let (outcome, attempt) = self.courier.sender.send(outgoing, &services.webhooks.stats).await;
        self.attempts.lock().push(attempt.clone());
        Some((outcome, attempt))
    }
}
