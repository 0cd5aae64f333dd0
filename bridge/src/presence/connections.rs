//! One device at this bridge: how it is connected.

use std::time::SystemTime;

use courant_proto::v1;
use tokio::time::Instant;

/// What a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    EventStream,
    Poll,
}

/// A device with its connections at this bridge.
#[derive(Clone, Debug)]
pub struct DeviceConnections {
    name: Option<String>,
    since: SystemTime,
    websockets: usize,
    event_streams: usize,
    polls: usize,
    /// When the next poll is overdue, after the last one was answered.
    overdue: Option<Instant>,
}

impl DeviceConnections {
    /// A device that has just come and has no connection yet.
    pub fn new(since: SystemTime) -> Self {
        Self { name: None, since, websockets: 0, event_streams: 0, polls: 0, overdue: None }
    }

    /// One more connection; what it calls itself is what it is called from now on.
    pub fn enter(&mut self, transport: Transport, name: Option<&str>) {
        *self.count(transport) += 1;
        if let Some(name) = name {
            self.name = Some(name.to_owned());
        }
    }

    /// One less. A poll that ended is followed by another until then.
    pub fn leave(&mut self, transport: Transport, overdue: Instant) {
        let count = self.count(transport);
        *count = count.saturating_sub(1);
        if transport == Transport::Poll {
            self.overdue = Some(overdue);
        }
    }

    fn count(&mut self, transport: Transport) -> &mut usize {
        match transport {
            Transport::WebSocket => &mut self.websockets,
            Transport::EventStream => &mut self.event_streams,
            Transport::Poll => &mut self.polls,
        }
    }

    /// Until when it counts as polling though no poll is open; forgets that when it is past.
    pub fn polls_until(&mut self, now: Instant) -> Option<Instant> {
        self.overdue = self.overdue.filter(|overdue| *overdue > now);
        self.overdue
    }

    /// Whether it has no connection any more.
    pub fn is_gone(&self) -> bool {
        self.websockets + self.event_streams == 0 && !self.is_polling()
    }

    fn is_polling(&self) -> bool {
        self.polls > 0 || self.overdue.is_some()
    }

    /// As it is reported to the server.
    pub fn to_proto(&self, id: &str) -> v1::Device {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        v1::Device {
            device_id: id.to_owned(),
            name: self.name.clone().unwrap_or_default(),
            websockets: count(self.websockets),
            event_streams: count(self.event_streams),
            polls: self.is_polling(),
            connect_time: Some(self.since.into()),
        }
    }
}
