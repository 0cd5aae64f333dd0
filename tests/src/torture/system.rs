//! The system under torture: the real programs, each behind proxies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use courant_auth::{Role, Secret, Signer};
use tokio_util::sync::CancellationToken;

use super::disk::{Clock, Disk};
use super::plan::{Cut, Fault, Link, PDF_WORKERS, Who};
use super::process::{Process, Program};
use super::proxy::{LinkCondition, Proxy};

/// The lease: short, so that many run out.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long the tool's tokens live: longer than any run and any jump of the clock.
const TOKENS: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything that runs.
pub struct System {
    server: Process,
    bridge: Process,
    pdf_workers: Vec<Process>,
    links: [Arc<Proxy>; 4],
    /// The server's data.
    pub disk: Disk,
    /// The server's clock.
    pub clock: Clock,
    signer: Signer,
}

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

impl System {
    /// Starts everything in a folder.
    pub async fn start(home: &Path, binaries: &Binaries, stop: &CancellationToken) -> anyhow::Result<Self> {
        let secret_file = home.join("secret");
        let signer = Signer::hs256(&Secret::load_or_create(&secret_file)?);
        let disk = Disk::mount(home.join("data"))?;
        let clock = Clock::find(home.join("clock"))?;
        let open = || async { anyhow::Ok(Arc::new(Proxy::open().await?)) };
        let links = [open().await?, open().await?, open().await?, open().await?];
        let [clients, browsers, bridge, workers] = &links;
        let secret = secret_file.display().to_string();
        let listens = |name: &str, arguments: Vec<String>, word: &'static str, proxies: &[&Arc<Proxy>]| Program {
            announces: Some(word),
            proxies: proxies.iter().map(|proxy| Arc::clone(proxy)).collect(),
            ..program(home, binaries, name, arguments)
        };
        let mut server = listens(
            "courant-server",
            server_arguments(&disk.path, &secret, &binaries.arguments),
            "serving gRPC address=",
            &[clients, bridge, workers],
        );
        server.path.clone_from(&binaries.server);
        server.environment = clock.environment();
        let core = format!("http://{}", bridge.address);
        let flags = ["--listen", "127.0.0.1:0", "--server", &core, "--secret-file", &secret, "--outbox-bytes", "65536"];
        let flags = flags.into_iter().chain(["--ping-interval", "3s", "--max-attempts-per-minute", "1000000"]);
        let bridge = listens("courant-bridge", owned(flags), "listen=", &[browsers]);
        let pdf_workers = (0..PDF_WORKERS).map(|number| {
            let (server, id) = (format!("http://{}", workers.address), format!("pdf-{number}"));
            let flags = ["--server", &server, "--worker-id", &id, "--secret-file", &secret, "--slots", "2"];
            // Documents here are small, and are to be done in parts all the same.
            let flags = flags.into_iter().chain(["--split-pages", "2", "--part-pages", "2"]);
            Process::keep(program(home, binaries, "courant-pdf-worker", owned(flags)), stop.child_token())
        });
        Ok(Self {
            pdf_workers: pdf_workers.collect(),
            server: Process::keep(server, stop.child_token()),
            bridge: Process::keep(bridge, stop.child_token()),
            links,
            disk,
            clock,
            signer,
        })
    }

    /// Where to connect to over a link.
    pub fn address(&self, link: Link) -> std::net::SocketAddr {
        self.link(link).address
    }

    pub fn token(&self, user: &str, roles: &[Role]) -> anyhow::Result<String> {
        Ok(self.signer.sign(user, roles, TOKENS)?)
    }

    /// How often programs ended by themselves.
    pub fn exits(&self) -> u64 {
        let rest = [&self.server, &self.bridge];
        self.pdf_workers.iter().chain(rest).map(|process| process.exits.load(Ordering::Relaxed)).sum()
    }

    /// Does one bad thing, to its end. `false` when it cannot be done here.
    pub async fn inject(&self, fault: Fault) -> anyhow::Result<bool> {
        match fault {
            Fault::Kill(who) => self.process(who).into_iter().for_each(Process::kill),
            Fault::Pause(who, time) => {
                if let Some(process) = self.process(who) {
                    process.pause(true);
                    tokio::time::sleep(time).await;
                    process.pause(false);
                }
            }
            Fault::Cut(link, how) => self.link(link).cut(how),
            Fault::Stall(link, time) => self.condition(link, LinkCondition::Stalled, time).await,
            Fault::Delay(link, by, time) => self.condition(link, LinkCondition::Delayed(by), time).await,
            Fault::Trickle(link, rate, time) => self.condition(link, LinkCondition::Trickling(rate), time).await,
            Fault::Refuse(link, time) => {
                self.link(link).cut(Cut::Rst);
                self.condition(link, LinkCondition::Closed, time).await;
            }
            Fault::Full(_, _) if !self.disk.own => return Ok(false),
            Fault::Full(left, time) => {
                self.disk.fill(left)?;
                tokio::time::sleep(time).await;
                self.disk.free()?;
            }
            // Operators do this, not the machine.
            Fault::Drain(_, _) => return Ok(false),
            Fault::Jump(_) if !self.clock.can_jump() => return Ok(false),
            Fault::Jump(seconds) => self.clock.jump(seconds)?,
        }
        Ok(true)
    }

    pub fn clear_faults(&self) -> anyhow::Result<()> {
        self.links.iter().for_each(|link| link.set(LinkCondition::Normal));
        self.pdf_workers.iter().chain([&self.server, &self.bridge]).for_each(|process| process.pause(false));
        if self.disk.own {
            self.disk.free()?;
        }
        self.clock.jump(0)
    }

    async fn condition(&self, link: Link, condition: LinkCondition, time: Duration) {
        self.link(link).set(condition);
        tokio::time::sleep(time).await;
        self.link(link).set(LinkCondition::Normal);
    }

    fn process(&self, who: Who) -> Option<&Process> {
        match who {
            Who::Server => Some(&self.server),
            Who::Bridge => Some(&self.bridge),
            Who::PdfWorker(number) => self.pdf_workers.get(number),
            Who::Worker(_) => None,
        }
    }

    fn link(&self, link: Link) -> &Proxy {
        let [clients, browsers, bridge, workers] = &self.links;
        match link {
            Link::Clients => clients,
            Link::Browsers => browsers,
            Link::Bridge => bridge,
            Link::Workers => workers,
        }
    }
}

fn owned<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn program(home: &Path, binaries: &Binaries, name: &str, arguments: Vec<String>) -> Program {
    Program {
        name: name.to_owned(),
        path: binaries.folder.join(name),
        arguments,
        environment: Vec::new(),
        announces: None,
        proxies: Vec::new(),
        log: home.join(format!("{name}.log")),
    }
}

fn server_arguments(data: &Path, secret: &str, more: &[String]) -> Vec<String> {
    let lease = format!("{}ms", LEASE.as_millis());
    let data = data.display().to_string();
    let fixed = ["--data-dir", &data, "--grpc", "127.0.0.1:0", "--secret-file", secret, "--lease", &lease];
    let times = ["--accept-within", "1s", "--cancel-grace", "2s", "--retry-base", "100ms", "--retry-max", "2s"];
    let rest = ["--bookmark-interval", "1s", "--watch-buffer", "64", "--max-attempts", "5"];
    let words = fixed.into_iter().chain(times).chain(rest).map(str::to_owned);
    words.chain(more.iter().cloned()).collect()
}
