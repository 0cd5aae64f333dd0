//! How a program stops, in two levels: first it drains, that is takes nothing new and finishes what it has; then it ends,
//! whatever is left. Servers take a [`Shutdown`]; programs let signals trigger it.
//!
//! Before it drains, a program that others are routed to is a *lame duck* for a while: it says that it is not ready, and
//! serves all the same, until load balancers have noticed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Says when to drain and when to end. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    end: CancellationToken,
    /// There is no time as a lame duck.
    at_once: CancellationToken,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Begins to drain without a time as a lame duck.
    pub fn drain_at_once(&self) {
        self.at_once.cancel();
        self.drain.cancel();
    }

    /// Ends now. Whoever waits for the drain is woken, too.
    pub fn end(&self) {
        self.end.cancel();
        self.drain_at_once();
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits until draining begins.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits for as long as the program is a lame duck after draining has begun. Not at all where a person asked for the
    /// end (SIGINT): no load balancer has to notice that.
    pub async fn lame_duck(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.at_once.cancelled() => {}
        }
    }

    /// Waits until the end.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }
}

/// For callers with one token: cancelling it begins the drain, and nothing cuts it short.
impl From<CancellationToken> for Shutdown {
    fn from(drain: CancellationToken) -> Self {
        Self { drain, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lame_duck_serves_on_unless_a_person_asked_for_the_end() {
        let (by_program, by_person) = (Shutdown::new(), Shutdown::new());
        let begun = tokio::time::Instant::now();
        by_program.drain();
        by_program.lame_duck(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        by_person.drain_at_once();
        by_person.lame_duck(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn draining_comes_first_and_the_end_implies_it() {
        let shutdown = Shutdown::new();
        let waiting = shutdown.clone();
        let waiter = tokio::spawn(async move { waiting.draining().await });
        shutdown.drain();
        waiter.await.unwrap();
        assert!(shutdown.is_draining() && !shutdown.end.is_cancelled());
        shutdown.end();
        shutdown.ended().await;
        let ended = Shutdown::new();
        ended.end();
        ended.draining().await;
        assert!(ended.is_draining() && ended.end.is_cancelled());
    }
}
