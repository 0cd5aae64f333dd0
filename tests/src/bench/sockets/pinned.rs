//! A program on a core of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpStream;
use tokio::process::Child;

use crate::program;
use crate::up::signal;

/// The longest a program may take until it listens.
const START: Duration = Duration::from_secs(30);

/// How to start a program.
#[derive(Clone, Debug)]
pub struct Program {
    pub core: u32,
    pub path: PathBuf,
    pub arguments: Vec<String>,
    /// Beside what every process needs.
    pub environment: Vec<(&'static str, String)>,
    /// Where it will listen.
    pub addresses: Vec<SocketAddr>,
    /// What it prints is kept here.
    pub log: PathBuf,
}

/// A running program with all it starts. Dropping it kills them.
pub struct Pinned {
    child: Child,
    pub group: i32,
}

impl Program {
    /// Starts it and waits until it listens.
    pub async fn start(&self) -> anyhow::Result<Pinned> {
        let core = self.core.to_string();
        let path = self.path.to_str().context("programs have plain paths")?;
        let arguments: Vec<&str> =
            ["-c", &core, path].into_iter().chain(self.arguments.iter().map(String::as_str)).collect();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = program::clean("taskset".into(), &arguments);
        command.process_group(0).stdout(log.try_clone()?).stderr(log);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().with_context(|| format!("{path} cannot be started"))?;
        let group = i32::try_from(child.id().context("it has just been started")?)?;
        let listens = async {
            for address in &self.addresses {
                while TcpStream::connect(address).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        tokio::select! {
            () = listens => return Ok(Pinned { child, group }),
            ended = child.wait() => eprintln!("{path} ended with {}", ended?),
            () = tokio::time::sleep(START) => signal(-group, libc::SIGKILL),
        }
        bail!("{path} does not listen on {:?}: {}", self.addresses, last_lines(&self.log));
    }
}

impl Pinned {
    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        signal(-self.group, libc::SIGKILL);
        self.child.wait().await?;
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Once it has been waited for, its number may be another process's.
        if self.child.id().is_some() {
            signal(-self.group, libc::SIGKILL);
        }
    }
}

/// An address of this machine where nothing listens at the moment.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
