//! This server among the others: what it says of its workers, and what it hears.

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::ids::{JobId, WorkerId};
use courant_joblog::peers::{self, Subject};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Duration, Instant, MissedTickBehavior};

use super::message::{Content, ServerMessage, WorkerMessage, decode, encode};
use super::question::Waiting;
use crate::error::Error;
use crate::services::Services;
use crate::worker::registry::{Registry, ServerId, WorkerStatus};

/// Workers in one message.
const WORKERS_AT_ONCE: usize = 500;
/// Changes within this time are told together.
const GATHERED: Duration = Duration::from_millis(20);
/// How long another server may take to do what it is asked.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

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
    /// Notified when another server has spoken.
    heard: Notify,
}

/// What is known of another server.
pub(super) struct Other {
    name: String,
    heard: Instant,
}

impl Peers {
    /// None where no other server can have the log open.
    pub fn new(services: Arc<Services>, registry: Arc<Registry>) -> Option<Arc<Self>> {
        let messages = services.engine.log.peers()?;
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = services.config.server_name.clone().unwrap_or_else(host);
        let (others, questions, heard) = (Mutex::default(), Mutex::default(), Notify::new());
        Some(Arc::new(Self { messages, services, registry, name, others, questions, heard }))
    }

    /// Speaks and listens for ever.
    pub async fn run(self: Arc<Self>) {
        let heard = self.messages.subscribe(Subject::Servers).await;
        tokio::join!(self.listen(heard), self.speak(), self.send_progress(), self.receive_progress());
    }

    /// Drains or resumes a worker of another server. `false` when no server knows it.
    pub async fn set_drained(&self, worker: &WorkerId, drained: bool) -> Result<bool, Error> {
        if !self.registry.is_elsewhere(worker) {
            return Ok(false);
        }
        let answered = async {
            self.tell(Content::Drain { worker: worker.to_string(), drained }).await;
            loop {
                let heard = self.heard.notified();
                match self.registry.drained_elsewhere(worker) {
                    Some(known) if known != drained => heard.await,
                    // None: it has come here meanwhile, and is asked itself.
                    found => return found.is_some() || self.registry.set_drained(worker, drained),
                }
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, answered).await.map_err(|_| Error::PeerSilent(worker.clone()))
    }

    /// Tells of workers whenever that changes, and often enough for their leases.
    async fn speak(&self) {
        self.tell(Content::Ask).await;
        let mut ticks = tokio::time::interval(self.services.config.lease / 6);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.forget_silent(),
                () = self.registry.changed.notified() => tokio::time::sleep(GATHERED).await,
            }
            self.tell_workers().await;
        }
    }

    /// Also when there are none: so the others know that this server is there, and this one that messages arrive.
    async fn tell_workers(&self) {
        let mut workers: Vec<WorkerMessage> = self.registry.statuses().iter().map(WorkerMessage::from).collect();
        loop {
            let rest = workers.split_off(workers.len().min(WORKERS_AT_ONCE));
            self.tell(Content::Workers(workers)).await;
            if rest.is_empty() {
                return;
            }
            workers = rest;
        }
    }

    pub(super) async fn tell(&self, content: Content) {
        let name = self.name.clone();
        if let Some(message) = encode(&ServerMessage { server: self.registry.server.0, name, content }) {
            self.messages.publish(Subject::Servers, message).await;
        }
    }

    async fn listen(&self, mut heard: mpsc::Receiver<bytes::Bytes>) {
        while let Some(message) = heard.recv().await {
            let Some(ServerMessage { server, name, content }) = decode(&message) else { continue };
            let server = ServerId(server);
            if server == self.registry.server {
                self.registry.heard_itself();
            } else {
                self.note(server, name);
            }
            self.take_in(server, content).await;
            self.heard.notify_waiters();
        }
    }

    async fn take_in(&self, server: ServerId, content: Content) {
        match content {
            Content::Workers(_) if server == self.registry.server => {}
            Content::Workers(workers) => {
                self.registry.hear(server, workers.into_iter().map(WorkerStatus::from).collect());
            }
            Content::Drain { worker, drained } => self.registry.drain_if_here(&WorkerId::new(worker), drained),
            Content::Ask => self.registry.changed.notify_one(),
            Content::WhoFollows { .. } if server == self.registry.server => {}
            Content::WhoFollows { question, job } => self.answer_who_follows(question, &JobId::new(job)).await,
            Content::Follows { question, followed } => self.take_answer(server, question, followed),
        }
    }

    fn note(&self, server: ServerId, name: String) {
        let mut others = self.others.lock();
        let now = Instant::now();
        if let Some(known) = others.get_mut(&server) {
            known.heard = now;
            return;
        }
        if name == self.name {
            tracing::warn!(%name, "another server has this server's name: give each one of its own with --server-name");
        } else {
            tracing::info!(%name, "another server is there");
        }
        others.insert(server, Other { name, heard: now });
        self.services.progress.set_wanted(true);
    }

    fn forget_silent(&self) {
        let mut others = self.others.lock();
        others.retain(|_, other| {
            let here = other.heard.elapsed() <= self.services.config.lease;
            if !here {
                tracing::info!(name = %other.name, "nothing is heard of another server any more");
            }
            here
        });
        self.services.progress.set_wanted(!others.is_empty());
    }
}
