//! Lets all connections write that have something waiting, one after another in one task, instead of waking a task for each.
//! The more there is to do, the longer a round takes, and the more gathers for each write of the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use courant_runtime::supervisor::Supervisor;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Writers that have their turn before other tasks of the thread have theirs: about a fifth of a millisecond.
const AT_A_TIME: usize = 64;

/// Writes what waits for one connection.
pub trait Writer: Send + Sync {
    /// Writes as much as goes without waiting. When there is something new to write, `again` is to be woken.
    fn flush(&self, again: &Waker) -> Written;
}

/// Where a turn of writing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Everything that waited is written; the next message wakes the writer again.
    All,
    /// There is more, after others had their turn.
    More,
    /// Somebody else has to go on, or nobody.
    Blocked,
}

/// As many flushers as the runtime has threads.
pub struct Flushers {
    all: Box<[Arc<Flusher>]>,
    next: AtomicUsize,
}

#[derive(Default)]
struct Flusher {
    ready: Mutex<Vec<Arc<Turn>>>,
    filled: Notify,
}

/// The place of a writer at its flusher; waking it makes the writer write.
struct Turn {
    flusher: Arc<Flusher>,
    writer: Weak<dyn Writer>,
}

impl Flushers {
    /// They run until the supervisor stops.
    pub fn start(supervisor: &Supervisor) -> Self {
        let threads = tokio::runtime::Handle::current().metrics().num_workers();
        let all: Box<[Arc<Flusher>]> = (0..threads.max(1)).map(|_| Arc::default()).collect();
        for flusher in &all {
            supervisor.keep("flusher", flusher.clone().run());
        }
        Self { all, next: AtomicUsize::new(0) }
    }

    /// Takes a writer on; it is forgotten when it is dropped. Waking what is returned makes it write.
    pub fn add(&self, writer: Weak<dyn Writer>) -> Waker {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.all.len();
        Arc::new(Turn { flusher: self.all[number].clone(), writer }).into()
    }
}

impl Flusher {
    async fn run(self: Arc<Self>) {
        let mut turns = Vec::new();
        loop {
            self.filled.notified().await;
            // Who sends to many is not done yet.
            tokio::task::yield_now().await;
            std::mem::swap(&mut turns, &mut *self.ready.lock());
            for some in turns.chunks(AT_A_TIME) {
                some.iter().for_each(Turn::take);
                tokio::task::yield_now().await;
            }
            turns.clear();
        }
    }
}

impl Turn {
    fn take(self: &Arc<Self>) {
        let Some(writer) = self.writer.upgrade() else { return };
        let again = Waker::from(self.clone());
        if writer.flush(&again) == Written::More {
            again.wake();
        }
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        let mut ready = self.flusher.ready.lock();
        let first = ready.is_empty();
        ready.push(self.clone());
        drop(ready);
        if first {
            self.flusher.filled.notify_one();
        }
    }
}
