//! `courant-pdf-worker`, the worker as a program of its own, beside a `courant up` without workers.

use anyhow::Context as _;
use courant_auth::Role;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::health::Health;
use crate::up::{HOUR, Parser, signal};
use crate::{Up, program, within};

/// A running worker. Dropping it kills it.
pub struct PdfWorker {
    child: Child,
    pid: i32,
    health: String,
}

impl PdfWorker {
    /// Starts a worker of this `up` with these flags; it answers health probes.
    pub async fn start(up: &Up, id: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let token = up.token(id, &[Role::Worker], HOUR)?;
        Self::at(&format!("http://{}", up.grpc), &token, id, flags).await
    }

    /// Starts a worker of the servers at these URLs.
    pub async fn at(servers: &str, token: &str, id: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let fixed = ["--server", servers, "--worker-id", id, "--health-addr", "127.0.0.1:0"];
        let arguments: Vec<&str> = fixed.into_iter().chain(flags.iter().copied()).collect();
        let mut command = program::clean(program::pdf_worker()?, &arguments);
        let mut child = command.env("COURANT_TOKEN", token).spawn()?;
        let pid = i32::try_from(child.id().context("it has just been started")?)?;
        let mut lines = BufReader::new(child.stderr.take().context("it is piped")?).lines();
        let health = within("the worker to answer probes", health(&mut lines)).await?;
        // Whatever it logs later must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, pid, health })
    }

    /// Begins to follow its health.
    pub async fn health(&self) -> anyhow::Result<Health> {
        Health::follow(&self.health).await
    }

    /// The isolated processes that parse a PDF for it right now.
    pub fn parsers(&self) -> anyhow::Result<Vec<Parser>> {
        Parser::of(self.pid)
    }

    /// SIGSTOP: its connection stays, and it does nothing.
    pub fn pause(&self) {
        signal(self.pid, libc::SIGSTOP);
    }

    /// SIGCONT after [`PdfWorker::pause`].
    pub fn resume(&self) {
        signal(self.pid, libc::SIGCONT);
    }

    /// SIGTERM; gives back its exit code.
    pub async fn stop(mut self) -> anyhow::Result<Option<i32>> {
        signal(self.pid, libc::SIGTERM);
        within("a stopped worker to be gone", async { Ok(self.child.wait().await?.code()) }).await
    }
}

/// The address in the line that says where probes are answered.
async fn health(lines: &mut Lines<BufReader<ChildStderr>>) -> anyhow::Result<String> {
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if line.contains("health probes") {
            let address = line.split("address=").nth(1).context("a line with the address")?;
            return Ok(address.trim().to_owned());
        }
        said.push(line);
    }
    anyhow::bail!("the worker ended before it answered probes: {said:?}")
}
