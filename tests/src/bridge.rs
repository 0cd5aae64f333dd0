//! `courant-bridge` by itself, for a server that has none.

use std::path::Path;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::{program, within, ws};

/// A running bridge. Dropping it kills it.
pub struct Bridge {
    _child: Child,
    /// `127.0.0.1:port` for browsers.
    pub http: String,
}

impl Bridge {
    /// Starts one for the server at `127.0.0.1:port`, and waits until it listens.
    pub async fn start(server: &str, secret_file: &Path) -> anyhow::Result<Self> {
        let bridge = program::courant()?.with_file_name("courant-bridge");
        ensure!(bridge.is_file(), "there is no {}; run: make build", bridge.display());
        let mut command = program::clean(bridge, &["--listen", "127.0.0.1:0", "--server", &format!("http://{server}")]);
        let mut child = command.arg("--secret-file").arg(secret_file).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("it is piped")?).lines();
        let http = within("the bridge to listen", async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, rest)) = line.split_once("listen=") {
                    return rest.split_whitespace().next().map(str::to_owned).context("a line with the address");
                }
            }
            anyhow::bail!("the bridge ended")
        })
        .await?;
        // Whatever it logs later must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { _child: child, http })
    }

    /// A WebSocket on which the holder of this token has signed in.
    pub async fn socket(&self, token: &str) -> anyhow::Result<ws::Socket> {
        let mut socket = ws::Socket::open(&self.http).await?;
        socket.sign_in(token).await?;
        Ok(socket)
    }
}
