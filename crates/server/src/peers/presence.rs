//! Presence, from server to server: each tells the others of its own bridges.
//!
//! Updates are numbered. A server that misses one asks for a snapshot; that the last one is missing shows by the next, which comes in any
//! case within a sixth of a lease.

use std::collections::HashMap;

use bytes::Bytes;
use courant_joblog::peers::Subject;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, MissedTickBehavior};

use super::peer::Peers;
use super::presence_message::{Content, PresenceMessage};
use crate::presence::registry::{Received, SnapshotPosition, Update};
use crate::worker::registry::ServerId;

/// Changes within this time are sent together.
const GATHERED: Duration = Duration::from_millis(50);
/// Between two requests for a snapshot of the same server.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// The number of the last update that was sent.
struct Sent(u64);

impl Peers {
    pub(super) async fn send_presence(&self) {
        let mut ticks = tokio::time::interval(self.services.config.lease / 6);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = Sent(0);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.send_update(&mut sent, Update::Changes(Vec::new())).await,
                () = self.presence.changed() => {
                    tokio::time::sleep(GATHERED).await;
                    self.send_changes(&mut sent).await;
                }
                () = self.snapshot_wanted.notified() => {
                    tokio::time::sleep(GATHERED).await;
                    self.send_snapshot(&mut sent).await;
                }
            }
        }
    }

    async fn send_changes(&self, sent: &mut Sent) {
        loop {
            let changes = self.presence.take_changes();
            if changes.is_empty() {
                return;
            }
            self.send_update(sent, Update::Changes(changes)).await;
        }
    }

    async fn send_snapshot(&self, sent: &mut Sent) {
        self.send_update(sent, Update::SnapshotBegins).await;
        let mut next = Some(SnapshotPosition::default());
        while let Some(from) = next.take() {
            let (changes, after) = self.presence.snapshot_page(from);
            self.send_update(sent, Update::Changes(changes)).await;
            // What changed of a page that was sent comes after it.
            self.send_changes(sent).await;
            next = after;
        }
        self.send_update(sent, Update::SnapshotEnds).await;
    }

    async fn send_update(&self, Sent(number): &mut Sent, update: Update) {
        *number += 1;
        self.send_presence_message(*number, update.into()).await;
    }

    async fn send_presence_message(&self, number: u64, content: Content) {
        let message = PresenceMessage { server: self.registry.server.0, number, content: Some(content) };
        self.messages.publish(Subject::Presence, message.encode()).await;
    }

    pub(super) async fn receive_presence(&self, mut received: mpsc::Receiver<Bytes>) {
        let mut asked: HashMap<ServerId, Instant> = HashMap::new();
        // All servers that are there already.
        self.send_presence_message(0, Content::Ask(0)).await;
        while let Some(message) = received.recv().await {
            let Some(PresenceMessage { server, number, content: Some(content) }) = PresenceMessage::decode(message)
            else {
                continue;
            };
            let server = ServerId(server);
            // One that is not known yet says who it is at once; until then its updates do not count.
            let is_known = self.others.lock().contains_key(&server);
            match content.update() {
                Ok(update) if is_known => {
                    let behind = self.presence.receive(server, number, update) == Received::Behind;
                    if behind && asked.get(&server).is_none_or(|at| at.elapsed() >= ASK_EVERY) {
                        asked.retain(|_, at| at.elapsed() < ASK_EVERY);
                        asked.insert(server, Instant::now());
                        self.send_presence_message(0, Content::Ask(server.0)).await;
                    }
                }
                Err(of) if server != self.registry.server && (of == 0 || of == self.registry.server.0) => {
                    self.snapshot_wanted.notify_one()
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}
