//! The system under torture: the real programs, each behind proxies.

mod programs;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use courant_auth::{Role, Secret, Signer};
use tokio_util::sync::CancellationToken;

pub use self::programs::Binaries;
use self::programs::Maker;
use super::disk::{Clock, Disk};
use super::nats;
use super::network::Network;
use super::plan::{Cut, Fault, Link, PDF_WORKERS, Who};
use super::process::Process;
use super::proxy::{LinkCondition, Proxy};
use super::shape::Shape;

/// The lease: short, so that many run out.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long the tool's tokens live: longer than any run and any jump of the clock.
const TOKENS: Duration = Duration::from_secs(7 * 24 * 3600);

/// All proxies by where they are.
type Links = HashMap<Link, Arc<Proxy>>;

/// Everything that runs.
pub struct System {
    shape: Shape,
    servers: Vec<Process>,
    bridges: Vec<Process>,
    pdf_workers: Vec<Process>,
    nats: Vec<Process>,
    links: Links,
    network: Network,
    /// The data of a server with the embedded log.
    disk: Disk,
    /// One for each server.
    clocks: Vec<Clock>,
    signer: Signer,
}

impl System {
    /// Starts everything in a folder.
    pub async fn start(
        home: &Path,
        binaries: &Binaries,
        shape: Shape,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let secret = home.join("secret");
        let signer = Signer::hs256(&Secret::load_or_create(&secret)?);
        let disk = Disk::mount(home.join("data"), !shape.is_cluster())?;
        let clock = |number: usize| Clock::find(home.join(format!("clock-{number}")));
        let clocks = (0..shape.servers).map(clock).collect::<anyhow::Result<Vec<_>>>()?;
        let network = Network::make(shape)?;
        let links = open_links(shape, &network).await?;
        let keep = |program| Process::keep(program, stop.child_token());
        let maker =
            Maker { home, binaries, shape, network: &network, links: &links, secret: secret.display().to_string() };
        if shape.is_cluster() {
            nats::make_shared(home)?;
        }
        let nats = (0..shape.nats).map(|number| nats::program(home, &network, shape, number).map(keep));
        let nats = nats.collect::<anyhow::Result<_>>()?;
        let server = |(number, clock): (usize, &Clock)| keep(maker.server(number, &disk, clock));
        let servers = clocks.iter().enumerate().map(server).collect();
        let bridges = (0..shape.bridges).map(|number| keep(maker.bridge(number))).collect();
        let pdf_workers = (0..PDF_WORKERS).map(|number| keep(maker.pdf_worker(number))).collect();
        Ok(Self { shape, servers, bridges, pdf_workers, nats, links, network, disk, clocks, signer })
    }

    /// The addresses of all servers, for clients.
    pub fn for_clients(&self) -> Vec<std::net::SocketAddr> {
        (0..self.shape.servers).map(|server| self.links[&Link::Clients(server)].address).collect()
    }

    /// The addresses of all servers, for workers.
    pub fn for_workers(&self) -> Vec<std::net::SocketAddr> {
        (0..self.shape.servers).map(|server| self.links[&Link::Workers(server)].address).collect()
    }

    /// The addresses of all bridges.
    pub fn for_browsers(&self) -> Vec<std::net::SocketAddr> {
        (0..self.shape.bridges).map(|bridge| self.links[&Link::Browsers(bridge)].address).collect()
    }

    /// Whether all servers serve.
    pub fn all_serve(&self) -> bool {
        (0..self.shape.servers).all(|server| self.links[&Link::Clients(server)].has_target())
    }

    pub fn token(&self, user: &str, roles: &[Role]) -> anyhow::Result<String> {
        Ok(self.signer.sign(user, roles, TOKENS)?)
    }

    /// How often programs ended by themselves.
    pub fn exits(&self) -> u64 {
        self.processes().map(|process| process.exits.load(Ordering::Relaxed)).sum()
    }

    /// Why a fault cannot be had here, if it cannot.
    pub fn lacks(&self, fault: Fault) -> Option<&'static str> {
        match fault {
            Fault::Full(_, _) if !self.disk.own => Some("full disks: no mounts of one's own here"),
            Fault::Jump(_, _) if self.clocks.iter().any(|clock| !clock.can_jump()) => {
                Some("clock jumps: libfaketime is not installed")
            }
            Fault::Unplug(_, _) if !self.network.own => Some("pulled cables: no network namespaces here"),
            _ => None,
        }
    }

    /// Does one bad thing, to its end.
    pub async fn inject(&self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Kill(who) => self.process(who).await.into_iter().for_each(Process::kill),
            Fault::Down(who, time) => self.process(who).await.into_iter().for_each(|process| process.kill_for(time)),
            Fault::Stop(who) => {
                if let Some(process) = self.process(who).await {
                    process.stop().await;
                }
            }
            Fault::Pause(who, time) => pause(self.process(who).await.as_slice(), time).await,
            Fault::QuorumLoss(time) => pause(&self.nats.iter().skip(1).collect::<Vec<_>>(), time).await,
            Fault::Cut(link, how) => self.links[&link].cut(how),
            Fault::Stall(link, time) => self.condition(link, LinkCondition::Stalled, time).await,
            Fault::Delay(link, by, time) => self.condition(link, LinkCondition::Delayed(by), time).await,
            Fault::Trickle(link, rate, time) => self.condition(link, LinkCondition::Trickling(rate), time).await,
            Fault::Refuse(link, time) => {
                self.links[&link].cut(Cut::Rst);
                self.condition(link, LinkCondition::Closed, time).await;
            }
            Fault::Unplug(cables, time) => {
                self.network.pull(cables, true)?;
                tokio::time::sleep(time).await;
                self.network.pull(cables, false)?;
            }
            Fault::Full(left, time) => {
                self.disk.fill(left)?;
                tokio::time::sleep(time).await;
                self.disk.free()?;
            }
            // Operators do this, not the machine.
            Fault::Drain(_, _) => {}
            Fault::Jump(server, seconds) => self.clocks[server].jump(seconds)?,
        }
        Ok(())
    }

    pub fn clear_faults(&self) -> anyhow::Result<()> {
        self.links.values().for_each(|link| link.set(LinkCondition::Normal));
        self.processes().for_each(|process| process.pause(false));
        self.network.repair()?;
        if self.disk.own {
            self.disk.free()?;
        }
        self.clocks.iter().try_for_each(|clock| clock.jump(0))
    }

    async fn condition(&self, link: Link, condition: LinkCondition, time: Duration) {
        self.links[&link].set(condition);
        tokio::time::sleep(time).await;
        self.links[&link].set(LinkCondition::Normal);
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.servers.iter().chain(&self.bridges).chain(&self.pdf_workers).chain(&self.nats)
    }

    async fn process(&self, who: Who) -> Option<&Process> {
        match who {
            Who::Server(number) => self.servers.get(number),
            Who::Bridge(number) => self.bridges.get(number),
            Who::PdfWorker(number) => self.pdf_workers.get(number),
            Who::Nats(node) => self.nats.get(nats::number_of(node, &self.network, self.shape).await),
            Who::Worker(_) => None,
        }
    }
}

async fn pause(processes: &[&Process], time: Duration) {
    processes.iter().for_each(|process| process.pause(true));
    tokio::time::sleep(time).await;
    processes.iter().for_each(|process| process.pause(false));
}

async fn open_links(shape: Shape, network: &Network) -> anyhow::Result<Links> {
    let mut links = Links::new();
    for server in 0..shape.servers {
        for link in [Link::Clients(server), Link::Workers(server)] {
            links.insert(link, Arc::new(Proxy::open().await?));
        }
        for bridge in 0..shape.bridges {
            links.insert(Link::Bridge { bridge, server }, Arc::new(Proxy::open().await?));
        }
        for nats in 0..shape.nats {
            let proxy = Proxy::open_at(network.log_proxy(server, nats)).await?;
            proxy.aim(Some(network.nats(nats)));
            links.insert(Link::Log { server, nats }, Arc::new(proxy));
        }
    }
    for bridge in 0..shape.bridges {
        links.insert(Link::Browsers(bridge), Arc::new(Proxy::open().await?));
    }
    Ok(links)
}
