//! A real server that speaks S3, moto's, and a bucket in it.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::within;

/// A running server. Dropping it kills it.
pub struct S3 {
    _child: Child,
    /// `http://127.0.0.1:port`.
    pub endpoint: String,
}

impl S3 {
    /// Starts one that has this bucket.
    pub async fn with_bucket(name: &str) -> anyhow::Result<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/moto_server");
        ensure!(program.exists(), "there is no {}; run: make setup", program.display());
        let mut child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("it is piped")?).lines();
        let endpoint = within("the S3 server to say where it listens", async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, endpoint)) = line.split_once("Running on ") {
                    return Ok(endpoint.trim().to_owned());
                }
            }
            anyhow::bail!("it ended")
        })
        .await?;
        // It logs each request, which must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        reqwest::Client::new().put(format!("{endpoint}/{name}")).send().await?.error_for_status()?;
        Ok(Self { _child: child, endpoint })
    }
}
