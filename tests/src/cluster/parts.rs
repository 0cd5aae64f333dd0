//! What a cluster is made of.

use std::time::Duration;

use anyhow::Context as _;
use courant_auth::Role;
use courant_natslog::testing::{Cluster, Sync};

use crate::bridge::Bridge;
use crate::grpc::Jobs;
use crate::ingress::{Ingress, Kind, Upstream};
use crate::pdf_worker::PdfWorker;
use crate::server::{Server, Shared};
use crate::ws::Socket;

pub(super) const SERVERS: usize = 3;
const BRIDGES: usize = 2;
const WORKERS: usize = 4;
/// After so long without a word a worker's jobs are given to others.
const LEASE: &str = "5s";
/// The user whose documents are processed.
const USER: &str = "demo";
/// How NATS calls the stream.
const STREAM: &str = "courant";

pub(super) struct Parts {
    nats: Cluster,
    pub(super) shared: Shared,
    servers: Vec<Option<Server>>,
    addresses: Vec<String>,
    _bridges: Vec<Bridge>,
    _workers: Vec<PdfWorker>,
    nginx: Ingress,
}

impl Parts {
    pub(super) async fn start(port: u16) -> anyhow::Result<Self> {
        let (nats, shared) = (Cluster::three(Sync::Always), Shared::new()?);
        let of_nats: Vec<String> = nats.nodes.iter().map(|node| node.url()).collect();
        say("NATS", &of_nats.join(" "));
        let mut servers = Vec::new();
        for number in 0..SERVERS {
            servers.push(start_server(&nats, &shared, number, "127.0.0.1:0").await?);
        }
        let addresses: Vec<String> = servers.iter().map(|server| server.grpc.clone()).collect();
        say("servers", &addresses.join(" "));
        let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
        let (mut bridges, mut workers) = (Vec::new(), Vec::new());
        for _ in 0..BRIDGES {
            bridges.push(Bridge::at(&shared, &urls.join(","), &[]).await?);
        }
        for number in 1..=WORKERS {
            let (id, token) = (format!("worker-{number}"), shared.token("worker", &[Role::Worker])?);
            workers.push(PdfWorker::at(&urls.join(","), &token, &id, &["--slots", "1"]).await?);
        }
        let of_bridges: Vec<&str> = bridges.iter().map(|bridge| &*bridge.http).collect();
        say("bridges", &of_bridges.join(" "));
        say("workers", &format!("{WORKERS}, each for one document at a time"));
        let upstreams =
            |addresses: &[&str]| addresses.iter().map(|address| Upstream::new(address)).collect::<Result<Vec<_>, _>>();
        let of_servers: Vec<&str> = addresses.iter().map(|address| &**address).collect();
        let nginx = Ingress::start(Kind::Nginx, port, &upstreams(&of_bridges)?, &upstreams(&of_servers)?).await?;
        say("nginx", &format!("http://{}", nginx.http));
        let servers = servers.into_iter().map(Some).collect();
        Ok(Self { nats, shared, servers, addresses, _bridges: bridges, _workers: workers, nginx })
    }

    /// A link that signs in.
    pub(super) fn console(&self) -> anyhow::Result<String> {
        Ok(format!("http://{}/#token={}", self.nginx.http, self.shared.token(USER, &[Role::Admin])?))
    }

    /// How the user sends a document.
    pub(super) fn submit_command(&self) -> anyhow::Result<String> {
        let (servers, token) = (self.addresses.join(","), self.shared.token(USER, &[])?);
        Ok(format!("target/release/courant submit FILE --watch --server {servers} --token {token}"))
    }

    /// The user's way to one of the servers.
    pub(super) async fn jobs(&self, server: usize) -> anyhow::Result<Jobs> {
        Jobs::connect(&self.addresses[server], &self.shared.token(USER, &[])?).await
    }

    /// The user's WebSocket, through nginx.
    pub(super) async fn socket(&self) -> anyhow::Result<Socket> {
        let mut socket = Socket::open(&self.nginx.http).await?;
        socket.sign_in(&self.shared.token(USER, &[])?).await?;
        Ok(socket)
    }

    /// `kill -9` of a server.
    pub(super) async fn kill_server(&mut self, number: usize) -> anyhow::Result<()> {
        self.servers[number].take().context("it runs")?.kill().await
    }

    /// Starts it again, where it was.
    pub(super) async fn restart_server(&mut self, number: usize) -> anyhow::Result<()> {
        self.servers[number] = Some(start_server(&self.nats, &self.shared, number, &self.addresses[number]).await?);
        Ok(())
    }

    /// `kill -9` of the NATS server that leads the stream; gives its name.
    pub(super) async fn kill_leader(&self) -> String {
        let leader = self.nats.leader(STREAM).await;
        leader.kill();
        leader.name.clone()
    }

    pub(super) fn restart_nats(&self, name: &str) {
        self.nats.nodes.iter().filter(|node| node.name == name).for_each(|node| node.start());
    }
}

async fn start_server(nats: &Cluster, shared: &Shared, number: usize, listen: &str) -> anyhow::Result<Server> {
    let name = format!("server-{}", number + 1);
    let flags = ["--server-name", &name, "--grpc", listen, "--lease", LEASE];
    // The port is free again a moment after a kill.
    for _ in 0..50 {
        match Server::start(nats, shared, &name, &flags).await {
            Ok(server) => return Ok(server),
            Err(error) if listen.ends_with(":0") => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    anyhow::bail!("{name} does not start again at {listen}")
}

fn say(what: &str, text: &str) {
    println!("{what:<10}{text}");
}
