//! What can be done to the system.

use std::fmt;
use std::time::Duration;

/// A process of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// One of the `courant-server`s.
    Server(usize),
    /// One of the `courant-bridge`s.
    Bridge(usize),
    /// One of the NATS servers that keep the log.
    Nats(Node),
    /// One of the `courant-pdf-worker`s.
    PdfWorker(usize),
    /// One of the tool's own workers: it forgets all it had.
    Worker(usize),
}

/// One of the NATS servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Number(usize),
    /// Whichever leads the stream when it happens.
    Leader,
}

/// Network cables, each a pair of interfaces (veth) between two network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cables {
    /// Between a server and all NATS servers but one.
    ServerToAllBut { server: usize, nats: usize },
    /// Between a server and all NATS servers.
    ServerToLog(usize),
    /// All cables of a server.
    Server(usize),
    /// Between a NATS server and the other NATS servers; Courant's servers still reach it.
    NodeToOthers(usize),
    /// All cables of a NATS server.
    Node(usize),
}

/// A place where connections pass the tool's own proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Clients to this server.
    Clients(usize),
    /// Browsers to this bridge.
    Browsers(usize),
    /// A bridge to a server.
    Bridge { bridge: usize, server: usize },
    /// Workers to this server.
    Workers(usize),
    /// A server to a NATS server.
    Log { server: usize, nats: usize },
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
    /// SIGTERM, then a start once it has ended.
    Stop(Who),
    /// `kill -9`, and a start after this time.
    Down(Who, Duration),
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
    /// The wall clock of a server jumps to this many seconds off.
    Jump(usize, i32),
    /// These cables are pulled for this long: what is sent is lost, and nobody is told.
    Unplug(Cables, Duration),
    /// All NATS servers but one are stopped (SIGSTOP) for this long: nothing can be appended, everything waits.
    QuorumLoss(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(who) => write!(f, "kill {who:?}"),
            Self::Stop(who) => write!(f, "stop {who:?}"),
            Self::Down(who, time) => write!(f, "down {who:?} for {time:.1?}"),
            Self::Pause(who, time) => write!(f, "pause {who:?} for {time:.1?}"),
            Self::Cut(link, cut) => write!(f, "cut {link:?} by {cut:?}"),
            Self::Stall(link, time) => write!(f, "stall {link:?} for {time:.1?}"),
            Self::Delay(link, by, time) => write!(f, "delay {link:?} by {by:.1?} for {time:.1?}"),
            Self::Trickle(link, rate, time) => write!(f, "trickle {link:?} at {rate} B/s for {time:.1?}"),
            Self::Refuse(link, time) => write!(f, "refuse {link:?} for {time:.1?}"),
            Self::Full(left, time) => write!(f, "full-disk with {left} KiB left for {time:.1?}"),
            Self::Drain(worker, time) => write!(f, "drain worker {worker} for {time:.1?}"),
            Self::Jump(server, seconds) => write!(f, "jump of the clock of server {server} to {seconds:+} s"),
            Self::Unplug(cables, time) => write!(f, "unplug {cables:?} for {time:.1?}"),
            Self::QuorumLoss(time) => write!(f, "quorum-loss for {time:.1?}"),
        }
    }
}
