//! State topics: `queue`, `devices` and `admin`. What is told is how things are now, each part whole; the newest wins.
//!
//! One feed from the core per topic and tier, however many browsers look. A cursor names the state itself, by its
//! content: whoever knows the present state is told nothing, everybody else all of it, on any bridge and transport.
//! Must never decide who may look: that is done before.

pub mod feed;
pub mod local;
pub mod room;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Times;
use crate::metrics::Metrics;
use crate::presence::book::Book;
use crate::rooms::Place;
use crate::rooms::member::Member;
use crate::server::Core;
use crate::wire::{Tier, Topic};
use courant_shutdown::supervisor::Supervisor;
use local::Local;
use room::StateRoom;

/// Which states.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// For everybody.
    Queue,
    /// For the user whose they are.
    Devices(Arc<str>),
    /// For admins.
    Admin,
}

impl Subject {
    /// What a topic of this user is about, if it is about a state.
    pub fn of(topic: &Topic, user: &str) -> Option<Self> {
        match topic {
            Topic::Queue => Some(Self::Queue),
            Topic::Devices => Some(Self::Devices(user.into())),
            Topic::Admin => Some(Self::Admin),
            Topic::Job(_) | Topic::Document(_) | Topic::Batch(_) | Topic::Mine | Topic::Notifications => None,
        }
    }

    /// The topic's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Devices(_) => "devices",
            Self::Admin => "admin",
        }
    }
}

type Key = (Subject, Tier);

/// All rooms about states.
pub struct States {
    rooms: Mutex<HashMap<Key, Arc<StateRoom>>>,
    /// The way to the core.
    pub core: Core,
    /// Graces and pauses.
    pub times: Times,
    /// Counters.
    pub metrics: Metrics,
    /// Who is connected.
    pub book: Arc<Book>,
    /// What the bridge itself has to show.
    pub local: Local,
    supervisor: Supervisor,
}

impl States {
    /// No rooms yet.
    pub fn new(
        core: Core,
        times: Times,
        metrics: Metrics,
        book: Arc<Book>,
        local: Local,
        supervisor: Supervisor,
    ) -> Arc<Self> {
        Arc::new(Self { rooms: Mutex::default(), core, times, metrics, book, local, supervisor })
    }

    /// Enters the room, which is started if nobody has. The member hears nothing before [`StateRoom::welcome`].
    pub fn enter(self: &Arc<Self>, subject: &Subject, tier: Tier, member: &Arc<Member>) -> (Arc<StateRoom>, Place) {
        let mut rooms = self.rooms.lock();
        let room = rooms.entry((subject.clone(), tier)).or_insert_with(|| {
            let room = Arc::new(StateRoom::new(subject.clone(), tier));
            self.metrics.rooms.inc();
            self.supervisor.run("state", room::run(self.clone(), room.clone()));
            room
        });
        room.expect();
        self.metrics.subscriptions.inc();
        (room.clone(), Place::new(room.clone(), member.id, self.metrics.clone()))
    }

    /// How many members each room has.
    pub fn members(&self) -> Vec<(String, usize)> {
        self.rooms.lock().values().map(|room| (room.subject.name().to_owned(), room.members())).collect()
    }

    /// Ends a room unless somebody has come in the meantime.
    fn end_if_empty(&self, room: &StateRoom) -> bool {
        let mut rooms = self.rooms.lock();
        let empty = room.is_empty();
        if empty {
            rooms.remove(&(room.subject.clone(), room.tier));
            self.metrics.rooms.dec();
        }
        empty
    }
}
