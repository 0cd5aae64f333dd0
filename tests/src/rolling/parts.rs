//! What is restarted: servers, bridges and workers at addresses that stay, behind an ingress.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use courant_auth::Role;
use courant_natslog::testing::{Cluster, Sync};

use super::Options;
use crate::bridge::Bridge;
use crate::http::Web;
use crate::ingress::{Ingress, Upstream};
use crate::pdf_worker::PdfWorker;
use crate::server::{Server, Shared};
use crate::within;

const BRIDGES: usize = 2;
const WORKERS: usize = 2;
/// Of servers on NATS; the embedded log has one.
const SERVERS: usize = 3;
/// Longer than the ingress takes to see that a part is not ready.
const LAME_DUCK: &str = "4s";
/// After so long without a word a worker's jobs are given to others.
const LEASE: &str = "5s";
/// Where no outgoing connection gets its port, so that a part finds its own free when it comes back.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What can be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Server(usize),
    Bridge(usize),
    Worker(usize),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(number) => write!(f, "server {}", number + 1),
            Self::Bridge(number) => write!(f, "bridge {}", number + 1),
            Self::Worker(number) => write!(f, "worker {}", number + 1),
        }
    }
}

pub(super) struct Parts {
    /// None: one server on an embedded log.
    nats: Option<Cluster>,
    pub(super) shared: Shared,
    servers: Vec<Option<Server>>,
    bridges: Vec<Option<Bridge>>,
    workers: Vec<Option<PdfWorker>>,
    server_addresses: Vec<Upstream>,
    bridge_addresses: Vec<Upstream>,
    pub(super) ingress: Ingress,
}

impl Parts {
    pub(super) async fn start(options: &Options) -> anyhow::Result<Self> {
        let nats = (!options.embedded).then(|| Cluster::three(Sync::Always));
        let servers = if options.embedded { 1 } else { SERVERS };
        let mut ports = free_ports(2 * servers + BRIDGES)?.into_iter();
        let mut port = || ports.next().context("as many as asked for");
        let mut server_addresses = Vec::new();
        for _ in 0..servers {
            server_addresses.push(Upstream { address: format!("127.0.0.1:{}", port()?), ready_port: port()? });
        }
        let mut bridge_addresses = Vec::new();
        for _ in 0..BRIDGES {
            let ready_port = port()?;
            bridge_addresses.push(Upstream { address: format!("127.0.0.1:{ready_port}"), ready_port });
        }
        let ingress = Ingress::start(options.ingress, 0, &bridge_addresses, &server_addresses).await?;
        let mut parts = Self {
            nats,
            shared: Shared::new()?,
            servers: Vec::new(),
            bridges: Vec::new(),
            workers: Vec::new(),
            server_addresses,
            bridge_addresses,
            ingress,
        };
        parts.servers.resize_with(servers, || None);
        parts.bridges.resize_with(BRIDGES, || None);
        parts.workers.resize_with(WORKERS, || None);
        for part in parts.all() {
            parts.run(part).await?;
        }
        // The ingress was there before them.
        ready(&parts.ingress.http).await?;
        Ok(parts)
    }

    /// Every part, in the order in which they are restarted.
    pub(super) fn all(&self) -> Vec<Part> {
        let servers = (0..self.servers.len()).map(Part::Server);
        servers.chain((0..BRIDGES).map(Part::Bridge)).chain((0..WORKERS).map(Part::Worker)).collect()
    }

    /// SIGTERM; and when it has ended, the same again.
    pub(super) async fn restart(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Server(number) => {
                let status = self.servers[number].take().context("it runs")?.stop().await?;
                ensure!(status.success(), "{part} ended with {status}");
            }
            Part::Bridge(number) => {
                let status = self.bridges[number].take().context("it runs")?.stop().await?;
                ensure!(status.success(), "{part} ended with {status}");
            }
            Part::Worker(number) => {
                let code = self.workers[number].take().context("it runs")?.stop().await?;
                ensure!(code == Some(0), "{part} ended with {code:?}");
            }
        }
        self.run(part).await
    }

    /// Starts it and waits until it is ready.
    async fn run(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Server(number) => {
                self.servers[number] = Some(self.start_server(number).await?);
                ready(&format!("127.0.0.1:{}", self.server_addresses[number].ready_port)).await
            }
            Part::Bridge(number) => {
                let Upstream { address, .. } = &self.bridge_addresses[number];
                let flags = ["--http", address, "--lame-duck", LAME_DUCK];
                self.bridges[number] = Some(Bridge::at(&self.shared, &self.server_urls(), &flags).await?);
                ready(address).await
            }
            Part::Worker(number) => {
                let token = self.shared.token("worker", &[Role::Worker])?;
                let id = format!("worker-{}", number + 1);
                let flags = ["--slots", "1"];
                self.workers[number] = Some(PdfWorker::at(&self.server_urls(), &token, &id, &flags).await?);
                Ok(())
            }
        }
    }

    async fn start_server(&self, number: usize) -> anyhow::Result<Server> {
        let Upstream { address, ready_port } = &self.server_addresses[number];
        let (name, ready) = (format!("server-{}", number + 1), format!("127.0.0.1:{ready_port}"));
        let flags = ["--grpc", address, "--metrics-addr", &ready, "--lame-duck", LAME_DUCK, "--lease", LEASE];
        match &self.nats {
            None => Server::start_embedded(&self.shared, &name, &flags).await,
            Some(nats) => {
                let flags = [&["--server-name", &name], flags.as_slice()].concat();
                Server::start(nats, &self.shared, &name, &flags).await
            }
        }
    }

    /// Without the ingress: for bridges and workers, which know all servers.
    fn server_urls(&self) -> String {
        let urls: Vec<String> =
            self.server_addresses.iter().map(|upstream| format!("http://{}", upstream.address)).collect();
        urls.join(",")
    }
}

async fn ready(address: &str) -> anyhow::Result<()> {
    let web = Web::new(address, None);
    within("a part to be ready", async {
        while !web.get("/readyz").await.is_ok_and(|answer| answer.status == 200) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await
}

fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let port = fastrand::u16(PORTS);
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        if held.len() == count {
            return held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect();
        }
    }
    bail!("no {count} free ports from {} to {}", PORTS.start, PORTS.end)
}
