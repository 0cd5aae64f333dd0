//! `courant-server` by itself, with its log on NATS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use courant_auth::{Role, Secret, Signer};
use courant_natslog::testing::{Cluster, PASSWORD, SYSTEM_USER, USER};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::grpc::{self, Admin, Jobs, Uploads, Webhooks};
use crate::up::{HOUR, signal};
use crate::{program, within};

/// What all servers on one log share: documents, and the keys of tokens and passwords.
#[derive(Clone)]
pub struct Shared {
    folder: Arc<TempDir>,
    environment: Vec<(String, String)>,
}

impl Shared {
    pub fn new() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("courant-shared-")?;
        fs::create_dir(folder.path().join("objects"))?;
        for name in ["secret", "password.key"] {
            Secret::load_or_create(&folder.path().join(name))?;
        }
        fs::write(folder.path().join("nats-password"), PASSWORD)?;
        Ok(Self { folder: Arc::new(folder), environment: Vec::new() })
    }

    /// Variables for all servers that are started from now on.
    pub fn with_environment(mut self, variables: &[(&str, &str)]) -> Self {
        self.environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self
    }

    /// A file for all servers; gives back its path.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<String> {
        fs::write(self.path(name), text)?;
        Ok(self.path(name).display().to_string())
    }

    /// With the keys of a data folder, and no documents.
    pub fn with_keys_of(data: &Path) -> anyhow::Result<Self> {
        let shared = Self::new()?;
        for name in ["secret", "password.key"] {
            fs::copy(data.join(name), shared.path(name))?;
        }
        Ok(shared)
    }

    /// Where documents are, as a URL.
    pub fn objects(&self) -> String {
        format!("file://{}", self.path("objects").display())
    }

    /// A file or folder that they share.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The secret that tokens are signed with.
    pub fn secret_file(&self) -> PathBuf {
        self.path("secret")
    }

    /// A token that lives an hour.
    pub fn token(&self, user: &str, roles: &[Role]) -> anyhow::Result<String> {
        Ok(Signer::hs256(&Secret::load(&self.path("secret"))?).sign(user, roles, HOUR)?)
    }

    /// A server on this cluster's log, that keeps its own things in this folder. Flags override what is said here.
    pub fn command(&self, nats: &Cluster, data: &Path, flags: &[&str]) -> anyhow::Result<Command> {
        let mut command = self.embedded(data, flags)?;
        command.env("COURANT_OBJECTS", self.objects());
        self.reach(nats, &mut command);
        Ok(command)
    }

    /// A server with its log and documents in this folder.
    fn embedded(&self, data: &Path, flags: &[&str]) -> anyhow::Result<Command> {
        let program = program::courant()?.with_file_name("courant-server");
        ensure!(program.is_file(), "there is no {}; run: make build", program.display());
        let mut command = program::clean(program, flags);
        command
            .envs(self.environment.iter().cloned())
            .env("COURANT_DATA_DIR", data)
            .env("COURANT_GRPC", "127.0.0.1:0")
            .env("COURANT_LAME_DUCK", "0s")
            .env("COURANT_SECRET_FILE", self.path("secret"))
            .env("COURANT_PASSWORD_KEY_FILE", self.path("password.key"));
        Ok(command)
    }

    /// A command of `courant` that reaches the log of this cluster.
    pub fn courant(&self, nats: &Cluster, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = program::command(arguments)?;
        command.envs(self.environment.iter().cloned());
        self.reach(nats, &mut command);
        Ok(command)
    }

    fn reach(&self, nats: &Cluster, command: &mut Command) {
        let urls: Vec<String> = nats.nodes.iter().map(|node| node.url()).collect();
        command
            .env("COURANT_LOG_URL", urls.join(","))
            .env("COURANT_LOG_REPLICAS", nats.nodes.len().to_string())
            .env("COURANT_LOG_USER", USER)
            .env("COURANT_LOG_PASSWORD_FILE", self.path("nats-password"))
            .env("COURANT_LOG_SYSTEM_USER", SYSTEM_USER)
            .env("COURANT_LOG_SYSTEM_PASSWORD_FILE", self.path("nats-password"));
    }
}

/// A running server, or one that waits for NATS. Dropping it kills it.
pub struct Server {
    child: Child,
    lines: Option<Lines<BufReader<ChildStderr>>>,
    shared: Shared,
    /// `127.0.0.1:port` of the gRPC endpoint, once it serves.
    pub grpc: String,
}

impl Server {
    /// Starts one with a data folder of its own, and waits until it serves.
    pub async fn start(nats: &Cluster, shared: &Shared, name: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let mut server = Self::launch(nats, shared, name, flags)?;
        server.serves().await?;
        Ok(server)
    }

    /// Starts one and does not wait.
    pub fn launch(nats: &Cluster, shared: &Shared, name: &str, flags: &[&str]) -> anyhow::Result<Self> {
        Self::spawn(shared.command(nats, &shared.path(name), flags)?, shared)
    }

    /// Starts one with an embedded log in a data folder of its own, and waits until it serves.
    pub async fn start_embedded(shared: &Shared, name: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let mut server = Self::spawn(shared.embedded(&shared.path(name), flags)?, shared)?;
        server.serves().await?;
        Ok(server)
    }

    fn spawn(mut command: Command, shared: &Shared) -> anyhow::Result<Self> {
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stderr.take().context("it is piped")?).lines();
        Ok(Self { child, lines: Some(lines), shared: shared.clone(), grpc: String::new() })
    }

    /// Waits until it serves.
    pub async fn serves(&mut self) -> anyhow::Result<()> {
        let line = self.says("serving gRPC").await?;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        self.grpc = address.context("a line with the address")?.to_owned();
        let mut lines = self.lines.take().context("it served before")?;
        // Whatever it logs later must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(())
    }

    /// Waits for a line of its log, before it serves.
    pub async fn says(&mut self, text: &str) -> anyhow::Result<String> {
        let lines = self.lines.as_mut().context("its log is read until it serves")?;
        within(&format!("the server to log {text:?}"), async {
            let mut said = Vec::new();
            while let Some(line) = lines.next_line().await? {
                if line.contains(text) {
                    return Ok(line);
                }
                said.push(line);
            }
            anyhow::bail!("the server ended: {said:?}")
        })
        .await
    }

    /// The job service for this user.
    pub async fn jobs(&self, user: &str) -> anyhow::Result<Jobs> {
        Jobs::connect(&self.grpc, &self.shared.token(user, &[])?).await
    }

    /// The upload service for this user.
    pub async fn uploads(&self, user: &str) -> anyhow::Result<Uploads> {
        grpc::uploads(&self.grpc, &self.shared.token(user, &[])?).await
    }

    /// The webhook service for this user.
    pub async fn webhooks(&self, user: &str) -> anyhow::Result<Webhooks> {
        grpc::webhooks(&self.grpc, &self.shared.token(user, &[])?).await
    }

    /// The admin service for an admin of this name.
    pub async fn admin(&self, user: &str) -> anyhow::Result<Admin> {
        grpc::admin(&self.grpc, &self.shared.token(user, &[Role::Admin])?).await
    }

    /// Its number among processes.
    pub fn process(&self) -> anyhow::Result<u32> {
        self.child.id().context("it runs")
    }

    /// `kill -9`.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// SIGTERM; gives back how it ended.
    pub async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        signal(i32::try_from(self.child.id().context("it runs")?)?, libc::SIGTERM);
        within("a stopped server to be gone", async { Ok(self.child.wait().await?) }).await
    }
}
