//! The limits that the engine itself keeps to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::view::{OwnerWeights, RunningLimits, Weights};

/// What an engine is opened with. Has no defaults: these are where the flags are.
#[derive(Clone, Debug)]
pub struct Config {
    /// How often each lane is served, against the others.
    pub weights: Weights,
    /// How many jobs a turn of each owner has.
    pub owner_weights: OwnerWeights,
    /// How much of the slots for a kind of jobs one owner may have while another waits: above 0, at most 1.
    pub owner_share: f64,
    /// Jobs of one kind that an owner may have running at any time; 0 for any number.
    pub owner_running: u32,
    /// Jobs of a kind that all owners may have running together; any number of kinds that are not here.
    pub kind_running: BTreeMap<Box<str>, u32>,
    /// Events that one watcher may have waiting in memory; at least 1.
    pub watch_buffer: usize,
    /// Silence on a watch after which a bookmark is sent.
    pub bookmark_interval: Duration,
}

impl Config {
    /// What may be running, given how many slots workers have for each kind.
    pub fn running_limits<'a>(&'a self, slots: &'a BTreeMap<Box<str>, u32>) -> RunningLimits<'a> {
        let running = if self.owner_running == 0 { u32::MAX } else { self.owner_running };
        RunningLimits { share: self.owner_share, running, slots, kinds: &self.kind_running }
    }
}
