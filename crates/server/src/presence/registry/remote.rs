//! What is known of the other servers' bridges, beside who is at them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::change::Number;
use crate::worker::registry::ServerId;

/// Servers of which something was heard.
#[derive(Debug, Default)]
pub(super) struct OtherServers(pub(super) HashMap<ServerId, OtherServer>);

#[derive(Debug, Default)]
pub(super) struct OtherServer {
    /// The number of the update that comes next; none while something is missing.
    pub(super) next: Option<u64>,
    /// Its bridges: their numbers there and here.
    pub(super) bridges: BTreeMap<u64, Number>,
    /// While a snapshot comes: what it has not named yet.
    pub(super) unconfirmed: Option<Unconfirmed>,
}

#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    pub(super) bridges: HashSet<u64>,
    pub(super) users: HashSet<(u64, Arc<str>)>,
}
