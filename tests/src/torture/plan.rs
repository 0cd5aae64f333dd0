//! What will be done to the system, and when: a pure function of the seed and the length.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// A process of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `courant-server`.
    Server,
    /// `courant-bridge`.
    Bridge,
    /// One of the `courant-pdf-worker`s.
    PdfWorker(usize),
    /// One of the tool's own workers: it forgets all it had.
    Worker(usize),
}

/// A place where connections pass the tool's own proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Clients to the server.
    Clients,
    /// Browsers to the bridge.
    Browsers,
    /// The bridge to the server.
    Bridge,
    /// Workers to the server.
    Workers,
}

/// How connections are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// In good order.
    Fin,
    /// At once, with what was under way.
    Rst,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// `kill -9`, then a start.
    Kill(Who),
    /// SIGSTOP, and SIGCONT after this time.
    Pause(Who, Duration),
    /// All connections of a link are cut.
    Cut(Link, Cut),
    /// Nothing passes a link for this long, and nobody is told.
    Stall(Link, Duration),
    /// What passes a link is late by the first for the length of the second.
    Delay(Link, Duration, Duration),
    /// A link carries this many bytes a second for this long.
    Trickle(Link, usize, Duration),
    /// No connection is made over a link for this long, and those that are there are cut.
    Refuse(Link, Duration),
    /// The disk has this many KiB left for this long.
    Full(u32, Duration),
    /// One of the tool's workers is drained by an operator for this long.
    Drain(usize, Duration),
    /// The server's wall clock jumps to this many seconds off.
    Jump(i32),
}

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
    pub fn new(seed: u64, length: Duration, faults: Faults) -> Self {
        let mut rng = rng(seed, "faults");
        let mut plan = Self { seed, length, faults: Vec::new() };
        let mut at = Duration::from_millis(1500);
        while at < length {
            match faults {
                Faults::All => plan.faults.push(Timed { at, fault: any(&mut rng) }),
                Faults::Kills => plan.faults.push(Timed { at, fault: Fault::Kill(who(&mut rng)) }),
                Faults::None => break,
            }
            at += Duration::from_millis(rng.u64(300..3_500));
        }
        plan
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
    let short = |rng: &mut Rng| Duration::from_millis(rng.u64(100..3_000));
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
        _ => Fault::Jump(rng.i32(-200..200)),
    }
}

/// Shorter or longer than a lease.
fn pause(rng: &mut Rng) -> Duration {
    let lease = super::system::LEASE;
    if rng.u32(0..3) == 0 { lease.mul_f64(1.2 + rng.f64()) } else { lease.mul_f64(0.05 + rng.f64() * 0.7) }
}

fn who(rng: &mut Rng) -> Who {
    match rng.u32(0..10) {
        0..4 => Who::Server,
        4..6 => Who::Bridge,
        6..8 => Who::PdfWorker(rng.usize(0..PDF_WORKERS)),
        _ => Who::Worker(rng.usize(0..WORKERS)),
    }
}

fn link(rng: &mut Rng) -> Link {
    match rng.u32(0..10) {
        0..3 => Link::Clients,
        3..6 => Link::Browsers,
        6..8 => Link::Bridge,
        _ => Link::Workers,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(who) => write!(f, "kill {who:?}"),
            Self::Pause(who, time) => write!(f, "pause {who:?} for {time:.1?}"),
            Self::Cut(link, cut) => write!(f, "cut {link:?} by {cut:?}"),
            Self::Stall(link, time) => write!(f, "stall {link:?} for {time:.1?}"),
            Self::Delay(link, by, time) => write!(f, "delay {link:?} by {by:.1?} for {time:.1?}"),
            Self::Trickle(link, rate, time) => write!(f, "trickle {link:?} at {rate} B/s for {time:.1?}"),
            Self::Refuse(link, time) => write!(f, "refuse {link:?} for {time:.1?}"),
            Self::Full(left, time) => write!(f, "full-disk with {left} KiB left for {time:.1?}"),
            Self::Drain(worker, time) => write!(f, "drain worker {worker} for {time:.1?}"),
            Self::Jump(seconds) => write!(f, "jump of the clock to {seconds:+} s"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, {} s", self.seed, self.length.as_secs())?;
        self.faults.iter().try_for_each(|timed| writeln!(f, "{:>9.1?}  {}", timed.at, timed.fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_function_of_its_seed() {
        let plan = |seed| Plan::new(seed, Duration::from_secs(600), Faults::All);
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7).faults, plan(8).faults);
        assert!(plan(7).faults.is_sorted_by_key(|timed| timed.at));
    }

    #[test]
    fn a_longer_plan_begins_like_a_shorter_one() {
        let plan = |seconds| Plan::new(7, Duration::from_secs(seconds), Faults::All).faults;
        assert_eq!(plan(600)[..plan(60).len()], plan(60));
    }

    #[test]
    fn ten_minutes_have_every_kind_of_fault() {
        let told = Plan::new(1, Duration::from_secs(600), Faults::All).to_string();
        for word in ["kill", "pause", "cut", "stall", "delay", "trickle", "refuse", "drain", "full-disk", "jump"] {
            assert!(told.contains(&format!("  {word} ")), "{word} is missing");
        }
    }
}
