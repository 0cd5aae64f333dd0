//! What the other servers are still to be told of this server's bridges: names, not messages, so that however often one changes it
//! waits once.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::change::Number;

/// As many as there are bridges and their users, at most, and those that are gone.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Whether there is another server to tell.
    wanted: bool,
    pub(super) bridges: BTreeSet<Number>,
    pub(super) users: BTreeSet<(Number, Arc<str>)>,
}

impl Changes {
    /// Whether other servers are there to be told. Who comes later needs a snapshot first.
    pub(super) fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
        if !wanted {
            (self.bridges, self.users) = Default::default();
        }
    }

    pub(super) fn bridge(&mut self, number: Number) {
        if self.wanted {
            self.bridges.insert(number);
        }
    }

    pub(super) fn user(&mut self, number: Number, user: &Arc<str>) {
        if self.wanted {
            self.users.insert((number, user.clone()));
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.bridges.is_empty() || !self.users.is_empty()
    }
}
