//! How each program is started.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::super::disk::{Clock, Disk};
use super::super::nats;
use super::super::network::{Machine, Network};
use super::super::plan::Link;
use super::super::process::Program;
use super::super::shape::Shape;
use super::{LEASE, Links};
use crate::webhooks;

/// Which programs to run.
pub struct Binaries {
    folder: PathBuf,
    server: PathBuf,
    arguments: Vec<String>,
}

impl Binaries {
    /// Those of the same build as this program.
    pub fn of_this_build() -> anyhow::Result<Self> {
        let mine = std::env::current_exe()?;
        let folders = mine.ancestors().skip(1).take(2);
        let folder = folders.into_iter().find(|folder| folder.join("courant-server").is_file());
        let folder = folder.with_context(|| format!("no courant-server beside {}; run: make build", mine.display()))?;
        Ok(Self { folder: folder.to_owned(), server: folder.join("courant-server"), arguments: Vec::new() })
    }

    /// The same with another server.
    pub fn with_server(mut self, server: &Path, arguments: &[&str]) -> Self {
        self.server = server.to_owned();
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }
}

/// Makes the programs of one system.
pub(super) struct Maker<'a> {
    pub home: &'a Path,
    pub binaries: &'a Binaries,
    pub shape: Shape,
    pub network: &'a Network,
    pub links: &'a Links,
    /// The file with the secret of tokens.
    pub secret: String,
}

impl Maker<'_> {
    pub(super) fn server(&self, number: usize, disk: &Disk, clock: &Clock) -> Program {
        let machine = Machine::Server(number);
        let mut arguments = vec!["--grpc".to_owned(), format!("{}:0", self.network.listens(machine))];
        arguments.extend(self.log_flags(number, disk));
        arguments.extend(server_flags(&self.secret, &self.binaries.arguments));
        // In a cluster servers have a network of their own, from which nobody here is reached.
        arguments.extend(webhooks::FLAGS.map(str::to_owned).into_iter().filter(|_| !self.shape.is_cluster()));
        let bridges = (0..self.shape.bridges).map(|bridge| Link::Bridge { bridge, server: number });
        let links = [Link::Clients(number), Link::Workers(number)].into_iter().chain(bridges);
        let program = Program {
            path: self.binaries.server.clone(),
            environment: clock.environment(),
            announces: Some("serving gRPC address="),
            proxies: links.map(|link| Arc::clone(&self.links[&link])).collect(),
            ..self.program("courant-server", number, self.shape.servers, arguments)
        };
        self.network.place(machine, program)
    }

    fn log_flags(&self, number: usize, disk: &Disk) -> Vec<String> {
        let data = |path: &Path| ["--data-dir".to_owned(), path.display().to_string()];
        if !self.shape.is_cluster() {
            return data(&disk.path).into();
        }
        let proxies = (0..self.shape.nats).map(|nats| &self.links[&Link::Log { server: number, nats }]);
        let urls: Vec<String> = proxies.map(|proxy| format!("nats://{}", proxy.address)).collect();
        let name = ["--server-name".to_owned(), format!("server-{number}")];
        let folder = data(&self.home.join("servers").join(number.to_string()));
        let log = nats::flags(self.home, &urls, self.shape.nats);
        name.into_iter().chain(folder).chain(log).collect()
    }

    pub(super) fn bridge(&self, number: usize) -> Program {
        let servers = self.servers(|server| Link::Bridge { bridge: number, server });
        let flags = ["--listen", "127.0.0.1:0", "--server", &servers, "--secret-file", &self.secret];
        let limits = ["--outbox-bytes", "65536", "--ping-interval", "3s", "--max-attempts-per-minute", "1000000"];
        let flags = flags.into_iter().chain(limits);
        Program {
            announces: Some("listen="),
            proxies: vec![Arc::clone(&self.links[&Link::Browsers(number)])],
            ..self.program("courant-bridge", number, self.shape.bridges, owned(flags))
        }
    }

    pub(super) fn pdf_worker(&self, number: usize) -> Program {
        let (servers, id) = (self.servers(Link::Workers), format!("pdf-{number}"));
        let flags = ["--server", &servers, "--worker-id", &id, "--secret-file", &self.secret, "--slots", "2"];
        // Documents here are small, and are to be done in parts all the same.
        let flags = flags.into_iter().chain(["--split-pages", "2", "--part-pages", "2"]);
        self.program("courant-pdf-worker", 0, 1, owned(flags))
    }

    /// The URLs of all servers over these links.
    fn servers(&self, link: impl Fn(usize) -> Link) -> String {
        let proxies = (0..self.shape.servers).map(|server| &self.links[&link(server)]);
        proxies.map(|proxy| format!("http://{}", proxy.address)).collect::<Vec<_>>().join(",")
    }

    /// One of so many of a program.
    fn program(&self, name: &str, number: usize, of: usize, arguments: Vec<String>) -> Program {
        let label = if of > 1 { format!("{name}-{number}") } else { name.to_owned() };
        Program {
            path: self.binaries.folder.join(name),
            arguments,
            environment: Vec::new(),
            announces: None,
            proxies: Vec::new(),
            log: self.home.join(format!("{label}.log")),
            name: label,
        }
    }
}

fn owned<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn server_flags(secret: &str, more: &[String]) -> Vec<String> {
    let lease = format!("{}ms", LEASE.as_millis());
    let fixed = ["--secret-file", secret, "--lease", &lease];
    let times = ["--accept-within", "1s", "--cancel-grace", "2s", "--retry-base", "100ms", "--retry-max", "2s"];
    let rest = ["--bookmark-interval", "1s", "--watch-buffer", "64", "--max-attempts", "5"];
    let words = fixed.into_iter().chain(times).chain(rest).map(str::to_owned);
    words.chain(more.iter().cloned()).collect()
}
