//! How quickly a log gets from a folder into a stream and back: `nats_copy_rate JOBS ABREAST`, where so many jobs are under way at the same time.

#![allow(clippy::unwrap_used, reason = "a measurement ends where something fails")]

use std::sync::Arc;
use std::time::Instant;

use courant_joblog::copy::{BuilderTarget, Except, LogTarget, copy};
use courant_joblog::log::Log as _;
use courant_joblog::samples;
use courant_joblog::source::Source;
use courant_joblog::sqlite::{self, Builder, SqliteLog, StoppedLog};
use courant_joblog::tally::Tally;
use courant_natslog::testing::{Cluster, Sync, eventually};
use courant_natslog::{NatsLog, Options};

/// Events of each job.
const EVENTS: u32 = 10;

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let (jobs, abreast) = (numbers.next().unwrap_or(5_000), numbers.next().unwrap_or(8).max(1));
    let from = tempfile::tempdir().unwrap();
    fill(&SqliteLog::open(from.path(), sqlite::Options::default()).unwrap(), jobs, abreast).await;
    for (what, cluster) in [("one node", Cluster::single(Sync::Always)), ("three nodes", Cluster::three(Sync::Always))]
    {
        let source = StoppedLog::open(from.path()).unwrap();
        let options = Options { copy_of: source.epochs().to_vec(), ..cluster.options("log") };
        let log = eventually("the log opens", async || NatsLog::open(options.clone()).await.ok().map(Arc::new)).await;
        let mut target = LogTarget::new(log.clone(), &Tally::default());
        rate(&format!("{what}, into the stream"), copy(&source, &mut target, Except::default(), &mut |_| {})).await;
        let to = tempfile::tempdir().unwrap();
        let mut target = BuilderTarget::new(Builder::create(to.path()).unwrap());
        let source: &dyn Source = &*log;
        rate(&format!("{what}, out of it"), copy(source, &mut target, Except::default(), &mut |_| {})).await;
    }
}

/// Jobs in groups; the events of those of one group are mixed.
async fn fill(log: &SqliteLog, jobs: usize, abreast: usize) {
    let firsts: Vec<_> = (0..jobs).map(|number| samples::create(&format!("J{number}"), "alice")).collect();
    for group in firsts.chunks(abreast) {
        let mut revisions: Vec<_> = log.append_all(group.to_vec()).await.into_iter().map(Result::unwrap).collect();
        for number in 1..EVENTS {
            let next = group.iter().zip(&revisions);
            let next = next.map(|(first, revision)| samples::update(samples::job_of(first), *revision, number));
            revisions = log.append_all(next.collect()).await.into_iter().map(Result::unwrap).collect();
        }
    }
}

async fn rate(
    what: &str,
    copying: impl Future<Output = Result<courant_joblog::copy::Copied, courant_joblog::copy::CopyError>>,
) {
    let began = Instant::now();
    let events = copying.await.unwrap().appended;
    println!("{what}: {events} events, {:.0} per second", events as f64 / began.elapsed().as_secs_f64());
}
