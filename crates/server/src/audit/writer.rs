//! The thread that writes the audit log. Callers never wait for it: what does not fit into its queue is counted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::actions::DROPPED;
use super::event::{AuditEvent, Source};
use super::file::AuditWriter;
use super::limits::{ActorLimits, Category};
use super::stats::{AuditStats, Drop};

/// Events that are written together.
const TOGETHER: usize = 512;
/// How often what was dropped is written, and the disk is waited for.
const TICK: Duration = Duration::from_secs(1);
/// Lines of dropped events at once; those of more actors are one.
const DROPPED_LINES: usize = 50;

/// What the thread is asked for.
pub enum Message {
    Event(Box<AuditEvent>),
    /// Answered when all before it is in the file.
    Flush(oneshot::Sender<()>),
}

/// The thread's own.
pub struct Thread {
    pub writer: AuditWriter,
    /// The number of the newest line.
    pub number: u64,
    pub server: String,
    pub limits: Arc<ActorLimits>,
    pub stats: Arc<AuditStats>,
}

impl Thread {
    /// Writes until nobody can send any more.
    pub fn run(mut self, messages: &Receiver<Message>) {
        let (mut next_tick, mut written_off, mut unsynced) = (Instant::now() + TICK, 0, false);
        loop {
            let mut batch = Vec::new();
            let wait = next_tick.saturating_duration_since(Instant::now());
            let is_last = match messages.recv_timeout(wait) {
                Ok(message) => {
                    batch.push(message);
                    batch.extend(messages.try_iter().take(TOGETHER));
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            unsynced |= self.write_messages(batch);
            if !is_last && Instant::now() < next_tick {
                continue;
            }
            unsynced |= self.write_dropped(&mut written_off);
            if std::mem::take(&mut unsynced)
                && let Err(error) = self.writer.sync()
            {
                tracing::warn!(%error, "the audit log cannot be synced");
            }
            if is_last {
                return;
            }
            next_tick = Instant::now() + TICK;
        }
    }

    fn write_messages(&mut self, batch: Vec<Message>) -> bool {
        let (mut events, mut waiting) = (Vec::new(), Vec::new());
        for message in batch {
            match message {
                Message::Event(event) => events.push(*event),
                Message::Flush(done) => waiting.push(done),
            }
        }
        let wrote = self.write(events);
        // Who asked may be gone.
        waiting.into_iter().for_each(|done| {
            let _ = done.send(());
        });
        wrote
    }

    /// What has no line of its own: a line for each actor, and for the queue and the disk.
    fn write_dropped(&mut self, written_off: &mut u64) -> bool {
        let suppressed = self.limits.take_suppressed();
        let mut events: Vec<_> = suppressed.iter().take(DROPPED_LINES).map(dropped_of).collect();
        let rest: u64 = suppressed.iter().skip(DROPPED_LINES).map(|(_, _, count)| count).sum();
        let lost = self.stats.dropped(Drop::QueueFull) + self.stats.dropped(Drop::WriteFailed);
        for (target, count) in [("rate", rest), ("queue or disk", lost - *written_off)] {
            if count > 0 {
                events.push(AuditEvent { target: Some(target.to_owned()), count, ..event() });
            }
        }
        let wrote = self.write(events);
        // Else it is told when there is space again.
        if wrote {
            *written_off = lost;
        }
        wrote
    }

    /// Whether all was written.
    fn write(&mut self, events: Vec<AuditEvent>) -> bool {
        if events.is_empty() {
            return false;
        }
        let (mut lines, count) = (Vec::new(), events.len() as u64);
        for mut event in events {
            self.number += 1;
            event.number = self.number;
            event.server.clone_from(&self.server);
            if serde_json::to_writer(&mut lines, &event).is_ok() {
                lines.push(b'\n');
            }
        }
        match self.writer.append(&lines) {
            Ok(()) => {
                self.stats.lines.add(count);
                true
            }
            Err(error) => {
                self.number -= count;
                self.stats.drop_of(Drop::WriteFailed).add(count);
                tracing::error!(%error, count, "the audit log cannot be written; these events are not in it");
                false
            }
        }
    }
}

fn event() -> AuditEvent {
    AuditEvent { code: "RESOURCE_EXHAUSTED".to_owned(), ..AuditEvent::now(Source::Server, DROPPED) }
}

fn dropped_of((category, who, count): &(Category, Box<str>, u64)) -> AuditEvent {
    let (who, count) = (Some(who.to_string()).filter(|who| !who.is_empty()), *count);
    match category {
        Category::Action => AuditEvent { actor: who, target: Some("rate".to_owned()), count, ..event() },
        // Of refusals the address is what is known.
        Category::Refusal => AuditEvent { address: who, target: Some("refusals".to_owned()), count, ..event() },
    }
}
