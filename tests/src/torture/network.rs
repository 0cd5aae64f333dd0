//! The network between servers and NATS: a namespace for each of them, and a cable (a pair of veth interfaces) between any
//! two that talk. What is sent while a cable is pulled is lost, which no proxy can do.
//!
//! Servers reach NATS through the tool's proxies, of which each has a cable of its own to its server; NATS servers reach
//! each other without. Where there can be no namespaces everything is on the loopback interface, without cables.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::namespaces;
use super::plan::Cables;
use super::process::Program;
use super::shape::Shape;

/// The network of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// The tool with everything else.
    Tool,
    Server(usize),
    Nats(usize),
}

/// A cable: the first end is the tool's, or that of the NATS server with the smaller number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cable {
    /// For what is said to a server.
    Server(usize),
    /// For what a server says to a NATS server.
    Log {
        server: usize,
        nats: usize,
    },
    Nats(usize),
    Route(usize, usize),
}

pub struct Network {
    shape: Shape,
    /// Whether there are cables.
    pub own: bool,
    /// The ports of each NATS server, for clients and for routes.
    ports: Vec<(u16, u16)>,
}

impl Machine {
    fn name(self) -> Option<String> {
        match self {
            Self::Tool => None,
            Self::Server(number) => Some(format!("server-{number}")),
            Self::Nats(number) => Some(format!("nats-{number}")),
        }
    }
}

impl Cable {
    fn ends(self) -> [Machine; 2] {
        match self {
            Self::Server(server) | Self::Log { server, .. } => [Machine::Tool, Machine::Server(server)],
            Self::Nats(nats) => [Machine::Tool, Machine::Nats(nats)],
            Self::Route(one, other) => [Machine::Nats(one), Machine::Nats(other)],
        }
    }

    /// A network of its own: 10.X.Y.0/24.
    fn address(self, end: u8) -> Ipv4Addr {
        let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let [x, y] = match self {
            Self::Server(server) => [1, byte(server)],
            Self::Log { server, nats } => [2, byte(server * 16 + nats)],
            Self::Nats(nats) => [3, byte(nats)],
            Self::Route(one, other) => [4, byte(one * 16 + other)],
        };
        Ipv4Addr::new(10, x, y, end + 1)
    }

    fn interface(self, end: u8) -> String {
        let [_, x, y, _] = self.address(end).octets();
        format!("c{x}-{y}-{end}")
    }
}

impl Network {
    pub fn make(shape: Shape) -> anyhow::Result<Self> {
        let own = namespaces::has_own_network();
        let mut network = Self { shape, own, ports: vec![(4222, 6222); shape.nats] };
        if own {
            network.lay_cables()?;
        } else {
            let free = free_ports(2 * shape.nats)?;
            network.ports = free.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        }
        Ok(network)
    }

    fn lay_cables(&self) -> anyhow::Result<()> {
        run("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
        std::fs::create_dir("/run/netns")?;
        ip("link set lo up")?;
        let servers = (0..self.shape.servers).map(Machine::Server);
        for machine in servers.chain((0..self.shape.nats).map(Machine::Nats)) {
            let name = machine.name().unwrap_or_default();
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        self.all_cables().into_iter().try_for_each(lay)
    }

    fn all_cables(&self) -> Vec<Cable> {
        let Shape { servers, nats, .. } = self.shape;
        let logs = (0..servers).flat_map(|server| (0..nats).map(move |nats| Cable::Log { server, nats }));
        let routes = (0..nats).flat_map(|one| (one + 1..nats).map(move |other| Cable::Route(one, other)));
        let all = (0..servers).map(Cable::Server).chain(logs);
        all.chain((0..nats).map(Cable::Nats)).chain(routes).collect()
    }

    /// Pulls cables, or puts them back.
    pub fn pull(&self, cables: Cables, out: bool) -> anyhow::Result<()> {
        let pulled = |cable: &Cable| match (cables, *cable) {
            (Cables::ServerToAllBut { server, nats }, Cable::Log { server: of, nats: to }) => {
                server == of && nats != to
            }
            (Cables::ServerToLog(server), Cable::Log { server: of, .. }) => server == of,
            (Cables::Server(server), Cable::Server(of) | Cable::Log { server: of, .. }) => server == of,
            (Cables::NodeToOthers(nats) | Cables::Node(nats), Cable::Route(one, other)) => nats == one || nats == other,
            (Cables::Node(nats), Cable::Nats(of)) => nats == of,
            _ => false,
        };
        self.all_cables().into_iter().filter(pulled).try_for_each(|cable| set(cable, !out))
    }

    /// Puts all cables back.
    pub fn repair(&self) -> anyhow::Result<()> {
        if self.own { self.all_cables().into_iter().try_for_each(|cable| set(cable, true)) } else { Ok(()) }
    }

    /// Where a program on this machine listens for the tool.
    pub fn listens(&self, machine: Machine) -> Ipv4Addr {
        match machine {
            Machine::Server(server) if self.own => Cable::Server(server).address(1),
            Machine::Nats(nats) if self.own => Cable::Nats(nats).address(1),
            _ => Ipv4Addr::LOCALHOST,
        }
    }

    /// Where the proxy between a server and a NATS server listens.
    pub fn log_proxy(&self, server: usize, nats: usize) -> Ipv4Addr {
        if self.own { Cable::Log { server, nats }.address(0) } else { Ipv4Addr::LOCALHOST }
    }

    /// Where the tool reaches a NATS server.
    pub fn nats(&self, number: usize) -> SocketAddr {
        (self.listens(Machine::Nats(number)), self.ports[number].0).into()
    }

    /// Where a NATS server listens for the others: on all its cables.
    pub fn route_listener(&self, number: usize) -> SocketAddr {
        let address = if self.own { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        (address, self.ports[number].1).into()
    }

    /// Where a NATS server reaches another.
    pub fn route(&self, from: usize, to: usize) -> SocketAddr {
        let cable = Cable::Route(from.min(to), from.max(to));
        let address = if self.own { cable.address(u8::from(from < to)) } else { Ipv4Addr::LOCALHOST };
        (address, self.ports[to].1).into()
    }

    /// Makes a program run on this machine.
    pub fn place(&self, machine: Machine, mut program: Program) -> Program {
        if let Some(name) = machine.name().filter(|_| self.own) {
            (program.path, program.arguments) = namespaces::in_network(&name, &program.path, &program.arguments);
        }
        program
    }
}

fn lay(cable: Cable) -> anyhow::Result<()> {
    let [near, far] = cable.ends().map(|end| end.name().map(|name| format!("netns {name}")).unwrap_or_default());
    let (one, other) = (cable.interface(0), cable.interface(1));
    ip(&format!("link add {one} {near} type veth peer name {other} {far}"))?;
    for end in [0, 1] {
        let (inside, interface) = (within(cable, end), cable.interface(end));
        ip(&format!("{inside} address add {}/24 dev {interface}", cable.address(end)))?;
        ip(&format!("{inside} link set {interface} up"))?;
    }
    Ok(())
}

fn set(cable: Cable, up: bool) -> anyhow::Result<()> {
    let how = if up { "up" } else { "down" };
    ip(&format!("{} link set {} {how}", within(cable, 0), cable.interface(0)))
}

fn within(cable: Cable, end: u8) -> String {
    cable.ends()[usize::from(end)].name().map(|name| format!("-n {name}")).unwrap_or_default()
}

fn ip(words: &str) -> anyhow::Result<()> {
    run("ip", &words.split_whitespace().collect::<Vec<_>>())
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output().context(program.to_owned())?;
    ensure!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let bind = |_| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = (0..count).map(bind).collect::<Result<Vec<_>, _>>()?;
    Ok(held.iter().map(|listener| listener.local_addr().map(|at| at.port())).collect::<Result<_, _>>()?)
}
