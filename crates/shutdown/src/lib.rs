//! How a program stops, in two levels: first it drains, that is takes nothing new and finishes what it has; then it ends,
//! whatever is left. Servers take a [`Shutdown`]; programs let signals trigger it.
//!
//! Before it drains, a program that others are routed to is a *lame duck* for a while: it says that it is not ready, and
//! serves all the same, until load balancers have noticed.

pub mod supervisor;

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What Ctrl-C in a terminal sends.
const INTERRUPT: &str = "SIGINT";

/// Says when to drain and when to end. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    end: CancellationToken,
    /// Nobody has to notice first.
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

    /// Whether the end has come.
    pub fn is_ended(&self) -> bool {
        self.end.is_cancelled()
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

    /// From now on the first SIGTERM or SIGINT drains and the second ends. SIGINT comes from a person: then nothing is
    /// waited for before.
    pub fn on_signals(&self) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::info!(signal = name, "draining; a second signal ends at once");
            if name == INTERRUPT {
                shutdown.drain_at_once()
            } else {
                shutdown.drain()
            }
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::warn!(signal = name, "ending at once");
            shutdown.end();
        });
        Ok(())
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => INTERRUPT,
    }
}

/// For programs whose end is told by one token: draining begins with it, and its end comes by itself.
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
        let (told, asked) = (Shutdown::new(), Shutdown::new());
        let begun = tokio::time::Instant::now();
        told.drain();
        told.lame_duck(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        asked.drain_at_once();
        asked.lame_duck(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn draining_comes_first_and_the_end_implies_it() {
        let shutdown = Shutdown::new();
        let waiting = shutdown.clone();
        let waiter = tokio::spawn(async move { waiting.draining().await });
        shutdown.drain();
        waiter.await.unwrap();
        assert!(shutdown.is_draining() && !shutdown.is_ended());
        shutdown.end();
        shutdown.ended().await;
        let ended = Shutdown::new();
        ended.end();
        ended.draining().await;
        assert!(ended.is_draining() && ended.is_ended());
    }
}
