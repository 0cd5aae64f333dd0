//! The real programs as processes: killed, paused and started again; started again too when they end by themselves, as a
//! service manager would. None outlives the tool.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::proxy::Proxy;

/// How a program is started.
#[derive(Clone)]
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
#[derive(Default)]
pub struct Process {
    group: Arc<Mutex<Option<i32>>>,
    kill: Arc<Notify>,
    /// How long it is to stay down after the next kill.
    down: Arc<Mutex<Duration>>,
    /// Whether it was told to end (SIGTERM).
    told_to_end: Arc<AtomicBool>,
    pub starts: Arc<AtomicU64>,
    /// How often it ended by itself.
    pub exits: Arc<AtomicU64>,
}

/// Between two starts, so that one that cannot start does not spin.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a program may take to end when it is told to. Then it is killed, and that counts as an exit.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// The most that is kept of what a program prints.
const LOG_BYTES: usize = 32 << 20;

impl Process {
    /// Keeps a program running until told to stop.
    pub fn keep(program: Program, stop: CancellationToken) -> Self {
        let process = Self::default();
        let (group, kill, down) = (process.group.clone(), process.kill.clone(), process.down.clone());
        let (starts, exits, told_to_end) = (process.starts.clone(), process.exits.clone(), process.told_to_end.clone());
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
                        if !told_to_end.load(Ordering::Relaxed) {
                            eprintln!("torture: {} ended by itself", program.name);
                            exits.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    () = kill.notified() => {}
                    () = stop.cancelled() => {}
                }
                if let Some(group) = group.lock().take() {
                    signal(-group, libc::SIGKILL);
                }
                let _ = child.wait().await;
                told_to_end.store(false, Ordering::Relaxed);
                program.proxies.iter().for_each(|proxy| proxy.aim(None));
                let down = std::mem::take(&mut *down.lock()).max(PAUSE);
                tokio::select! {
                    () = tokio::time::sleep(down) => {}
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

    /// `kill -9`, and no start for this long.
    pub fn kill_for(&self, time: Duration) {
        *self.down.lock() = time;
        self.kill();
    }

    /// SIGTERM. Returns when the program has ended.
    pub async fn stop(&self) {
        let starts = self.starts.load(Ordering::Relaxed);
        let Some(group) = *self.group.lock() else { return };
        self.told_to_end.store(true, Ordering::Relaxed);
        signal(-group, libc::SIGTERM);
        let told = tokio::time::Instant::now();
        while starts == self.starts.load(Ordering::Relaxed) {
            if told.elapsed() > ENDS_WITHIN {
                eprintln!("torture: a program did not end within {ENDS_WITHIN:?} of SIGTERM");
                self.exits.fetch_add(1, Ordering::Relaxed);
                return self.kill();
            }
            tokio::time::sleep(PAUSE / 4).await;
        }
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
