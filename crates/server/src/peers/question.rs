//! A question to the other servers.

use tokio::sync::mpsc;

use crate::worker::registry::ServerId;

/// Waits for the answers to it.
pub(super) struct Waiting(pub(super) mpsc::UnboundedSender<(ServerId, bool)>);
