//! Publishing at one rate for a while, and finding out how much a system delivers at most.

use std::time::{Duration, Instant};

use super::clients::Clients;
use super::histogram::Histogram;
use super::target::Target;
use super::usage::{Cores, Processes, Used};

/// The part of a step that is not measured, at its begin, is this part of it.
const WARM_UP: u32 = 4;
/// Below this share of what was to be delivered a system is saturated.
const SATURATED: f64 = 0.93;
/// How long nothing may have come until all has, and the longest to wait for that.
const QUIET: Duration = Duration::from_millis(300);
const DRAIN: Duration = Duration::from_secs(20);
/// What deliveries may take for a rate to count as carried, in milliseconds.
const P99: f64 = 50.0;
/// From one step of a search to the next.
const GROWTH: f64 = 1.5;
/// A search ends after so many saturated steps, and after so many steps in all.
const SATURATED_STEPS: usize = 2;
const MOST_STEPS: usize = 40;
/// Steps between the last rate that was carried and the first that was not.
const REFINE: usize = 3;

/// A system and those who listen, each topic with the same number of them.
pub struct Bench {
    pub target: Target,
    pub clients: Clients,
}

/// What came of one rate.
#[derive(Debug)]
pub struct Step {
    /// Messages per second that the system took in over the step, and what would have been delivered of them per second.
    pub taken_in: f64,
    wanted: f64,
    /// Deliveries per second in the measured part.
    pub delivered: f64,
    pub latency: Histogram,
    pub cores: Cores,
    /// Deliveries of the whole step, until the last, per processor second of the server in that time: so what was done in one
    /// part and arrived in another counts all the same.
    pub per_server_second: f64,
    /// Deliveries of the whole step for each that was to be, 0 to 1.
    pub share: f64,
}

impl Step {
    fn saturated(&self) -> bool {
        self.delivered < SATURATED * self.wanted
    }

    fn carried(&self) -> bool {
        !self.saturated() && self.latency.milliseconds(990) < P99
    }
}

/// How much a system delivers.
pub struct Most {
    /// The step in which most was delivered.
    pub plateau: Step,
    /// Deliveries per second with all delivered and p99 below the limit; 0 if the slowest rate was too fast.
    pub carried: f64,
    /// A step at twice the rate of the plateau.
    pub overloaded: Step,
    /// Connections that the server closed on the way.
    pub closed: usize,
}

impl Bench {
    /// Opens so many connections, which follow all topics in turn.
    pub async fn open(target: Target, connections: usize) -> anyhow::Result<Self> {
        let mut clients = Clients::new(target.end.clone());
        clients.open(&target.topics, connections).await?;
        Ok(Self { target, clients })
    }

    /// Publishes so many messages per second, to the first so many topics in turn.
    pub async fn step(&mut self, topics: usize, per_second: f64, time: Duration) -> anyhow::Result<Step> {
        let Self { target, clients } = self;
        let listeners = clients.count() as f64 / target.topics.len() as f64;
        let (whole, first) = (Used::now(&target.processes)?, clients.delivered());
        let measured = measured(clients, &target.processes, time);
        let publishing = target.publisher.run(topics, per_second, time);
        let (published, (delivered, latency, cores)) = tokio::try_join!(publishing, measured)?;
        drain(clients).await;
        let all = (clients.delivered() - first) as f64;
        Ok(Step {
            taken_in: published as f64 / time.as_secs_f64(),
            wanted: per_second * listeners,
            delivered,
            latency,
            cores,
            per_server_second: all / whole.server_since(&target.processes)?,
            share: all / (published as f64 * listeners).max(1.0),
        })
    }

    /// Waits until nothing more comes.
    pub async fn drained(&self) {
        drain(&self.clients).await;
    }

    /// Looks for the most that is delivered, from so many deliveries per second on.
    pub async fn most(&mut self, first: f64, time: Duration) -> anyhow::Result<Most> {
        let topics = self.target.sources;
        let listeners = self.clients.count() as f64 / self.target.topics.len() as f64;
        let mut search = Search::default();
        let mut rate = first / listeners;
        for _ in 0..MOST_STEPS {
            search.take(rate, self.step(topics, rate, time).await?);
            if search.saturated >= SATURATED_STEPS {
                break;
            }
            rate *= GROWTH;
        }
        for _ in 0..REFINE {
            let Some(between) = search.between() else { break };
            search.take(between, self.step(topics, between, time).await?);
        }
        let Some(plateau) = search.best else { anyhow::bail!("nothing was delivered") };
        let overloaded = self.step(topics, 2.0 * plateau.delivered / listeners, time).await?;
        let closed = self.clients.shared.lock().take_closed();
        Ok(Most { plateau, carried: search.carried, overloaded, closed })
    }
}

#[derive(Default)]
struct Search {
    best: Option<Step>,
    saturated: usize,
    carried: f64,
    /// Messages per second: the most that were carried, the fewest that were not.
    good: Option<f64>,
    bad: Option<f64>,
}

impl Search {
    fn take(&mut self, rate: f64, step: Step) {
        self.saturated += usize::from(step.saturated());
        if step.carried() && self.bad.is_none_or(|bad| rate < bad) {
            self.good = Some(self.good.map_or(rate, |good| good.max(rate)));
            self.carried = self.carried.max(step.delivered);
        } else {
            self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
        }
        if self.best.as_ref().is_none_or(|best| step.delivered > best.delivered) {
            self.best = Some(step);
        }
    }

    fn between(&self) -> Option<f64> {
        Some((self.good? * self.bad?).sqrt())
    }
}

/// What is delivered in the later part of a time: per second, how long each took, and processor time.
async fn measured(clients: &Clients, processes: &Processes, time: Duration) -> anyhow::Result<(f64, Histogram, Cores)> {
    let begun = Instant::now();
    tokio::time::sleep(time / WARM_UP).await;
    let (used, before) = (Used::now(processes)?, clients.delivered());
    clients.shared.lock().begin_timing();
    tokio::time::sleep(time.saturating_sub(begun.elapsed())).await;
    let latency = clients.shared.lock().end_timing();
    let delivered = (clients.delivered() - before) as f64 / used.at.elapsed().as_secs_f64();
    Ok((delivered, latency, used.since(processes)?))
}

async fn drain(clients: &Clients) {
    let (begun, mut quiet, mut delivered) = (Instant::now(), Instant::now(), clients.delivered());
    while quiet.elapsed() < QUIET && begun.elapsed() < DRAIN {
        tokio::time::sleep(QUIET / 15).await;
        let now = clients.delivered();
        if now != delivered {
            (delivered, quiet) = (now, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step at this rate of a system that delivers at most 1,000 per second, in time up to 800.
    fn step(rate: f64) -> Step {
        let mut latency = Histogram::default();
        latency.add_duration(Duration::from_millis(if rate <= 800.0 { 5 } else { 100 }));
        let cores = Cores { server: 1.0, load: 0.5, foreign: 0.0 };
        let delivered = rate.min(1_000.0);
        Step { taken_in: rate, wanted: rate, delivered, latency, cores, per_server_second: delivered, share: 1.0 }
    }

    #[test]
    fn a_search_finds_the_most_and_the_most_in_time() {
        let mut search = Search::default();
        let rates = std::iter::successors(Some(100.0), |rate| Some(rate * GROWTH)).take(MOST_STEPS);
        for rate in rates.take_while(|rate| *rate < 2_500.0) {
            search.take(rate, step(rate));
        }
        assert_eq!(search.saturated, 2);
        assert!(search.carried < 800.0);
        for _ in 0..REFINE {
            let between = search.between().unwrap();
            search.take(between, step(between));
        }
        assert!((700.0..=800.0).contains(&search.carried), "{}", search.carried);
        assert!((search.best.unwrap().delivered - 1_000.0).abs() < 0.1);
    }

    #[test]
    fn a_search_that_begins_too_fast_has_carried_nothing() {
        let mut search = Search::default();
        search.take(5_000.0, step(5_000.0));
        assert!(search.between().is_none());
        assert!(search.carried == 0.0 && search.best.is_some());
    }
}
