//! Servers that share all waiting jobs, played through: each reaches for the first waiting job that is its own by what it knows.
//! What it knows of others' claims and of who is there is some time old.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use courant_engine::affinity::Affinity;
use courant_joblog::ids::JobId;
use fastrand::Rng;

/// A setting. Times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    servers: usize,
    /// How long a claim takes until it is in the log or refused.
    claim: u64,
    /// How long what is in the log takes to another server.
    follow: u64,
    /// At most how long it takes until another server knows of a new worker.
    announce: u64,
    /// How long a job runs.
    run: u64,
    /// How long a new worker waits after the others have heard of it.
    settled_after: u64,
    /// Whether a server comes or goes each second.
    changes: bool,
}

/// Jobs each server runs at once.
const SLOTS: u32 = 8;
/// Jobs that wait at the beginning, for each server.
const JOBS: usize = 2_500;
/// How often a server comes or goes, far more often than in life.
const CHANGES_EVERY: u64 = 200_000;
const KIND: &str = "pdf";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A claim reaches the log.
    Decided { server: usize, job: usize },
    /// The server hears of what became of it.
    Answered { server: usize, won: bool },
    /// A server has a free slot again.
    Freed { server: usize },
    /// A server knows that a job was taken.
    Known { server: usize, job: usize },
    /// A server's workers come or go.
    Change,
    /// A server knows who is there.
    Learns { server: usize, present: u64 },
    /// A server may reach for jobs, or not.
    Opens { server: usize, open: bool },
}

struct Server {
    affinity: Affinity,
    /// Waiting jobs that are its own, as far as it knows, in order.
    own: BTreeSet<usize>,
    /// Jobs of which it does not know that they were taken.
    waiting: BTreeSet<usize>,
    free: u32,
    open: bool,
}

struct Play {
    setting: Claims,
    names: Vec<JobId>,
    servers: Vec<Server>,
    taken: Vec<bool>,
    left: usize,
    steps: BinaryHeap<Reverse<(u64, Step)>>,
    now: u64,
    made: u64,
    lost: u64,
    /// Who is there, a bit for each server.
    present: u64,
    rng: Rng,
}

impl Claims {
    /// Three NATS servers in one place, which many use; short jobs.
    pub fn of(servers: usize) -> Self {
        let (claim, follow, announce) = (10_000, 5_000, 25_000);
        Self { servers, claim, follow, announce, run: 20_000, settled_after: 250_000, changes: true }
    }

    /// The same, and all servers are there all the time.
    pub fn steady(self) -> Self {
        Self { changes: false, ..self }
    }

    /// The same, and new workers get jobs at once.
    pub fn at_once(self) -> Self {
        Self { settled_after: 0, ..self }
    }

    /// Which part of the claims was lost, in percent.
    pub fn lost(self) -> f64 {
        let mut play = Play::new(self);
        while play.left > 0 {
            let Some(Reverse((at, step))) = play.steps.pop() else { break };
            play.now = at;
            play.step(step);
        }
        play.lost as f64 / play.made as f64 * 100.0
    }
}

impl Play {
    fn new(setting: Claims) -> Self {
        let all: u64 = (1 << setting.servers) - 1;
        let jobs = JOBS * setting.servers;
        let names: Vec<JobId> = (0..jobs).map(|job| JobId::new(format!("J{job}"))).collect();
        let server = |server: usize| Server {
            affinity: affinity(server, all),
            own: BTreeSet::new(),
            waiting: (0..jobs).collect(),
            free: SLOTS,
            open: true,
        };
        let servers = (0..setting.servers).map(server).collect();
        let (taken, steps, rng) = (vec![false; jobs], BinaryHeap::new(), Rng::with_seed(1));
        let mut play =
            Self { setting, names, servers, taken, left: jobs, steps, now: 0, made: 0, lost: 0, present: all, rng };
        for server in 0..setting.servers {
            play.learn(server, all);
            play.claim(server);
        }
        if setting.changes {
            play.later(CHANGES_EVERY, Step::Change);
        }
        play
    }

    fn later(&mut self, after: u64, step: Step) {
        self.steps.push(Reverse((self.now + after, step)));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Decided { server, job } => self.decide(server, job),
            Step::Answered { server, won } => {
                if won {
                    self.later(self.setting.run, Step::Freed { server });
                } else {
                    self.servers[server].free += 1;
                    self.claim(server);
                }
            }
            Step::Freed { server } => {
                self.servers[server].free += 1;
                self.claim(server);
            }
            Step::Known { server, job } => {
                self.servers[server].own.remove(&job);
                self.servers[server].waiting.remove(&job);
            }
            Step::Change => self.change(),
            Step::Learns { server, present } => self.learn(server, present),
            Step::Opens { server, open } => {
                self.servers[server].open = open;
                self.claim(server);
            }
        }
    }

    /// Reaches for as many of its own jobs as it has free slots.
    fn claim(&mut self, server: usize) {
        while self.servers[server].open && self.servers[server].free > 0 {
            let Some(job) = self.servers[server].own.pop_first() else { return };
            self.servers[server].waiting.remove(&job);
            self.servers[server].free -= 1;
            self.made += 1;
            self.later(self.setting.claim / 2, Step::Decided { server, job });
        }
    }

    fn decide(&mut self, server: usize, job: usize) {
        let won = !std::mem::replace(&mut self.taken[job], true);
        self.later(self.setting.claim / 2, Step::Answered { server, won });
        if !won {
            self.lost += 1;
            return;
        }
        self.left -= 1;
        for other in (0..self.servers.len()).filter(|other| *other != server) {
            let after = self.rng.u64(self.setting.follow / 2..=self.setting.follow * 3 / 2);
            self.later(after, Step::Known { server: other, job });
        }
    }

    /// A random server's workers go, or come again.
    fn change(&mut self) {
        let who = self.rng.usize(..self.servers.len());
        self.present ^= 1 << who;
        if self.present == 0 {
            self.present ^= 1 << who;
        }
        let comes = self.present & (1 << who) != 0;
        for server in 0..self.servers.len() {
            let after = if server == who && !comes {
                0
            } else {
                self.rng.u64(self.setting.announce / 5..=self.setting.announce)
            };
            self.later(after, Step::Learns { server, present: self.present });
        }
        let opens = if comes { self.setting.announce + self.setting.settled_after } else { 0 };
        let opens = if self.setting.settled_after == 0 { 0 } else { opens };
        self.later(opens, Step::Opens { server: who, open: comes });
        self.later(CHANGES_EVERY, Step::Change);
    }

    fn learn(&mut self, server: usize, present: u64) {
        let affinity = affinity(server, present);
        let own = self.servers[server].waiting.iter().filter(|job| affinity.is_ours(KIND, &self.names[**job]));
        self.servers[server].own = own.copied().collect();
        self.servers[server].affinity = affinity;
        self.claim(server);
    }
}

fn affinity(server: usize, present: u64) -> Affinity {
    let there = (0..64u64).filter(|number| present & (1 << number) != 0).map(|number| (number + 1, SLOTS));
    let slots: BTreeMap<u64, u32> = there.collect();
    Affinity { server: server as u64 + 1, slots: [(KIND.into(), slots)].into() }
}
