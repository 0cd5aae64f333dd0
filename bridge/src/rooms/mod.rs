//! Rooms: one watch on the core per topic, scope and tier, however many browsers follow it.
//!
//! A room starts with its first member and ends a while after its last. It keeps a cursor and no history: what a member
//! missed, it reads from the core when it joins ([`join`]). Must never decide who may enter: that is done before.

pub mod join;
pub mod member;
pub mod room;
pub mod source;
pub mod steps;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Times;
use crate::fault::Fault;
use crate::ledger::{Resource, Share, User};
use crate::metrics::{Limit, Metrics, Refusal};
use crate::server::Core;
use crate::wire::Tier;
use courant_shutdown::supervisor::Supervisor;
use member::Member;
use room::Room;
use source::Source;

/// What makes two subscriptions share a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoomKey {
    /// Which jobs.
    pub source: Source,
    /// How often transient messages come.
    pub tier: Tier,
}

/// All rooms of the bridge.
pub struct Rooms {
    rooms: Mutex<HashMap<RoomKey, Arc<Room>>>,
    /// The way to the core.
    pub core: Core,
    /// Graces and pauses.
    pub times: Times,
    /// Counters.
    pub metrics: Metrics,
    /// Keeps the tasks of rooms.
    pub supervisor: Supervisor,
}

/// Who is in a room.
pub type Members = Vec<Arc<Member>>;

/// A room that can be left.
pub trait Leave: Send + Sync {
    /// Lets a member out.
    fn leave(&self, member: u64);
}

/// A member's place in a room; giving it up leaves the room.
pub struct Place {
    room: Arc<dyn Leave>,
    member: u64,
    metrics: Metrics,
}

impl Place {
    /// Of a member that has been let in and counted.
    pub fn new(room: Arc<dyn Leave>, member: u64, metrics: Metrics) -> Self {
        Self { room, member, metrics }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.leave(self.member);
        self.metrics.subscriptions.dec();
    }
}

impl Rooms {
    /// No rooms yet.
    pub fn new(core: Core, times: Times, metrics: Metrics, supervisor: Supervisor) -> Arc<Self> {
        Arc::new(Self { rooms: Mutex::default(), core, times, metrics, supervisor })
    }

    /// Enters a room that is there already.
    pub fn enter(&self, key: &RoomKey, member: &Arc<Member>) -> Option<Place> {
        let rooms = self.rooms.lock();
        rooms.get(key).map(|room| self.place(room, member))
    }

    /// Enters a room; starts it at `cursor` if nobody has, with a stream that counts for the user.
    pub fn enter_or_start(
        self: &Arc<Self>,
        key: &RoomKey,
        cursor: &str,
        member: &Arc<Member>,
        user: &Arc<User>,
    ) -> Result<(Place, Started), Fault> {
        let mut rooms = self.rooms.lock();
        if let Some(room) = rooms.get(key) {
            return Ok((self.place(room, member), Started::Before));
        }
        let room = Arc::new(Room::new(key.clone(), stream(user, &self.metrics)?));
        rooms.insert(key.clone(), room.clone());
        let place = self.place(&room, member);
        drop(rooms);
        self.metrics.rooms.inc();
        self.supervisor.run("topic", room::run(self.clone(), room, cursor.to_owned()));
        Ok((place, Started::Now))
    }

    fn place(&self, room: &Arc<Room>, member: &Arc<Member>) -> Place {
        room.enter(member.clone());
        self.metrics.subscriptions.inc();
        Place::new(room.clone(), member.id, self.metrics.clone())
    }

    /// Ends a room unless somebody has come in the meantime.
    fn end_if_empty(&self, room: &Arc<Room>) -> bool {
        let mut rooms = self.rooms.lock();
        let empty = room.with_members(Members::is_empty);
        if empty {
            rooms.remove(&room.key);
            self.metrics.rooms.dec();
        }
        empty
    }

    /// How many members each room has.
    pub fn members(&self) -> Vec<(String, usize)> {
        let rooms = self.rooms.lock();
        rooms.iter().map(|(key, room)| (key.source.topic.to_string(), room.with_members(Members::len))).collect()
    }

    /// How many rooms there are.
    pub fn count(&self) -> usize {
        self.rooms.lock().len()
    }
}

/// One more stream from the core for a user.
pub fn stream(user: &Arc<User>, metrics: &Metrics) -> Result<Share, Fault> {
    user.take(Resource::Streams).map_err(|refused| {
        metrics.refused.get_or_create(&Refusal { limit: Limit::StreamsPerUser }).inc();
        refused.fault("streams of topics", "--max-streams-per-user", "unsubscribe from some")
    })
}

/// Who started a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// This member: everything after its cursor comes through the room.
    Now,
    /// Somebody else: what came before the member entered must be read from the core.
    Before,
}
