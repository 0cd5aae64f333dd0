//! Somebody who watches for as long as the run lasts: over one connection after the other, going on from a cursor that
//! was told, sometimes an older one, sometimes on the other transport, sometimes reading slowly.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep, timeout_at};

use super::super::fact::WatchUpdate;
use super::super::record::{After, Closed, Record, RecordWriter, Scope, Via};
use super::steps::{Step, Watch};
use super::{User, World};

/// Cursors that are remembered.
const REMEMBERED: usize = 24;

pub struct Watcher {
    world: Arc<World>,
    user: Arc<User>,
    scope: Scope,
    ways: Vec<Via>,
    rng: Rng,
    writer: RecordWriter,
    cursors: VecDeque<(String, After)>,
}

/// What a connection has told so far.
struct Part {
    seg: u64,
    /// The last durable event, or where the cursor was.
    at: Option<i64>,
    /// The newest snapshot.
    newest: i64,
}

impl Watcher {
    /// Somebody who watches this.
    pub fn new(world: &Arc<World>, user: &Arc<User>, scope: Scope, name: &str) -> anyhow::Result<Self> {
        let ways = if scope == Scope::All { vec![Via::Grpc] } else { vec![Via::Grpc, Via::Ws, Via::Sse, Via::Poll] };
        let (rng, writer) = (super::super::plan::rng(world.seed, name), world.folder.writer(name)?);
        let (world, user) = (world.clone(), user.clone());
        Ok(Self { world, user, scope, ways, rng, writer, cursors: VecDeque::new() })
    }

    /// Watches until everything is over, and then once more to the very end.
    pub async fn run(mut self) {
        while !self.world.over.is_cancelled() {
            let most = Duration::from_millis(self.rng.u64(50..6_000));
            self.part(Instant::now() + most, false).await;
            self.rest().await;
        }
        self.finish().await;
    }

    /// Watches one job after the other, each from the cursor that its submit gave.
    pub async fn run_through_jobs(mut self) {
        while !self.world.over.is_cancelled() {
            let Some(mine) = self.user.any(&mut self.rng) else {
                self.rest().await;
                continue;
            };
            self.scope = Scope::Job(mine.job.clone());
            self.cursors = [(mine.cursor, After::Submit(mine.job))].into();
            for _ in 0..self.rng.u32(1..5) {
                let most = Duration::from_millis(self.rng.u64(50..3_000));
                self.part(Instant::now() + most, false).await;
                self.rest().await;
            }
        }
    }

    async fn finish(&mut self) {
        let patience = Instant::now() + Duration::from_secs(60);
        while Instant::now() < patience && !self.part(Instant::now() + Duration::from_secs(20), true).await {
            self.rest().await;
        }
    }

    async fn rest(&mut self) {
        sleep(Duration::from_millis(self.rng.u64(20..400))).await;
    }

    /// One connection; `true` when it went live.
    async fn part(&mut self, until: Instant, last: bool) -> bool {
        let via = self.ways[self.rng.usize(0..self.ways.len())];
        let (cursor, after) = self.choose(last);
        let interval = Duration::from_millis([0, 250, 1000][self.rng.usize(0..3)]);
        let seg = self.writer.number();
        let (user, scope) = (self.user.name.clone(), self.scope.clone());
        self.writer.write(Record::Open { seg, user, scope, via, after: after.clone(), last });
        let at = match after {
            After::Event(at) | After::Mark(at) => Some(at),
            After::Nothing | After::Snapshots(_) | After::Submit(_) => None,
        };
        let newest = if let After::Snapshots(newest) = after { newest } else { 0 };
        let mut part = Part { seg, at, newest };
        let opened = Watch::open(&self.world, &self.user, (&self.scope, via), &cursor, interval).await;
        let (live, how) = match opened {
            Ok(watch) => self.read(watch, &mut part, until, last).await,
            Err(how) => (false, how),
        };
        if let Closed::Refused(_) = how {
            self.cursors.clear();
        }
        self.writer.write(Record::Closed { seg, how });
        live
    }

    /// The cursor to go on from: the last, now and then an older one or none.
    fn choose(&mut self, last: bool) -> (String, After) {
        let chance = self.rng.u32(0..100);
        let count = self.cursors.len();
        let older = chance < 15 && count > 1 && !last;
        let found = match count.checked_sub(1) {
            Some(end) => self.cursors.get(if older { self.rng.usize(0..end) } else { end }).cloned(),
            None => None,
        };
        match found {
            Some(found) if last || chance < 96 => {
                if older {
                    self.cursors.retain(|(cursor, _)| *cursor != found.0);
                    self.cursors.push_back(found.clone());
                }
                found
            }
            _ => {
                self.cursors.clear();
                (String::new(), After::Nothing)
            }
        }
    }

    async fn read(&mut self, mut watch: Watch, part: &mut Part, until: Instant, last: bool) -> (bool, Closed) {
        // Now and then it does not read for a while: how many messages until then?
        let mut slow_in = if last { None } else { Some(self.rng.u32(0..200)) };
        let mut live = false;
        loop {
            slow_in = slow_in.and_then(|left| left.checked_sub(1));
            if slow_in == Some(0) {
                sleep(Duration::from_millis(self.rng.u64(500..5_000))).await;
            }
            let next = match timeout_at(until, watch.next()).await {
                Err(_) => return (live, Closed::Left),
                Ok(Err(how)) => return (live || how == Closed::Ended, how),
                Ok(Ok(next)) => next,
            };
            live |= matches!(next.1, Step::Live);
            self.note(part, next);
            if live && last {
                return (true, Closed::Left);
            }
        }
    }

    fn note(&mut self, part: &mut Part, (cursor, step): (String, Step)) {
        let seg = part.seg;
        let mut mark = None;
        self.writer.write(match step {
            Step::Snapshot(fact) => {
                part.newest = part.newest.max(fact.rev);
                Record::Snapshot { seg, fact }
            }
            Step::Update(WatchUpdate::Fact(fact)) => {
                part.at = Some(fact.rev);
                mark = Some(After::Event(fact.rev));
                Record::Heard { seg, fact: *fact }
            }
            Step::Update(WatchUpdate::Transient(job, att, pct)) => Record::News { seg, job, att, pct },
            Step::Zone(job, page) => Record::Zone { seg, job, page },
            Step::Live => {
                mark = Some(part.mark());
                Record::Live { seg }
            }
            Step::Bookmark => {
                mark = Some(part.mark());
                Record::Bookmark { seg }
            }
            Step::Gap(reason) => {
                (part.at, part.newest) = (None, 0);
                self.cursors.clear();
                Record::Gap { seg, reason }
            }
            Step::Stalled => Record::Stalled { seg },
            Step::Other => return,
        });
        if let Some(mark) = mark.filter(|_| !cursor.is_empty()) {
            self.cursors.push_back((cursor, mark));
            if self.cursors.len() > REMEMBERED {
                self.cursors.pop_front();
            }
        }
    }
}

impl Part {
    fn mark(&self) -> After {
        self.at.map_or(After::Snapshots(self.newest), After::Mark)
    }
}
