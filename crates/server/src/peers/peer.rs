//! This server among the others: what it sends of its workers, and what it receives.

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::ids::{JobId, WorkerId};
use courant_joblog::peers::{self, Subject};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Duration, Instant, MissedTickBehavior};

use super::message::{Content, ServerMessage, WorkerMessage, decode, encode};
use super::question::Waiting;
use crate::error::Error;
use crate::presence::registry::PresenceRegistry;
use crate::services::Services;
use crate::worker::registry::{Registry, SETTLED_AFTER, ServerId, WorkerStatus};

/// Workers in one message.
const WORKERS_AT_ONCE: usize = 500;
/// Changes within this time are sent together.
const GATHERED: Duration = Duration::from_millis(20);
/// How long another server may take to do what it is asked.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What is believed of another server's lease at most.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// After a start the others have said by then that they are there.
pub(super) const OTHERS_KNOWN_AFTER: Duration = Duration::from_secs(2);

/// This server among the others.
pub struct Peers {
    pub(super) messages: Arc<dyn peers::Peers>,
    pub(super) services: Arc<Services>,
    pub(super) registry: Arc<Registry>,
    /// What operators call it.
    name: String,
    pub(super) others: Mutex<HashMap<ServerId, Other>>,
    /// Questions that are not answered yet.
    pub(super) questions: Mutex<HashMap<u64, Waiting>>,
    pub(super) started: Instant,
    /// Changes when another server has come or gone, and once when the others are known.
    pub(super) membership: watch::Sender<()>,
    /// Notified when another server has sent something.
    received: Notify,
    pub(super) presence: Arc<PresenceRegistry>,
    /// Notified when another server needs all that is known here of presence.
    pub(super) snapshot_wanted: Notify,
}

/// What is known of another server.
pub(super) struct Other {
    name: String,
    heard: Instant,
    /// By which it tells of its workers.
    lease: Duration,
}

impl Peers {
    /// None where no other server can have the log open.
    pub fn new(services: Arc<Services>, registry: Arc<Registry>, presence: Arc<PresenceRegistry>) -> Option<Arc<Self>> {
        let messages = services.engine.log.peers()?;
        let name = services.config.name();
        registry.set_name(&name);
        Some(Arc::new(Self {
            messages,
            services,
            registry,
            name,
            others: Mutex::default(),
            questions: Mutex::default(),
            started: Instant::now(),
            membership: watch::Sender::new(()),
            received: Notify::new(),
            presence,
            snapshot_wanted: Notify::new(),
        }))
    }

    /// Sends and receives for ever.
    pub async fn run(self: Arc<Self>) {
        // First, so that no answer is missed.
        let received = self.messages.subscribe(Subject::Servers).await;
        let presence = self.messages.subscribe(Subject::Presence).await;
        let workers = async { tokio::join!(self.receive(received), self.announce()) };
        let progress = async { tokio::join!(self.send_progress(), self.receive_progress()) };
        let presence = async { tokio::join!(self.send_presence(), self.receive_presence(presence)) };
        let others_known = async {
            tokio::time::sleep_until(self.started + OTHERS_KNOWN_AFTER).await;
            self.membership.send_replace(());
        };
        tokio::join!(workers, progress, presence, others_known);
    }

    /// Drains or resumes a worker of another server. `false` when no server knows it.
    pub async fn set_drained(&self, worker: &WorkerId, drained: bool) -> Result<bool, Error> {
        if !self.registry.is_elsewhere(worker) {
            return Ok(false);
        }
        let answered = async {
            self.send(Content::Drain { worker: worker.to_string(), drained }).await;
            loop {
                let received = self.received.notified();
                match self.registry.drained_elsewhere(worker) {
                    Some(known) if known != drained => received.await,
                    // None: it has come here meanwhile, and is asked itself.
                    found => return found.is_some() || self.registry.set_drained(worker, drained),
                }
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, answered).await.map_err(|_| Error::PeerSilent(worker.clone()))
    }

    /// Has the other servers' bridges close the connections of a user. Who does not hear it keeps them.
    pub async fn close_user(&self, user: &str) {
        self.send(Content::CloseUser { user: user.to_owned() }).await;
    }

    /// Tells of workers whenever that changes, and often enough for their leases.
    async fn announce(&self) {
        self.send(Content::Ask).await;
        let mut ticks = tokio::time::interval(self.services.config.lease / 6);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.forget_silent(),
                () = self.registry.changed.notified() => tokio::time::sleep(GATHERED).await,
            }
            self.send_workers().await;
        }
    }

    /// Also when there are none: so the others know that this server is there, and this one that messages arrive.
    async fn send_workers(&self) {
        let mut workers: Vec<WorkerMessage> = self.registry.statuses().iter().map(WorkerMessage::from).collect();
        loop {
            let rest = workers.split_off(workers.len().min(WORKERS_AT_ONCE));
            self.send(Content::Workers(workers)).await;
            if rest.is_empty() {
                return;
            }
            workers = rest;
        }
    }

    pub(super) async fn send(&self, content: Content) {
        let (name, lease) = (self.name.clone(), self.services.config.lease);
        let lease_ms = Some(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        if let Some(message) = encode(&ServerMessage { server: self.registry.server.0, name, lease_ms, content }) {
            self.messages.publish(Subject::Servers, message).await;
        }
    }

    async fn receive(&self, mut received: mpsc::Receiver<bytes::Bytes>) {
        while let Some(message) = received.recv().await {
            let Some(ServerMessage { server, name, lease_ms, content }) = decode(&message) else { continue };
            let name: Arc<str> = name.into();
            let server = ServerId(server);
            let lease = lease_ms.map_or(self.services.config.lease, |ms| Duration::from_millis(ms).min(LONGEST_LEASE));
            if server == self.registry.server {
                self.registry.received_own();
            } else {
                self.note_server(server, &name, lease);
            }
            self.apply(server, &name, lease, content).await;
            self.received.notify_waiters();
        }
    }

    async fn apply(&self, server: ServerId, name: &Arc<str>, lease: Duration, content: Content) {
        match content {
            Content::Workers(workers) => {
                let workers: Vec<WorkerStatus> = workers.into_iter().map(WorkerStatus::from).collect();
                if server != self.registry.server {
                    self.registry.apply(server, name, lease, workers);
                } else if self.registry.announced(&workers) {
                    self.wake_when_settled();
                }
            }
            Content::Drain { worker, drained } => self.registry.drain_if_here(&WorkerId::new(worker), drained),
            Content::Ask => self.registry.changed.notify_one(),
            Content::WhoFollows { .. } if server == self.registry.server => {}
            Content::WhoFollows { question, job } => self.answer_who_follows(question, &JobId::new(job)).await,
            Content::CloseUser { .. } if server == self.registry.server => {}
            Content::CloseUser { user } => self.presence.close_user(&user),
            Content::Follows { question, followed } => self.receive_answer(server, question, followed),
        }
    }

    /// New workers can be given jobs then.
    fn wake_when_settled(&self) {
        let services = self.services.clone();
        self.services.detached.spawn(async move {
            tokio::time::sleep(SETTLED_AFTER).await;
            services.engine.wake.notify_one();
        });
    }

    fn note_server(&self, server: ServerId, name: &str, lease: Duration) {
        let mut others = self.others.lock();
        let now = Instant::now();
        if let Some(known) = others.get_mut(&server) {
            (known.heard, known.lease) = (now, lease);
            return;
        }
        if name == self.name {
            tracing::error!(%name, "another server has this server's name: give each one of its own with --server-name");
        } else {
            tracing::info!(%name, "another server is there");
        }
        let is_first = others.is_empty();
        others.insert(server, Other { name: name.to_owned(), heard: now, lease });
        self.membership.send_replace(());
        if is_first {
            self.registry.set_has_others(true);
            self.services.progress.set_wanted(true);
            self.presence.set_wanted(true);
            self.snapshot_wanted.notify_one();
        }
    }

    fn forget_silent(&self) {
        let mut others = self.others.lock();
        let silent = others.extract_if(|_, other| other.heard.elapsed() > other.lease);
        for (server, other) in silent {
            tracing::info!(name = %other.name, "another server is gone: nothing is received from it any more");
            self.presence.forget_server(server);
            self.membership.send_replace(());
        }
        if others.is_empty() {
            self.registry.set_has_others(false);
            self.services.engine.wake.notify_one();
            self.services.progress.set_wanted(false);
            self.presence.set_wanted(false);
        }
    }
}
