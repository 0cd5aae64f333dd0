//! Signals that stop a program.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{Shutdown, notify};

/// What Ctrl-C in a terminal sends.
const INTERRUPT: &str = "SIGINT";

impl Shutdown {
    /// From now on the first SIGTERM or SIGINT drains and the second ends. SIGINT comes from a person: then there is no time as
    /// a lame duck.
    pub fn on_signals(&self) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = self.clone();
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::info!(signal = name, "draining; a second signal ends at once");
            notify::stopping();
            if name == INTERRUPT {
                shutdown.drain_at_once()
            } else {
                shutdown.drain()
            }
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::info!(signal = name, "ending at once");
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
