//! Progress that is not in the log, from server to server. Each subscribes to the partitions of which jobs are watched at it.

use bytes::Bytes;
use courant_joblog::log::PARTITIONS;
use courant_joblog::peers::Subject;
use tokio::sync::mpsc;
use tokio::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{StreamExt as _, StreamMap};

use super::message::{ProgressMessage, decode, encode};
use super::peer::Peers;

/// Progress of a job waits as long as this, so that a message carries many jobs.
const GATHERED: Duration = Duration::from_millis(50);
/// Jobs in one message.
const JOBS_AT_ONCE: usize = 500;

impl Peers {
    pub(super) async fn send_progress(&self) {
        loop {
            self.services.progress.filled().await;
            tokio::time::sleep(GATHERED).await;
            for (partition, mut updates) in self.services.progress.take() {
                while !updates.is_empty() {
                    let some = updates.split_off(updates.len().saturating_sub(JOBS_AT_ONCE));
                    if let Some(message) = encode(&ProgressMessage::new(self.registry.server, some)) {
                        self.messages.publish(Subject::Progress(partition), message).await;
                    }
                }
            }
        }
    }

    pub(super) async fn receive_progress(&self) {
        let mut watched = self.services.engine.watched_partitions();
        let mut received: StreamMap<u8, ReceiverStream<Bytes>> = StreamMap::new();
        loop {
            let wanted = *watched.borrow_and_update();
            self.subscribe_to(wanted, &mut received).await;
            loop {
                tokio::select! {
                    changed = watched.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    Some((_, message)) = received.next() => self.apply_progress(&message),
                }
            }
        }
    }

    async fn subscribe_to(&self, wanted: u64, received: &mut StreamMap<u8, ReceiverStream<Bytes>>) {
        for partition in 0..PARTITIONS as u8 {
            let is_wanted = wanted & 1 << partition != 0;
            if !is_wanted {
                received.remove(&partition);
            } else if !received.contains_key(&partition) {
                let messages: mpsc::Receiver<Bytes> = self.messages.subscribe(Subject::Progress(partition)).await;
                received.insert(partition, ReceiverStream::new(messages));
            }
        }
    }

    fn apply_progress(&self, message: &[u8]) {
        let Some(message) = decode::<ProgressMessage>(message) else { return };
        if message.server == self.registry.server.0 {
            return;
        }
        for update in message.into_updates() {
            let here = self.services.engine.read(|view| view.unfinished(&update.job).map(|current| current.revision));
            if here.is_some_and(|here| here < update.revision) {
                // What it follows has not arrived yet, for example after a pause of this server.
                continue;
            }
            // Of an attempt that is over, or is not known here yet, nothing is to be shown.
            self.services.engine.report(&update.job, update.live, update.change);
        }
    }
}
