//! `courant-bridge` by itself.

use std::process::ExitStatus;

use anyhow::{Context as _, ensure};
use courant_auth::Role;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::http::Web;
use crate::server::Shared;
use crate::up::signal;
use crate::ws::Socket;
use crate::{program, within};

/// A running bridge. Dropping it kills it.
pub struct Bridge {
    child: Child,
    shared: Shared,
    /// `127.0.0.1:port` of HTTP and WebSockets.
    pub http: String,
}

impl Bridge {
    /// Starts one in front of the server at this address, and waits until it listens.
    pub async fn start(shared: &Shared, server: &str, flags: &[&str]) -> anyhow::Result<Self> {
        Self::at(shared, &format!("http://{server}"), flags).await
    }

    /// Starts one in front of the servers at these URLs.
    pub async fn at(shared: &Shared, servers: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let program = program::courant()?.with_file_name("courant-bridge");
        ensure!(program.is_file(), "there is no {}; run: make build", program.display());
        let mut command = program::clean(program, flags);
        command
            .env("COURANT_SERVER", servers)
            .env("COURANT_HTTP", "127.0.0.1:0")
            .env("COURANT_LAME_DUCK", "0s")
            .env("COURANT_SECRET_FILE", shared.secret_file());
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("it is piped")?).lines();
        let line = within("the bridge to listen", async {
            while let Some(line) = lines.next_line().await? {
                if line.contains("listening") {
                    return Ok(line);
                }
            }
            anyhow::bail!("the bridge ended")
        });
        let line = line.await?;
        let http = line.split("listen=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let http = http.context("a line with the address")?.to_owned();
        // Whatever it logs later must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, shared: shared.clone(), http })
    }

    /// Requests of this user.
    pub fn web(&self, user: &str, roles: &[Role]) -> anyhow::Result<Web> {
        Ok(Web::new(&self.http, Some(self.shared.token(user, roles)?)))
    }

    /// A WebSocket of this user.
    pub async fn socket(&self, user: &str) -> anyhow::Result<Socket> {
        let mut socket = Socket::open(&self.http).await?;
        socket.sign_in(&self.shared.token(user, &[])?).await?;
        Ok(socket)
    }

    /// SIGTERM; gives back how it ended.
    pub async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        signal(i32::try_from(self.child.id().context("it runs")?)?, libc::SIGTERM);
        within("a stopped bridge to be gone", async { Ok(self.child.wait().await?) }).await
    }

    /// `kill -9`.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}
