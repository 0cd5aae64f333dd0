//! How much the bridge carries: many browsers, many topics, little memory.
//!
//! One process on one core is all browsers and all workers. It reads raw bytes, and of a message only the time at which it was
//! sent. The same client drives other servers (`--peer`), so that their figures and Courant's can be compared.

mod clients;
mod connect;
mod connection;
mod courant;
mod endpoint;
mod fanout;
mod frames;
mod growth;
mod histogram;
mod idle;
mod ingress;
mod latency;
mod peers;
mod pinned;
mod publisher;
mod recorder;
mod stamp;
mod step;
mod storm;
mod target;
mod topics;
mod usage;

use std::time::Duration;

use clap::Args;

use self::peers::Peer;
use self::usage::Cores;
use super::{Measure, Options, Row};

/// Options of these rows.
#[derive(Clone, Debug, Args)]
pub struct SocketOptions {
    /// Another server to measure instead of Courant, with `fanout`, `topics`, `latency`, `idle` and `connect`.
    #[arg(long, value_enum)]
    pub peer: Option<Peer>,
    /// Browsers in `fanout`, `topics` and `latency`.
    #[arg(long, default_value_t = 1_000)]
    pub connections: usize,
    /// Browsers in `idle`.
    #[arg(long, default_value_t = 10_000)]
    pub idle_connections: usize,
    /// Connects in each round of `connect`.
    #[arg(long, default_value_t = 4_000)]
    pub connects: usize,
    /// Browsers that lose the bridge in `storm`.
    #[arg(long, default_value_t = 18_000)]
    pub storm_connections: usize,
    /// The most connections, topics and jobs in `growth`.
    #[arg(long, default_value_t = 18_000)]
    pub most: usize,
    /// Connects and disconnects in `growth`.
    #[arg(long, default_value_t = 100_000)]
    pub churn: usize,
    /// How long each rate is tried.
    #[arg(long, default_value_t = 2.0)]
    pub step_seconds: f64,
}

impl SocketOptions {
    fn step(&self) -> Duration {
        Duration::from_secs_f64(self.step_seconds)
    }
}

/// Whether other servers can be measured in the same way.
pub const fn has_peers(measure: Measure) -> bool {
    matches!(measure, Measure::Fanout | Measure::Topics | Measure::Latency | Measure::Idle | Measure::Connect)
}

/// The rows of a group.
pub async fn measure(options: &Options, measure: Measure) -> anyhow::Result<Vec<Row>> {
    match measure {
        Measure::Fanout => fanout::measure(options).await,
        Measure::Topics => topics::measure(options).await,
        Measure::Latency => latency::measure(options).await,
        Measure::Idle => idle::measure(options).await,
        Measure::Connect => connect::measure(options).await,
        Measure::Storm => storm::measure(options).await,
        Measure::Growth => growth::measure(options).await,
        other => anyhow::bail!("{other:?} is not about sockets"),
    }
}

/// Cores' worth of processor time from which on this process is the limit, and from which on other work spoils what is measured.
const LOAD_FULL: f64 = 0.95;
const FOREIGN: f64 = 0.15;

/// What spoils or explains a figure: processor time of the load and of all else.
fn add_cores(row: &mut Row, cores: Cores) {
    row.add("load CPU, cores", cores.load);
    row.add("foreign CPU, cores", cores.foreign);
    if cores.load > LOAD_FULL {
        row.note(format!(
            "load CPU above {LOAD_FULL}: the load client was the limit; only figures per server CPU s count"
        ));
    }
    if cores.foreign > FOREIGN {
        row.note(format!("foreign CPU above {FOREIGN}: other work ran on this machine; measure again"));
    }
}

/// 1000 as 1,000.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_by_three() {
        let expected = [(0, "0"), (999, "999"), (1_000, "1,000"), (18_000, "18,000"), (1_234_567, "1,234,567")];
        expected.into_iter().for_each(|(number, text)| assert_eq!(grouped(number), text));
    }
}
