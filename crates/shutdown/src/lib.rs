//! How a program stops, in two levels: first it drains, that is takes nothing new and finishes what it has; then it ends,
//! whatever is left. Servers take a [`Shutdown`]; programs let signals trigger it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Says when to drain and when to end. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    end: CancellationToken,
}

impl Shutdown {
    /// Not yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends now. Whoever waits for the drain is woken, too.
    pub fn end(&self) {
        self.end.cancel();
        self.drain.cancel();
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

    /// Waits until the end.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// From now on the first SIGTERM or SIGINT drains and the second ends.
    pub fn on_signals(&self) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::info!(signal = name, "draining; a second signal ends at once");
            shutdown.drain();
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
        _ = interrupt.recv() => "SIGINT",
    }
}

/// For programs whose end is told by one token: draining begins with it, and its end comes by itself.
impl From<CancellationToken> for Shutdown {
    fn from(drain: CancellationToken) -> Self {
        Self { drain, end: CancellationToken::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
