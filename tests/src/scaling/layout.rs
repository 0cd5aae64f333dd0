//! How many streams, clusters and servers a rate needs.

use std::fmt;

use courant_joblog::log::PARTITIONS;

use super::{Machines, Measured};

/// Servers that follow each partition: the one that answers for it, and one that is ready to.
const COPIES: f64 = 2.0;
/// NATS servers of a cluster.
const CLUSTER: f64 = 3.0;

/// A way to carry a rate.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    rate: f64,
    /// Cores of each server where all follow everything, and one call in so many comes to each.
    all_follow: f64,
    pub streams: u64,
    clusters: u64,
    pub servers: u64,
    followed: f64,
    pub cores: f64,
    megabytes: f64,
}

impl Layout {
    pub fn for_rate(rate: f64, measured: &Measured, machines: &Machines) -> Self {
        // Streams are ranges of partitions, so a power of two.
        let streams = up(rate / (measured.stream_rate * machines.busy)).next_power_of_two().min(PARTITIONS);
        let nats = rate * (measured.nats + (COPIES - 1.0) * measured.nats_follower) / 1e6;
        let clusters = up(nats / (CLUSTER * machines.cores * machines.busy)).min(streams);
        let servers =
            (1..=PARTITIONS).find(|servers| Self::cores(rate, *servers, measured) <= machines.cores * machines.busy);
        let servers = servers.unwrap_or(PARTITIONS).max(2);
        let followed = rate * (COPIES / servers as f64).min(1.0);
        Self {
            rate,
            all_follow: rate * (measured.following + (measured.taking - measured.following) / 3.0) / 1e6,
            streams,
            clusters,
            servers,
            followed,
            cores: Self::cores(rate, servers, measured),
            megabytes: followed * measured.entry_bytes / 1e6,
        }
    }

    /// Cores that each of so many servers needs.
    fn cores(rate: f64, servers: u64, measured: &Measured) -> f64 {
        let servers = servers as f64;
        let taken = rate / servers;
        let followed = rate * (COPIES / servers).min(1.0) - taken;
        (taken * measured.taking + followed.max(0.0) * measured.following) / 1e6
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = (PARTITIONS as f64 / self.servers as f64).ceil();
        write!(
            f,
            "| {} | {:.1} | {} | {} | {} | {each:.0} | {} | {:.1} | {:.0} |",
            thousands(self.rate),
            self.all_follow,
            self.streams,
            self.clusters,
            self.servers,
            thousands(self.followed),
            self.cores,
            self.megabytes
        )
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn up(number: f64) -> u64 {
    number.ceil().max(1.0) as u64
}

/// With a comma for each thousand.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
