//! What is done to several servers on one log.
//!
//! Left out is what is about the embedded log: a full disk (here each NATS server writes where the tool does, and the
//! log's own answer to a full stream is tested in `crates/natslog`).

use std::time::Duration;

use fastrand::Rng;

use super::super::shape::Shape;
use super::{Cables, Cut, Fault, Link, Node, PDF_WORKERS, WORKERS, Who, pause, short};

/// After a fault of NATS: what it takes to elect another leader (10.6 s measured) and to catch up, so that no two nodes
/// are away at once but where that is the fault.
const NATS_RESTS: Duration = Duration::from_secs(15);

/// Draws faults, one of NATS at a time.
pub(super) struct Draw {
    shape: Shape,
    nats_is_whole_at: Duration,
}

impl Draw {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, nats_is_whole_at: Duration::ZERO }
    }

    /// Any fault at this time.
    pub(super) fn any(&mut self, rng: &mut Rng, at: Duration) -> Fault {
        match rng.u32(0..100) {
            0..14 => Fault::Kill(self.who(rng)),
            14..20 => Fault::Stop(Who::Server(self.server(rng))),
            20..34 => Fault::Pause(self.who(rng), pause(rng)),
            34..46 => Fault::Cut(self.link(rng), if rng.bool() { Cut::Fin } else { Cut::Rst }),
            46..55 => Fault::Stall(self.link(rng), pause(rng)),
            55..64 => Fault::Delay(self.link(rng), Duration::from_millis(rng.u64(20..500)), short(rng)),
            64..70 => Fault::Trickle(self.link(rng), rng.usize(200..20_000), short(rng)),
            70..74 => Fault::Refuse(self.link(rng), short(rng)),
            74..76 => Fault::Drain(rng.usize(0..WORKERS), short(rng)),
            76..81 => Fault::Jump(self.server(rng), rng.i32(-200..200)),
            81..88 => Fault::Unplug(self.cables_of_a_server(rng), 2 * pause(rng)),
            _ if at < self.nats_is_whole_at => Fault::Pause(Who::Server(self.server(rng)), pause(rng)),
            _ => self.of_nats(rng, at),
        }
    }

    /// The `kill -9` of something.
    pub(super) fn kill(&mut self, rng: &mut Rng, at: Duration) -> Fault {
        if at < self.nats_is_whole_at || rng.u32(0..4) > 0 {
            return Fault::Kill(self.who(rng));
        }
        self.nats_is_whole_at = at + NATS_RESTS;
        Fault::Kill(Who::Nats(self.node(rng)))
    }

    fn of_nats(&mut self, rng: &mut Rng, at: Duration) -> Fault {
        let time = Duration::from_millis(rng.u64(1_000..12_000));
        self.nats_is_whole_at = at + time + NATS_RESTS;
        match rng.u32(0..20) {
            0..4 => Fault::Kill(Who::Nats(self.node(rng))),
            4..9 => Fault::Down(Who::Nats(self.node(rng)), time),
            9..13 => Fault::Pause(Who::Nats(self.node(rng)), time),
            13..16 => Fault::Unplug(Cables::NodeToOthers(rng.usize(0..self.shape.nats)), time),
            16..18 => Fault::Unplug(Cables::Node(rng.usize(0..self.shape.nats)), time),
            _ => Fault::QuorumLoss(time),
        }
    }

    fn node(&self, rng: &mut Rng) -> Node {
        if rng.bool() { Node::Leader } else { Node::Number(rng.usize(0..self.shape.nats)) }
    }

    fn cables_of_a_server(&self, rng: &mut Rng) -> Cables {
        let server = self.server(rng);
        match rng.u32(0..4) {
            0..2 => Cables::ServerToAllBut { server, nats: rng.usize(0..self.shape.nats) },
            2 => Cables::ServerToLog(server),
            _ => Cables::Server(server),
        }
    }

    fn server(&self, rng: &mut Rng) -> usize {
        rng.usize(0..self.shape.servers)
    }

    fn who(&self, rng: &mut Rng) -> Who {
        match rng.u32(0..10) {
            0..5 => Who::Server(self.server(rng)),
            5..7 => Who::Bridge(rng.usize(0..self.shape.bridges)),
            7 => Who::PdfWorker(rng.usize(0..PDF_WORKERS)),
            _ => Who::Worker(rng.usize(0..WORKERS)),
        }
    }

    fn link(&self, rng: &mut Rng) -> Link {
        let server = self.server(rng);
        match rng.u32(0..10) {
            0..2 => Link::Clients(server),
            2..4 => Link::Browsers(rng.usize(0..self.shape.bridges)),
            4..6 => Link::Bridge { bridge: rng.usize(0..self.shape.bridges), server },
            6..8 => Link::Workers(server),
            _ => Link::Log { server, nats: rng.usize(0..self.shape.nats) },
        }
    }
}
