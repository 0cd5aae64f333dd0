//! Tells the service manager how far a program is, by `sd_notify`. Where there is none (`NOTIFY_SOCKET` is not set), nothing
//! happens.

use sd_notify::NotifyState;

/// The program has started: it serves, or takes jobs.
pub fn ready() {
    send(NotifyState::Ready);
}

/// The program has been asked to stop, and drains.
pub(crate) fn stopping() {
    send(NotifyState::Stopping);
}

fn send(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be notified (NOTIFY_SOCKET)");
    }
}
