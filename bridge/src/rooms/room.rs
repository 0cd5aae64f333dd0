//! One room: follows the core, encodes each event once, hands it to all members, and finds its way back after a loss.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::{self, ErrorReason, GapReason, watch_jobs_response::Step};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::member::Member;
use super::{Leave, Members, RoomKey, Rooms};
use crate::backoff::pause;
use crate::fault::{Code, Fault};
use crate::ledger::Share;
use crate::wire::ServerMessage;
use crate::wire::encode::Push;
use crate::wire::message::Ended;

/// Losses in a row before the members are told: the first try to come back is silent.
pub const TELL_AFTER: u32 = 2;

/// One room.
pub struct Room {
    /// What it is about.
    pub key: RoomKey,
    name: Arc<str>,
    inner: Mutex<Inner>,
    emptied: Notify,
}

struct Inner {
    members: Members,
    /// How many members each user has.
    users: HashMap<Arc<str>, usize>,
    /// The room's stream from the core: of the only user it has or had last, of nobody while several share it.
    stream: Share,
}

impl Room {
    /// An empty room, and the share of whoever starts it in the streams from the core.
    pub fn new(key: RoomKey, stream: Share) -> Self {
        let name = key.source.name();
        let inner = Inner { members: Members::new(), users: HashMap::new(), stream };
        Self { key, name, inner: Mutex::new(inner), emptied: Notify::new() }
    }

    /// Lets a member in.
    pub fn enter(&self, member: Arc<Member>) {
        let mut inner = self.inner.lock();
        let before = inner.users.len();
        if let Some(user) = member.outbox.user() {
            *inner.users.entry(user.name().clone()).or_default() += 1;
        }
        inner.members.push(member);
        inner.settle(before);
    }

    /// Looks at the members.
    pub fn with_members<T>(&self, look: impl FnOnce(&Members) -> T) -> T {
        look(&self.inner.lock().members)
    }

    fn say(&self, push: Push) {
        let push = Arc::new(push);
        self.inner.lock().members.iter().for_each(|member| member.deliver(&push));
    }
}

impl Leave for Room {
    fn leave(&self, id: u64) {
        let mut inner = self.inner.lock();
        if let Some(index) = inner.members.iter().position(|member| member.id == id) {
            let before = inner.users.len();
            let member = inner.members.swap_remove(index);
            member.leave();
            inner.forget(&member);
            inner.settle(before);
        }
        if inner.members.is_empty() {
            self.emptied.notify_one();
        }
    }
}

impl Inner {
    fn forget(&mut self, member: &Member) {
        let Some(user) = member.outbox.user() else { return };
        if let Some(count) = self.users.get_mut(user.name()) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(user.name());
            }
        }
    }

    /// After the users have changed: says whose the stream is. Of an empty room it stays with the last, until the room ends:
    /// who comes and goes must not get more streams than who stays.
    fn settle(&mut self, before: usize) {
        match self.users.len() {
            0 => {}
            1 if before != 1 => {
                self.stream.belongs_to(self.members.first().and_then(|member| member.outbox.user()).cloned())
            }
            2 if before == 1 => self.stream.belongs_to(None),
            _ => {}
        }
    }
}

/// Runs a room until it has been empty for its grace.
pub async fn run(rooms: Arc<Rooms>, room: Arc<Room>, cursor: String) {
    let mut follower = Follower { rooms: &rooms, room: &room, cursor, losses: 0, announce: Announce::Nothing };
    loop {
        tokio::select! {
            () = follower.follow_for_ever() => {}
            () = empty_for(&room, rooms.times.room_grace) => {
                if rooms.end_if_empty(&room) {
                    return;
                }
            }
        }
    }
}

async fn empty_for(room: &Room, grace: Duration) {
    loop {
        room.emptied.notified().await;
        tokio::time::sleep(grace).await;
        if room.with_members(Members::is_empty) {
            return;
        }
    }
}

struct Follower<'a> {
    rooms: &'a Rooms,
    room: &'a Room,
    cursor: String,
    losses: u32,
    announce: Announce,
}

/// What the members are waiting to hear once the watch is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announce {
    /// They know of no trouble.
    Nothing,
    /// That it is live again.
    Live,
    /// The same, and they wait for the room's only job, too.
    LiveAndJob,
}

impl Follower<'_> {
    async fn follow_for_ever(&mut self) {
        loop {
            let fault = match self.follow().await {
                Err(fault) => fault,
                Ok(()) => Fault::unreachable(),
            };
            self.lost(&fault).await;
        }
    }

    /// One watch, until it ends.
    async fn follow(&mut self) -> Result<(), Fault> {
        let key = &self.room.key;
        let request = self.rooms.core.stream_own(key.source.watch(&self.cursor, key.tier.interval()))?;
        let lease = self.rooms.core.stream_channel();
        let mut steps = lease.jobs().watch_jobs(request).await?.into_inner();
        while let Some(v1::WatchJobsResponse { cursor, step }) = steps.message().await? {
            match step {
                Some(step) => self.step(cursor, step).await?,
                // A step this version does not know.
                None => self.moved(cursor),
            }
        }
        Ok(())
    }

    async fn step(&mut self, cursor: String, step: Step) -> Result<(), Fault> {
        self.losses = 0;
        let name = &self.room.name;
        match step {
            Step::Event(event) => {
                if self.room.key.source.holds(event.job.as_ref())
                    && let Some(push) = Push::event(name, cursor.clone(), &event)
                {
                    self.rooms.metrics.encoded.inc();
                    self.room.say(push);
                }
                self.moved(cursor);
            }
            Step::Snapshot(v1::JobSnapshot { job }) => {
                if let Some(job) = job
                    && self.room.key.source.holds(Some(&job))
                {
                    self.room.say(Push::snapshot(name, &job));
                    self.announce = Announce::Live;
                }
            }
            Step::Gap(gap) => self.gap(gap.reason()),
            Step::Live(_) => self.live(cursor).await?,
            Step::Bookmark(_) => {
                self.room.say(Push::bookmark(name, cursor.clone()));
                self.moved(cursor);
            }
        }
        Ok(())
    }

    fn moved(&mut self, cursor: String) {
        if !cursor.is_empty() {
            self.cursor = cursor;
        }
    }

    fn gap(&mut self, reason: GapReason) {
        self.room.say(Push::gap(&self.room.name, reason));
        self.announce = if self.room.key.source.only().is_some() { Announce::LiveAndJob } else { Announce::Live };
    }

    async fn live(&mut self, cursor: String) -> Result<(), Fault> {
        if self.announce == Announce::LiveAndJob {
            self.only_job().await?;
        }
        self.moved(cursor);
        if std::mem::replace(&mut self.announce, Announce::Nothing) != Announce::Nothing {
            self.room.say(Push::live(&self.room.name, &self.cursor));
        }
        Ok(())
    }

    /// After a gap, the job may be too old to be among the snapshots.
    async fn only_job(&mut self) -> Result<(), Fault> {
        let Some(id) = self.room.key.source.only() else { return Ok(()) };
        let request = self.rooms.core.call_own(v1::GetJobRequest { job_id: id.to_owned() })?;
        match self.rooms.core.jobs().get_job(request).await.map_err(Fault::from) {
            Ok(answer) => {
                if let Some(job) = answer.into_inner().job {
                    self.room.say(Push::snapshot(&self.room.name, &job));
                }
                Ok(())
            }
            Err(fault) if fault.is(ErrorReason::JobNotFound) => {
                self.room.say(Push::ended(&self.room.name, fault.code.name()));
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    async fn lost(&mut self, fault: &Fault) {
        self.rooms.metrics.upstream_losses.inc();
        if fault.is(ErrorReason::CursorInvalid) {
            tracing::warn!(topic = %self.room.name, "the core does not know the room's cursor; starting anew");
            self.gap(GapReason::LogReplaced);
            self.cursor.clear();
        }
        self.losses = self.losses.saturating_add(1);
        tracing::debug!(topic = %self.room.name, %fault, losses = self.losses, "watch lost");
        if self.losses == TELL_AFTER {
            let stalled = Ended { topic: self.room.name.clone(), code: Code::CoreUnreachable.name().to_owned() };
            self.room.say(Push::mark(&self.room.name, ServerMessage::Stalled(stalled)));
            if self.announce == Announce::Nothing {
                self.announce = Announce::Live;
            }
        }
        if self.losses >= TELL_AFTER || !fault.is(ErrorReason::TokenExpired) {
            tokio::time::sleep(pause(self.losses, self.rooms.times.backoff)).await;
        }
    }
}
