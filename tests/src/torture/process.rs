//! The real programs as processes: killed, paused and started again; started again too when they end by themselves, as a
//! service manager would. None outlives the tool.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::proxy::Proxy;

/// How a program is started.
pub struct Program {
    /// For people.
    pub name: String,
    pub path: PathBuf,
    pub arguments: Vec<String>,
    /// Its environment, beside what every process needs.
    pub environment: Vec<(String, String)>,
    /// What it prints before its address, if it listens.
    pub announces: Option<&'static str>,
    /// Who must learn where it listens.
    pub proxies: Vec<Arc<Proxy>>,
    /// Where what it prints is kept.
    pub log: PathBuf,
}

/// A program that is kept running.
pub struct Process {
    group: Arc<Mutex<Option<i32>>>,
    kill: Arc<Notify>,
    pub starts: Arc<AtomicU64>,
    /// How often it ended by itself.
    pub exits: Arc<AtomicU64>,
}

/// Between two starts, so that one that cannot start does not spin.
const PAUSE: Duration = Duration::from_millis(200);
/// The most that is kept of what a program prints.
const LOG_BYTES: usize = 32 << 20;

impl Process {
    /// Keeps a program running until told to stop.
    pub fn keep(program: Program, stop: CancellationToken) -> Self {
        let process =
            Self { group: Arc::default(), kill: Arc::default(), starts: Arc::default(), exits: Arc::default() };
        let (group, kill) = (process.group.clone(), process.kill.clone());
        let (starts, exits) = (process.starts.clone(), process.exits.clone());
        tokio::spawn(async move {
            let program = Arc::new(program);
            while !stop.is_cancelled() {
                let mut child = match start(&program) {
                    Ok(child) => child,
                    Err(error) => {
                        eprintln!("torture: {} cannot be started: {error:#}", program.name);
                        std::process::exit(2);
                    }
                };
                starts.fetch_add(1, Ordering::Relaxed);
                *group.lock() = child.id().and_then(|id| i32::try_from(id).ok());
                tokio::select! {
                    _ = child.wait() => {
                        exits.fetch_add(1, Ordering::Relaxed);
                    }
                    () = kill.notified() => {}
                    () = stop.cancelled() => {}
                }
                if let Some(group) = group.lock().take() {
                    signal(-group, libc::SIGKILL);
                }
                let _ = child.wait().await;
                program.proxies.iter().for_each(|proxy| proxy.aim(None));
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
        process
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.kill.notify_one();
    }

    /// SIGSTOP or SIGCONT.
    pub fn pause(&self, stop: bool) {
        if let Some(group) = *self.group.lock() {
            signal(-group, if stop { libc::SIGSTOP } else { libc::SIGCONT });
        }
    }
}

fn start(program: &Arc<Program>) -> anyhow::Result<Child> {
    let mut command = Command::new(&program.path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COURANT_")) {
        command.env_remove(name);
    }
    command.args(&program.arguments).envs(program.environment.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    die_with_parent(&mut command);
    let mut child = command.spawn().with_context(|| program.path.display().to_string())?;
    let lines = BufReader::new(child.stderr.take().context("it is piped")?).lines();
    tokio::spawn(listen(program.clone(), lines));
    Ok(child)
}

/// Keeps what the program prints, and tells the proxies where it listens.
async fn listen(program: Arc<Program>, mut lines: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>) {
    let log = OpenOptions::new().create(true).append(true).open(&program.log);
    let mut log = log.ok().map(tokio::fs::File::from_std);
    let mut room = LOG_BYTES;
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = program.announces.and_then(|word| address_after(&line, word)) {
            program.proxies.iter().for_each(|proxy| proxy.aim(Some(address)));
        }
        if let Some(log) = log.as_mut().filter(|_| room > line.len()) {
            room -= line.len();
            let _ = log.write_all(format!("{line}\n").as_bytes()).await;
        }
    }
}

fn address_after(line: &str, word: &str) -> Option<SocketAddr> {
    line.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}

/// When the tool is killed itself, its processes must not go on.
#[allow(unsafe_code, reason = "std cannot ask for this")]
fn die_with_parent(command: &mut Command) {
    // SAFETY: between fork and exec only prctl is called, which takes numbers and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

#[allow(unsafe_code, reason = "std cannot send signals")]
fn signal(process: i32, signal: i32) {
    // SAFETY: kill takes two numbers and touches no memory of ours. The group is one that we started and have not waited
    // for, so it cannot be anybody else's.
    unsafe { libc::kill(process, signal) };
}
