//! A model of many servers: what one log on NATS carries, and what it takes to divide the 64 partitions of the log among many
//! streams and servers. `docs/scaling.md` has what it prints.
//!
//! Only sharing all partitions by all servers is built. The rest says what dividing them would need, from what was measured of
//! what is there. Claims are played through with the very code that divides jobs among servers.

mod claims;
mod layout;
mod rebalance;

use std::fmt::Write as _;

use self::claims::Claims;
use self::layout::Layout;
use self::rebalance::Loss;

/// What was measured, by `make bench ROWS=followers` and `make bench-growth`. Times are of a processor of the machine named in
/// `docs/scaling.md`.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Entries a second that one stream takes, on three NATS servers that sync each write. All of them, the server and its
    /// clients shared two cores, so a machine for each does better.
    pub stream_rate: f64,
    /// Microseconds a server needs for an entry that it appends itself, with the call that asks for it.
    pub taking: f64,
    /// Microseconds a server needs for an entry that it follows.
    pub following: f64,
    /// Microseconds that the three NATS servers of a stream need together for an entry that one server follows.
    pub nats: f64,
    /// And for each further server that follows.
    pub nats_follower: f64,
    /// Bytes of an entry as it is stored.
    pub entry_bytes: f64,
    /// Microseconds a server needs for each job when it begins to follow.
    pub loading: f64,
}

/// What is assumed of machines.
#[derive(Clone, Copy, Debug)]
pub struct Machines {
    /// Cores of a server of Courant, and of one of NATS.
    pub cores: f64,
    /// How busy they may be, so that there is room for a server that is lost and for peaks.
    pub busy: f64,
}

pub const MEASURED: Measured = Measured {
    stream_rate: 9_900.0,
    taking: 58.0,
    following: 22.0,
    nats: 123.0,
    nats_follower: 7.6,
    entry_bytes: 800.0,
    loading: 15.0,
};

pub const MACHINES: Machines = Machines { cores: 16.0, busy: 0.5 };

/// Entries a second.
const RATES: [f64; 5] = [1e3, 1e4, 1e5, 3e5, 1e6];
/// Servers that share all jobs.
const SERVERS: [usize; 4] = [2, 4, 8, 16];
/// Unfinished jobs of which a server that takes over must know.
const UNFINISHED: f64 = 1e6;

/// One server follows everything: how much that is, and how many servers it takes where partitions are divided.
pub fn layouts() -> String {
    let mut table = "| entries/s | cores of each server, if all follow everything | streams | NATS clusters | servers | partitions of each | its entries/s, followed | its cores | MB/s it reads |\n\
                     | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for rate in RATES {
        let layout = Layout::for_rate(rate, &MEASURED, &MACHINES);
        let _ = writeln!(table, "{layout}");
    }
    table
}

/// How many claims are lost where servers come and go.
pub fn claims() -> String {
    let mut table = "| servers | claims lost, all there all the time | one comes or goes five times a second | … and gets jobs at once |\n| --- | --- | --- | --- |\n".to_owned();
    for servers in SERVERS {
        let steady = Claims::of(servers).steady().lost();
        let changing = Claims::of(servers).lost();
        let unsettled = Claims::of(servers).at_once().lost();
        let _ = writeln!(table, "| {servers} | {steady:.2} % | {changing:.2} % | {unsettled:.2} % |");
    }
    table
}

/// How long jobs of a server that is lost wait.
pub fn losses() -> String {
    let mut table = "| servers that are lost of | partitions that move | to a server that follows them already | to one that must load them |\n| --- | --- | --- | --- |\n".to_owned();
    for servers in [4, 16, 64] {
        let loss = Loss::of(servers, 1e6, UNFINISHED, &MEASURED, &MACHINES);
        let _ = writeln!(table, "{loss}");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_entries_need_no_fewer_streams_or_servers() {
        let layouts = RATES.map(|rate| Layout::for_rate(rate, &MEASURED, &MACHINES));
        assert!(
            layouts.windows(2).all(|pair| pair[0].streams <= pair[1].streams && pair[0].servers <= pair[1].servers)
        );
        assert!(layouts.iter().all(|layout| layout.cores <= MACHINES.cores * MACHINES.busy + 1e-9));
    }

    #[test]
    fn new_servers_that_wait_lose_fewer_claims() {
        let waiting = Claims::of(8).lost();
        let at_once = Claims::of(8).at_once().lost();
        assert!(waiting < at_once, "{waiting} and {at_once} %");
        assert!(Claims::of(8).steady().lost() < 1e-9, "who knows the same reaches for different jobs");
    }

    #[test]
    fn the_model_says_the_same_each_time() {
        assert_eq!(claims(), claims());
    }
}
