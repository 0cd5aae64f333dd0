//! The state of the connection to the server, for health checks.
//!
//! Written by the worker alone, read through [`Config::status`](crate::Config::status).

use tokio::sync::watch;

/// The state of a worker's connection to its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// No stream to the server, or one on which nothing was heard for two heartbeat intervals. The worker goes on
    /// with what it has and connects again by itself.
    #[default]
    Disconnected,
    /// Connected; jobs come when there are any.
    Serving,
    /// Connected, but nothing new comes: an operator has drained this worker, or the server is stopping.
    Draining,
    /// A shutdown was asked for. Final.
    Stopping,
}

impl Status {
    /// Whether this worker can be given jobs now: what a readiness probe wants to know.
    pub fn is_ready(self) -> bool {
        self == Self::Serving
    }
}

/// Holds the current [`Status`] of a worker. Cloning shares. Only the worker sets it.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(watch::Sender<Status>);

impl StatusBoard {
    /// Follows the status. Begins with the current one.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.0.subscribe()
    }

    pub(crate) fn set(&self, status: Status) {
        self.0.send_if_modified(|now| {
            let changed = *now != status && *now != Status::Stopping;
            if changed {
                tracing::debug!(?status, "status");
                *now = status;
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_is_final() {
        let board = StatusBoard::default();
        let status = board.watch();
        board.set(Status::Serving);
        assert!(status.borrow().is_ready());
        board.set(Status::Stopping);
        board.set(Status::Serving);
        assert_eq!(*status.borrow(), Status::Stopping);
    }
}
