//! The audit log, as the rest of the server uses it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::event::AuditEvent;
use super::file::{AuditError, AuditFiles, AuditWriter};
use super::limits::{ActorLimits, Category};
use super::search::{Found, Search, search};
use super::stats::{AuditStats, Drop as Dropped};
use super::writer::{Message, Thread};

/// Events that wait for the writer.
const QUEUE: usize = 8192;
/// How long a reader waits for the writer.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Takes events, and finds them again. What it is dropped with is in the file.
#[derive(Debug)]
pub struct AuditLog {
    server: String,
    files: AuditFiles,
    limits: Arc<ActorLimits>,
    pub stats: Arc<AuditStats>,
    /// None while it is dropped.
    messages: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl AuditLog {
    /// Opens the files or makes them; `rate` is how many events per second of one actor are written. The thread ends with it.
    pub fn open(files: AuditFiles, rate: u32, server: &str) -> Result<Self, AuditError> {
        let (writer, number) = AuditWriter::open(files.clone())?;
        let (limits, stats) = (Arc::new(ActorLimits::new(rate)), Arc::<AuditStats>::default());
        let own = Thread { writer, number, server: server.to_owned(), limits: limits.clone(), stats: stats.clone() };
        let (messages, received) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("audit-log".to_owned()).spawn(move || own.run(&received));
        let thread = thread.map_err(|source| AuditError::Io { path: "a thread".into(), source })?;
        let (messages, thread) = (Some(messages), Some(thread));
        Ok(Self { server: server.to_owned(), files, limits, stats, messages, thread })
    }

    /// The name of the server in its lines.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Writes an event soon. Never waits.
    pub fn record(&self, category: Category, event: AuditEvent) {
        let event = event.cut();
        let actor = match category {
            Category::Action => event.actor.as_deref(),
            // Not what a caller says of its address: it could say another each time.
            Category::Refusal => event.address.as_deref(),
        };
        if !self.limits.take(category, actor.unwrap_or_default()) {
            return self.stats.drop_of(Dropped::Rate).inc();
        }
        let sent = self.messages.as_ref().map(|messages| messages.try_send(Message::Event(Box::new(event))));
        if !matches!(sent, Some(Ok(()))) {
            self.stats.drop_of(Dropped::QueueFull).inc();
        }
    }

    /// Waits until what was recorded before is in the file, but not long.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        let sent = self.messages.as_ref().map(|messages| messages.try_send(Message::Flush(done)));
        if matches!(sent, Some(Ok(()))) {
            // A writer that hangs is no reason not to read.
            let _ = tokio::time::timeout(FLUSH_WITHIN, is_done).await;
        }
    }

    /// Looks for lines. Not for threads of the runtime.
    pub fn search(&self, wanted: &Search<'_>) -> io::Result<Found> {
        search(&self.files.open_all()?, wanted)
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            // It writes what is in its queue, which is bounded.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::event::Source;
    use super::*;

    fn open(folder: &Path, rate: u32) -> AuditLog {
        AuditLog::open(AuditFiles::new(folder.join("audit.jsonl"), 1 << 20, 3), rate, "s1").unwrap()
    }

    fn event(actor: &str) -> AuditEvent {
        AuditEvent { actor: Some(actor.into()), ..AuditEvent::now(Source::Grpc, "job.cancel") }
    }

    fn all(log: &AuditLog) -> Vec<AuditEvent> {
        let all = Search { before: None, not_before: None, limit: 10_000, budget: usize::MAX, wanted: &|_| true };
        log.search(&all).unwrap().events
    }

    #[tokio::test]
    async fn events_survive_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        for run in 1..=3 {
            let log = open(folder.path(), 100);
            log.record(Category::Action, event("alice"));
            log.flush().await;
            let events = all(&log);
            let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
            assert_eq!(numbers, (1..=run).rev().collect::<Vec<u64>>());
            assert!(events.iter().all(|event| event.server == "s1"));
        }
    }

    #[tokio::test]
    async fn a_flood_leaves_a_line_that_counts_it_and_the_lines_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path(), 10);
        (0..5000).for_each(|_| log.record(Category::Action, event("mallory")));
        log.record(Category::Action, event("alice"));
        // Dropped, it writes what is left.
        drop(log);
        let events = all(&open(folder.path(), 10));
        let of = |actor: &str| events.iter().filter(|event| event.actor.as_deref() == Some(actor)).collect::<Vec<_>>();
        assert_eq!(of("alice").len(), 1);
        let counted: u64 = of("mallory").iter().map(|event| event.count).sum();
        assert_eq!(counted, 5000);
        assert!(of("mallory").len() < 200, "{}", of("mallory").len());
    }
}
