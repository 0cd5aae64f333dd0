//! A running `courant up` in a folder of its own, to be killed and started again at will.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use courant_auth::{Role, Secret, Signer};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::program;
use crate::{grpc, http, within, ws};

/// A running `courant up`. Dropping it kills it and everything it started.
pub struct Up {
    child: Child,
    group: i32,
    home: Arc<TempDir>,
    flags: Vec<String>,
    /// The one core it may use; none: all.
    core: Option<u32>,
    /// `127.0.0.1:port` of the gRPC endpoint.
    pub grpc: String,
    /// `127.0.0.1:port` of the browser face.
    pub http: String,
    /// The printed console link.
    pub console: String,
    /// From the start of the process to its ready line.
    pub ready_after: Duration,
}

impl Up {
    /// Starts with one PDF worker.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(&["--workers", "1"]).await
    }

    /// Starts with these flags in a new folder.
    pub async fn with(flags: &[&str]) -> anyhow::Result<Self> {
        let home = Arc::new(TempDir::with_prefix("courant-e2e-")?);
        Self::launch(home, flags.iter().map(|flag| (*flag).to_owned()).collect(), None).await
    }

    /// Starts with the folder `data` in this one, which is there already.
    pub async fn restored(home: TempDir, flags: &[&str]) -> anyhow::Result<Self> {
        Self::launch(Arc::new(home), flags.iter().map(|flag| (*flag).to_owned()).collect(), None).await
    }

    /// The same, on one core only.
    pub async fn pinned(core: u32, flags: &[&str]) -> anyhow::Result<Self> {
        let home = Arc::new(TempDir::with_prefix("courant-e2e-")?);
        Self::launch(home, flags.iter().map(|flag| (*flag).to_owned()).collect(), Some(core)).await
    }

    async fn launch(home: Arc<TempDir>, flags: Vec<String>, core: Option<u32>) -> anyhow::Result<Self> {
        let data = home.path().join("data");
        let data = data.to_str().context("temporary folders have plain names")?.to_owned();
        let fixed = [
            "up",
            "--data-dir",
            &data,
            "--grpc",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--user",
            "alice",
            "--print-link",
        ];
        let arguments: Vec<&str> = fixed.into_iter().chain(flags.iter().map(String::as_str)).collect();
        let begun = Instant::now();
        let mut command = match core {
            Some(core) => program::command_on(core, &arguments)?,
            None => program::command(&arguments)?,
        };
        if !arguments.contains(&"--lame-duck") {
            // No load balancer has to notice.
            command.env("COURANT_LAME_DUCK", "0s");
        }
        let mut child = command.process_group(0).stderr(log(&home)?).spawn()?;
        let group = i32::try_from(child.id().context("it has just been started")?)?;
        let mut lines = BufReader::new(child.stdout.take().context("it is piped")?).lines();
        let printed = within("courant up to be ready", ready(&mut lines)).await;
        let printed = printed.with_context(|| std::fs::read_to_string(home.path().join("log")).unwrap_or_default())?;
        let ready_after = begun.elapsed();
        // Whatever it prints later must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let value = |key: &str| {
            let found =
                printed.iter().find_map(|line| line.trim().strip_prefix(key).map(|rest| rest.trim().to_owned()));
            found.with_context(|| format!("`courant up` printed no {key}: {printed:?}"))
        };
        let (grpc, console) = (value("grpc")?, value("console")?);
        let http = console.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        Ok(Self { child, group, home, flags, core, grpc, http, console, ready_after })
    }

    /// `kill -9` of the whole process group, and then the same again on the same folder.
    pub async fn kill_and_restart(mut self) -> anyhow::Result<Self> {
        self.kill().await?;
        Self::launch(self.home.clone(), self.flags.clone(), self.core).await
    }

    /// `kill -9` of the whole process group.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        signal(-self.group, libc::SIGKILL);
        within("a killed courant to be gone", async { Ok(self.child.wait().await?) }).await?;
        Ok(())
    }

    /// SIGTERM to the program itself; gives back its exit code.
    pub async fn stop(&mut self) -> anyhow::Result<Option<i32>> {
        signal(self.group, libc::SIGTERM);
        within("a stopped courant to be gone", async { Ok(self.child.wait().await?.code()) }).await
    }

    /// SIGTERM to the program itself, without waiting for its end.
    pub fn terminate(&self) {
        signal(self.group, libc::SIGTERM);
    }

    /// Waits for the end; gives back the exit code.
    pub async fn ended(&mut self) -> anyhow::Result<Option<i32>> {
        within("a stopped courant to be gone", async { Ok(self.child.wait().await?.code()) }).await
    }

    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The data folder, as an argument.
    pub fn data_arg(&self) -> anyhow::Result<String> {
        Ok(self.data().to_str().context("temporary folders have plain names")?.to_owned())
    }

    /// A folder beside the data folder, for a test's own files.
    pub fn scratch(&self) -> &Path {
        self.home.path()
    }

    /// The isolated processes that parse a PDF for this program right now.
    pub fn parsers(&self) -> anyhow::Result<Vec<Parser>> {
        Parser::of(self.group)
    }

    /// The program itself and the processes it started, by their ids.
    pub fn processes(&self) -> anyhow::Result<Vec<u32>> {
        program::group_members(self.group)
    }

    /// The process group of the program and all it started.
    pub(crate) const fn group(&self) -> i32 {
        self.group
    }

    /// How much memory the program itself takes, without its child processes, in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.group))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// SIGSTOP: it is there and does nothing.
    pub fn pause(&self) {
        signal(self.group, libc::SIGSTOP);
    }

    /// SIGCONT after [`Up::pause`].
    pub fn resume(&self) {
        signal(self.group, libc::SIGCONT);
    }

    /// What it has logged so far, over all starts.
    pub fn logged(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.home.path().join("log"))?)
    }

    /// A token for this user.
    pub fn token(&self, user: &str, roles: &[Role], ttl: Duration) -> anyhow::Result<String> {
        let secret = Secret::load(&self.data().join("secret"))?;
        Ok(Signer::hs256(&secret).sign(user, roles, ttl)?)
    }

    /// A token that ran out long ago.
    pub fn expired_token(&self, user: &str) -> anyhow::Result<String> {
        let secret = Secret::load(&self.data().join("secret"))?;
        let claims = serde_json::json!({
            "sub": user, "iss": courant_auth::token::ISSUER, "aud": courant_auth::token::AUDIENCE, "exp": 1_000_000_000,
        });
        let key = jsonwebtoken::EncodingKey::from_secret(secret.bytes());
        Ok(jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?)
    }

    /// The gRPC endpoint, as this user.
    pub async fn jobs(&self, user: &str) -> anyhow::Result<grpc::Jobs> {
        grpc::Jobs::connect(&self.grpc, &self.token(user, &[], HOUR)?).await
    }

    /// The HTTP face, as this user.
    pub fn web(&self, user: &str) -> anyhow::Result<http::Web> {
        Ok(http::Web::new(&self.http, Some(self.token(user, &[], HOUR)?)))
    }

    /// A WebSocket on which this user has signed in.
    pub async fn socket(&self, user: &str) -> anyhow::Result<ws::Socket> {
        let mut socket = ws::Socket::open(&self.http).await?;
        socket.sign_in(&self.token(user, &[], HOUR)?).await?;
        Ok(socket)
    }
}

/// A process that parses a PDF.
pub struct Parser(PathBuf);

impl Parser {
    /// The isolated processes that parse a PDF for a process right now.
    pub(crate) fn of(parent: i32) -> anyhow::Result<Vec<Self>> {
        let mine = format!(" {parent} ");
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
            // "1234 (courant) S 1200 …": after the name and the state comes the parent.
            let of_ours = read("stat")
                .rsplit_once(')')
                .is_some_and(|(_, rest)| rest.get(2..).is_some_and(|rest| rest.starts_with(&mine)));
            if of_ours && read("cmdline").contains("pdf-child") {
                found.push(Self(entry.path()));
            }
        }
        Ok(found)
    }

    /// Waits until it is gone. A process of somebody else's child cannot be waited for, so this looks again and again.
    pub async fn gone(&self) -> anyhow::Result<()> {
        within("a parser to be gone", async {
            while !std::fs::read_to_string(self.0.join("cmdline")).unwrap_or_default().is_empty() {
                tokio::task::yield_now().await;
            }
            Ok(())
        })
        .await
    }
}

/// How long tokens of tests live.
pub const HOUR: Duration = Duration::from_secs(3600);

impl Drop for Up {
    fn drop(&mut self) {
        signal(-self.group, libc::SIGKILL);
    }
}

async fn ready(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<Vec<String>> {
    let mut printed = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let last = line.trim_start().starts_with("stop");
        printed.push(line);
        if last {
            return Ok(printed);
        }
    }
    anyhow::bail!("courant up ended before it was ready: {printed:?}")
}

fn log(home: &TempDir) -> anyhow::Result<File> {
    Ok(OpenOptions::new().create(true).append(true).open(home.path().join("log"))?)
}

/// Sends a signal to a process, or to a group when the number is negative. One that is gone already is fine.
#[allow(unsafe_code, reason = "std cannot send signals")]
pub(crate) fn signal(process: i32, signal: i32) {
    // SAFETY: kill takes two numbers and touches no memory of ours. The group is one that we started and, until it has
    // been waited for, cannot be anybody else's.
    unsafe { libc::kill(process, signal) };
}
