//! Real NATS servers in temporary folders, for tests of this crate and of programs that use it.

#![allow(clippy::unwrap_used, reason = "a test ends where its server does not start")]

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::options::{Login, Options};

/// How long anything may take before a test says that it does not happen.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Who may ask the servers for their settings.
pub const SYSTEM_USER: &str = "system";
pub const USER: &str = "courant";
/// The password of both users.
pub const PASSWORD: &str = "secret";

/// How servers write to their disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Always,
    /// As NATS does by itself: every two minutes.
    Lazy,
}

/// Servers of one cluster, or a single one. They end with it.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Node>,
    _dir: TempDir,
}

/// A server, running or not.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub port: u16,
    config: PathBuf,
    running: Mutex<Option<Child>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it again, or for the first time.
    pub fn start(&self) {
        let log = std::fs::File::options().create(true).append(true).open(self.config.with_extension("log")).unwrap();
        let mut command = Command::new(binary());
        command.arg("--config").arg(&self.config).stdout(Stdio::null()).stderr(log);
        *self.running.lock().unwrap() = Some(command.spawn().unwrap());
        wait_until("the server listens", || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok());
    }

    /// Its number among processes, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.running.lock().unwrap().as_ref().map(Child::id)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&self) {
        if let Some(mut child) = self.running.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// Where the server is; says what to do when it is nowhere.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("COURANT_NATS_SERVER") {
        return path.into();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/.venv/bin/nats-server");
    assert!(path.exists(), "there is no {}; run `make setup`, or name one in COURANT_NATS_SERVER", path.display());
    path
}

/// Waits for what happens in another process.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same for what has to be asked.
pub async fn eventually<T>(what: &str, mut get: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = get().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ports that are free now.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

impl Cluster {
    /// Starts so many servers, with this in the configuration of each.
    pub fn start(size: usize, sync: Sync, access: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports = free_ports(size * 2);
        let (clients, routes) = ports.split_at(size);
        let names = (1..=size).map(|number| format!("n{number}"));
        let nodes = names.zip(clients).zip(routes).map(|((name, port), route)| {
            let config = dir.path().join(format!("{name}.conf"));
            let cluster = if size > 1 { cluster_block(*route, routes) } else { String::new() };
            let store = dir.path().join(&name);
            std::fs::write(
                &config,
                server_block(&name, &format!("127.0.0.1:{port}"), &store, sync) + &cluster + access,
            )
            .unwrap();
            Node { name, port: *port, config, running: Mutex::default() }
        });
        let cluster = Self { nodes: nodes.collect(), _dir: dir };
        cluster.nodes.iter().for_each(Node::start);
        cluster
    }

    pub fn single(sync: Sync) -> Self {
        Self::start(1, sync, &passwords())
    }

    pub fn three(sync: Sync) -> Self {
        Self::start(3, sync, &passwords())
    }

    /// How to open a log on it.
    pub fn options(&self, stream: &str) -> Options {
        let login = |user: &str| Login::Password { user: user.into(), password: PASSWORD.into() };
        Options {
            stream: stream.into(),
            replicas: self.nodes.len(),
            login: login(USER),
            system_login: Some(login(SYSTEM_USER)),
            ..Options::new(self.nodes.iter().map(Node::url))
        }
    }

    /// The same, though it may lose something.
    pub fn lossy(&self, stream: &str) -> Options {
        Options { allow_lossy: true, ..self.options(stream) }
    }

    /// A client, to look into the stream or to break it.
    pub async fn client(&self) -> async_nats::jetstream::Context {
        client(self.nodes.iter().map(Node::url).collect()).await.unwrap()
    }

    /// The node that leads the stream.
    pub async fn leader(&self, stream: &str) -> &Node {
        let context = self.client().await;
        let name = eventually("the stream has a leader", async || leader_of(&context, stream).await).await;
        self.nodes.iter().find(|node| node.name == name).unwrap()
    }
}

async fn client(servers: Vec<String>) -> Result<async_nats::jetstream::Context, async_nats::ConnectError> {
    let options = async_nats::ConnectOptions::with_user_and_password(USER.into(), PASSWORD.into());
    Ok(async_nats::jetstream::new(options.connect(servers).await?))
}

async fn leader_of(context: &async_nats::jetstream::Context, stream: &str) -> Option<String> {
    let stream = context.get_stream(stream).await.ok()?;
    stream.cached_info().cluster.as_ref()?.leader.clone()
}

/// The name of the server that leads the stream, if it has a leader and one of these servers says so.
pub async fn stream_leader(servers: Vec<String>, stream: &str) -> Option<String> {
    leader_of(&client(servers).await.ok()?, stream).await
}

/// What the configuration of a server says of itself.
pub fn server_block(name: &str, listen: &str, store: &Path, sync: Sync) -> String {
    let sync = match sync {
        Sync::Always => "always",
        Sync::Lazy => "2m",
    };
    format!(
        "server_name: {name}\nlisten: {listen:?}\n\
         jetstream {{ store_dir: {store:?}, sync_interval: {sync}, max_file_store: 4GB }}\n"
    )
}

/// A user, and one of the system account.
pub fn passwords() -> String {
    format!(
        "accounts {{\n\
         APP: {{ jetstream: enabled, users: [{{ user: {USER}, password: {PASSWORD} }}] }}\n\
         SYS: {{ users: [{{ user: {SYSTEM_USER}, password: {PASSWORD} }}] }}\n\
         }}\nsystem_account: SYS\n"
    )
}

fn cluster_block(port: u16, all: &[u16]) -> String {
    let routes: Vec<String> = all.iter().map(|route| format!("nats://127.0.0.1:{route}")).collect();
    let routes = routes.join(", ");
    format!("cluster {{ name: c, listen: 127.0.0.1:{port}, routes: [{routes}] }}\n")
}
