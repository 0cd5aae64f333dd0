//! What will be done to the system, and when: a pure function of the seed, the length and the shape of the system.

mod cluster;
mod fault;

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

pub use self::fault::{Cables, Cut, Fault, Link, Node, Who};
use super::shape::Shape;

/// A fault and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// After the begin.
    pub at: Duration,
    pub fault: Fault,
}

/// All faults of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub seed: u64,
    pub shape: Shape,
    /// How long faults happen.
    pub length: Duration,
    /// In the order of time.
    pub faults: Vec<Timed>,
}

/// Which faults there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Faults {
    /// All.
    All,
    /// Only `kill -9`, of every process.
    Kills,
    /// None: the clients alone.
    None,
}

/// Workers of each kind.
pub const WORKERS: usize = 3;
pub const PDF_WORKERS: usize = 2;

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64, length: Duration, faults: Faults, shape: Shape) -> Self {
        let mut rng = rng(seed, "faults");
        let mut plan = Self { seed, shape, length, faults: Vec::new() };
        let mut in_cluster = cluster::Draw::new(shape);
        let mut at = Duration::from_millis(1500);
        while at < length {
            match faults {
                Faults::None => break,
                Faults::All if shape.is_cluster() => plan.add(at, in_cluster.any(&mut rng, at)),
                Faults::Kills if shape.is_cluster() => plan.add(at, in_cluster.kill(&mut rng, at)),
                Faults::All => plan.add(at, any(&mut rng)),
                Faults::Kills => plan.add(at, Fault::Kill(who(&mut rng))),
            }
            at += Duration::from_millis(rng.u64(300..3_500));
        }
        plan
    }

    fn add(&mut self, at: Duration, fault: Fault) {
        self.faults.push(Timed { at, fault });
    }
}

/// Chance for one purpose, the same for the same seed.
pub fn rng(seed: u64, purpose: &str) -> Rng {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (seed, purpose).hash(&mut hasher);
    Rng::with_seed(hasher.finish())
}

fn any(rng: &mut Rng) -> Fault {
    match rng.u32(0..100) {
        0..22 => Fault::Kill(who(rng)),
        22..40 => Fault::Pause(who(rng), pause(rng)),
        40..58 => Fault::Cut(link(rng), if rng.bool() { Cut::Fin } else { Cut::Rst }),
        58..68 => Fault::Stall(link(rng), pause(rng)),
        68..76 => Fault::Delay(link(rng), Duration::from_millis(rng.u64(5..400)), short(rng)),
        76..83 => Fault::Trickle(link(rng), rng.usize(200..20_000), short(rng)),
        83..87 => Fault::Refuse(link(rng), short(rng)),
        87..89 => Fault::Drain(rng.usize(0..WORKERS), short(rng)),
        89..94 => Fault::Full(rng.u32(0..48), short(rng)),
        _ => Fault::Jump(0, rng.i32(-200..200)),
    }
}

fn short(rng: &mut Rng) -> Duration {
    Duration::from_millis(rng.u64(100..3_000))
}

/// Shorter or longer than a lease.
fn pause(rng: &mut Rng) -> Duration {
    let lease = super::system::LEASE;
    if rng.u32(0..3) == 0 { lease.mul_f64(1.2 + rng.f64()) } else { lease.mul_f64(0.05 + rng.f64() * 0.7) }
}

fn who(rng: &mut Rng) -> Who {
    match rng.u32(0..10) {
        0..4 => Who::Server(0),
        4..6 => Who::Bridge(0),
        6..8 => Who::PdfWorker(rng.usize(0..PDF_WORKERS)),
        _ => Who::Worker(rng.usize(0..WORKERS)),
    }
}

fn link(rng: &mut Rng) -> Link {
    match rng.u32(0..10) {
        0..3 => Link::Clients(0),
        3..6 => Link::Browsers(0),
        6..8 => Link::Bridge { bridge: 0, server: 0 },
        _ => Link::Workers(0),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.shape.is_cluster() { ", a cluster" } else { "" };
        writeln!(f, "seed {}, {} s{of}", self.seed, self.length.as_secs())?;
        self.faults.iter().try_for_each(|timed| writeln!(f, "{:>9.1?}  {}", timed.at, timed.fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_function_of_its_seed() {
        let plan = |seed| Plan::new(seed, Duration::from_secs(600), Faults::All, Shape::SINGLE);
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7).faults, plan(8).faults);
        assert!(plan(7).faults.is_sorted_by_key(|timed| timed.at));
    }

    #[test]
    fn a_longer_plan_begins_like_a_shorter_one() {
        let plan = |seconds| Plan::new(7, Duration::from_secs(seconds), Faults::All, Shape::SINGLE).faults;
        assert_eq!(plan(600)[..plan(60).len()], plan(60));
    }

    #[test]
    fn ten_minutes_have_every_kind_of_fault() {
        let told = Plan::new(1, Duration::from_secs(600), Faults::All, Shape::SINGLE).to_string();
        for word in ["kill", "pause", "cut", "stall", "delay", "trickle", "refuse", "drain", "full-disk", "jump"] {
            assert!(told.contains(&format!("  {word} ")), "{word} is missing");
        }
    }
    #[test]
    fn ten_minutes_of_a_cluster_have_every_kind_of_fault_that_it_has() {
        let told = Plan::new(1, Duration::from_secs(600), Faults::All, Shape::CLUSTER).to_string();
        let everywhere = ["kill", "pause", "cut", "stall", "delay", "trickle", "refuse", "drain", "jump"];
        for word in everywhere.into_iter().chain(["stop", "down", "unplug", "quorum-loss"]) {
            assert!(told.contains(&format!("  {word} ")), "{word} is missing");
        }
        // There is no disk that could be made full: each NATS server writes where the tool does.
        assert!(!told.contains("full-disk"));
    }
}
