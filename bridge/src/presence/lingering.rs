//! A page reload does not look like leaving and coming back: a device that is gone is still shown for a grace, as it was.

use std::collections::BTreeMap;
use std::time::Duration;

use courant_proto::v1;
use tokio::time::Instant;

use super::merge::since;

/// What subscribers have been shown.
#[derive(Debug)]
pub struct Lingering {
    grace: Duration,
    known: BTreeMap<String, LingeringDevice>,
}

#[derive(Debug)]
struct LingeringDevice {
    device: v1::Device,
    /// When it has left for good, while it is away.
    until: Option<Instant>,
}

impl Lingering {
    /// Nobody has been shown.
    pub fn new(grace: Duration) -> Self {
        Self { grace, known: BTreeMap::new() }
    }

    /// Those to show, given those that are connected; the longest connected first. One that came back within the grace has
    /// been there all the time.
    pub fn update(&mut self, now: Instant, present: BTreeMap<String, v1::Device>) -> Vec<v1::Device> {
        let grace = self.grace;
        self.known.retain(|id, known| present.contains_key(id) || *known.until.get_or_insert(now + grace) > now);
        for (id, mut device) in present {
            if let Some(known) = self.known.get(&id)
                && since(&known.device) < since(&device)
            {
                device.connect_time = known.device.connect_time;
            }
            self.known.insert(id, LingeringDevice { device, until: None });
        }
        let mut shown: Vec<_> = self.known.values().map(|known| known.device.clone()).collect();
        shown.sort_by_key(since);
        shown
    }

    /// When the next device has left for good.
    pub fn next(&self) -> Option<Instant> {
        self.known.values().filter_map(|known| known.until).min()
    }
}
