//! Measures the whole system through its real binaries: jobs per second, latency, submits, pages, the cost of idle watches, and
//! in [`sockets`] what the bridge carries.
//!
//! The server runs on one core and everything else (clients, workers, watchers) in this process on another, so that the
//! processor seconds of each can be told apart. Every row is measured several times on a fresh data folder; the table shows
//! the median and the range.

mod cpu;
mod fairness;
mod flags;
mod followers;
mod jobs;
mod load;
mod machine;
mod pages;
mod report;
mod servers;
mod single;
mod sockets;
mod submits;
mod watched;

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, ValueEnum};

use self::load::Way;
use self::machine::Machine;
pub use self::report::Row;
use self::sockets::SocketOptions;
use crate::Up;

/// What to measure, and how.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// Which rows to measure; none: all of them.
    #[arg(value_enum)]
    pub rows: Vec<Measure>,
    /// How often each row is measured.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Jobs in each round of `jobs`, documents in each of `submits`.
    #[arg(long, default_value_t = 20_000)]
    pub jobs: usize,
    /// How documents are submitted; none: each way in turn.
    #[arg(long, value_enum)]
    pub way: Option<Way>,
    /// Seconds for which the watches of `watched` are observed.
    #[arg(long, default_value_t = 60)]
    pub watched_seconds: u64,
    /// The core of the server. This process should run on another one: `taskset -c 1`.
    #[arg(long, default_value_t = 0)]
    pub server_core: u32,
    /// Also write the figures to this file, as JSON with what is known of the machine.
    #[arg(long)]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub sockets: SocketOptions,
}

/// A group of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// Jobs that do nothing, submitted one by one with 100 in flight while a worker does them.
    Jobs,
    /// The same, with jobs of 100 owners, and with 2 and 8 workers.
    Shared,
    /// One job at a time, from the submit until a watcher hears that it ended.
    Single,
    /// Submits of small documents by 32 clients, without a worker.
    Submits,
    /// Small pages of PDFs: one document alone, and eight at once.
    Pages,
    /// Single jobs of one owner while another has thousands waiting.
    Fairness,
    /// Waiting jobs that are watched while nothing happens.
    Watched,
    /// Several servers on a log on NATS: how fast waiting jobs are done, and how often two servers reach for the same.
    Servers,
    /// Several servers on a log on NATS, of which one takes submits: what it costs that the others follow.
    Followers,
    /// One topic with many browsers: as fast as it goes, and at a fixed rate.
    Fanout,
    /// Many topics with one browser each, as fast as it goes.
    Topics,
    /// The same at a fixed rate.
    Latency,
    /// Memory of connections on which nothing happens.
    Idle,
    /// Browsers that connect, sign in and subscribe.
    Connect,
    /// Browsers that lose the bridge, leave, or do not read.
    Storm,
    /// How cost grows with connections, topics, jobs and bytes.
    Growth,
}

impl Options {
    fn ways(&self) -> Vec<Way> {
        self.way.map_or_else(|| Way::value_variants().to_vec(), |way| vec![way])
    }
}

/// Measures and prints the table.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let all = Measure::value_variants().to_vec();
    let chosen = if options.rows.is_empty() { all } else { options.rows.clone() };
    if options.sockets.peer.is_some()
        && let Some(alone) = chosen.iter().find(|measure| !sockets::has_peers(**measure))
    {
        bail!("--peer: {alone:?} measures Courant alone; name only rows that other servers have too");
    }
    let mut all_rows = Vec::new();
    for measure in chosen {
        let new = rows(&options, measure).await?;
        new.iter().for_each(|row| println!("{row}"));
        all_rows.extend(new);
    }
    if let Some(path) = &options.json {
        std::fs::write(path, report::json(&Machine::read(), &all_rows)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let failed = all_rows.iter().filter(|row| row.failed()).count();
    ensure!(failed == 0, "{failed} of {} rows are without rounds that failed; see above", all_rows.len());
    Ok(())
}

/// The rows of one group.
async fn rows(options: &Options, measure: Measure) -> anyhow::Result<Vec<Row>> {
    Ok(match measure {
        Measure::Jobs => {
            let mut rows = Vec::new();
            for way in options.ways() {
                rows.push(jobs::measure(options, jobs::Mix { owners: 1, workers: 1, way }).await?);
            }
            rows
        }
        Measure::Shared => {
            let mixes = [(100, 1), (1, 2), (1, 8)];
            let mut shared = Vec::new();
            for (owners, workers) in mixes {
                shared.push(jobs::measure(options, jobs::Mix { owners, workers, way: Way::Stream }).await?);
            }
            shared
        }
        Measure::Single => {
            let mut rows = Vec::new();
            for way in options.ways() {
                rows.push(single::measure(options, way).await?);
            }
            rows
        }
        Measure::Submits => {
            let mut rows = Vec::new();
            for way in options.ways() {
                rows.push(submits::measure(options, way).await?);
            }
            rows
        }
        Measure::Pages => vec![pages::measure(options, 1).await?, pages::measure(options, 8).await?],
        Measure::Fairness => vec![fairness::measure(options).await?],
        Measure::Servers => servers::measure(options).await?,
        Measure::Followers => followers::measure(options).await?,
        Measure::Watched => vec![watched::measure(options, 200).await?, watched::measure(options, 1000).await?],
        of_sockets => sockets::measure(options, of_sockets).await?,
    })
}

/// A server on its core, without limits that a single user of a benchmark would meet.
async fn server(options: &Options, workers: usize) -> anyhow::Result<Up> {
    let workers = workers.to_string();
    let own = ["--workers", &workers, "--log", "warn"];
    let flags: Vec<&str> = own.iter().chain(flags::SERVER).chain(flags::BRIDGE).copied().collect();
    Up::pinned(options.server_core, &flags).await
}
