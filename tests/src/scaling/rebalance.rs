//! A server is lost while entries come at full rate: how long until others answer for its partitions.

use std::fmt;

use courant_joblog::log::PARTITIONS;

use super::{Machines, Measured};

/// After so long without a word a server counts as gone, as leases do today (`--lease` 30 s, told of six times).
const DETECTED_AFTER: f64 = 30.0;

/// The loss of one server of many.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    servers: u64,
    moved: u64,
    ready: f64,
    loading: f64,
}

impl Loss {
    /// At so many entries a second and with so many unfinished jobs in all.
    pub fn of(servers: u64, rate: f64, unfinished: f64, measured: &Measured, machines: &Machines) -> Self {
        let moved = PARTITIONS.div_ceil(servers);
        let share = moved as f64 / PARTITIONS as f64;
        // The others take one partition each in turn, and have so many seconds of processors a second to spare.
        let helpers = (servers - 1).min(moved).max(1) as f64;
        let spare = helpers * machines.cores * (1.0 - machines.busy);
        let load = unfinished * share * measured.loading / 1e6 / spare;
        // What has come meanwhile is caught up with while more comes.
        let incoming = rate * share * measured.following / 1e6;
        let backlog = (DETECTED_AFTER + load) * incoming;
        let catch_up = if spare > incoming { backlog / (spare - incoming) } else { f64::INFINITY };
        Self { servers, moved, ready: DETECTED_AFTER, loading: DETECTED_AFTER + load + catch_up }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loading = if self.loading.is_finite() { format!("{:.0} s", self.loading) } else { "never".to_owned() };
        write!(f, "| 1 of {} | {} | {:.0} s | {loading} |", self.servers, self.moved, self.ready)
    }
}
