//! Lets all connections write that have something waiting, one after another in one task, instead of waking a task for each.
//! The more there is to do, the longer a round takes, and the more gathers for each write of the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use courant_runtime::supervisor::Supervisor;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

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

struct Flusher {
    queue: Mutex<Queue>,
    filled: Notify,
    /// How many rounds have ended.
    rounds: watch::Sender<u64>,
}

#[derive(Default)]
struct Queue {
    /// Whose turn comes in the next round.
    ready: Vec<Arc<Turn>>,
    /// Whether a round is under way.
    writing: bool,
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
        let all: Box<[Arc<Flusher>]> = (0..threads.max(1)).map(|_| Arc::new(Flusher::new())).collect();
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

    /// Waits until all that have something to write now have had a turn.
    pub async fn have_had_their_turn(&self) {
        for flusher in &self.all {
            flusher.has_written().await;
        }
    }
}

impl Flusher {
    fn new() -> Self {
        Self { queue: Mutex::default(), filled: Notify::new(), rounds: watch::Sender::new(0) }
    }

    async fn has_written(&self) {
        let mut rounds = self.rounds.subscribe();
        let last = {
            let queue = self.queue.lock();
            *self.rounds.borrow() + u64::from(queue.writing) + u64::from(!queue.ready.is_empty())
        };
        // Ends at once without rounds ahead; the sender lives as long as this.
        let _ = rounds.wait_for(|ended| *ended >= last).await;
    }

    async fn run(self: Arc<Self>) {
        let mut turns = Vec::new();
        loop {
            self.filled.notified().await;
            // Who sends to many is not done yet.
            tokio::task::yield_now().await;
            self.begin_round(&mut turns);
            for some in turns.chunks(AT_A_TIME) {
                some.iter().for_each(Turn::take);
                tokio::task::yield_now().await;
            }
            turns.clear();
            self.end_round();
        }
    }

    fn begin_round(&self, turns: &mut Vec<Arc<Turn>>) {
        let mut queue = self.queue.lock();
        std::mem::swap(turns, &mut queue.ready);
        queue.writing = true;
    }

    /// Under the lock, so that whoever counts the rounds ahead counts this one once.
    fn end_round(&self) {
        let mut queue = self.queue.lock();
        queue.writing = false;
        self.rounds.send_modify(|rounds| *rounds += 1);
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
        let mut queue = self.flusher.queue.lock();
        let first = queue.ready.is_empty();
        queue.ready.push(self.clone());
        drop(queue);
        if first {
            self.flusher.filled.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;

    /// Needs so many turns to write all it has.
    struct Slow(AtomicUsize);

    impl Writer for Slow {
        fn flush(&self, _: &Waker) -> Written {
            match self.0.fetch_sub(1, Ordering::Relaxed) {
                1 => Written::All,
                _ => Written::More,
            }
        }
    }

    #[tokio::test]
    async fn who_waits_for_turns_waits_for_those_that_were_due_and_no_longer() {
        let stop = CancellationToken::new();
        let flushers = Flushers::start(&Supervisor::new(stop.clone()));
        tokio::time::timeout(Duration::from_secs(5), flushers.have_had_their_turn()).await.expect("nothing is due");
        let slow = Arc::new(Slow(AtomicUsize::new(1_000_000)));
        let shared: Arc<dyn Writer> = slow.clone();
        flushers.add(Arc::downgrade(&shared)).wake();
        for _ in 0..10 {
            let before = slow.0.load(Ordering::Relaxed);
            tokio::time::timeout(Duration::from_secs(5), flushers.have_had_their_turn()).await.expect("a turn");
            let turns = before - slow.0.load(Ordering::Relaxed);
            assert!((1..=3).contains(&turns), "{turns} turns");
        }
        stop.cancel();
    }
}
