//! Starting the isolated child, reading what it sends, and making sure it is gone.
//!
//! The parent never parses a document. Dropping a [`Child`] kills its whole process group; its [`Supervisor`] waits for it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::protocol::{ChildMessage, Instruction, REQUEST_VARIABLE, Request};
use crate::supervisor::{Supervised, Supervisor};

/// How much of the child's last words is kept for the log.
const TAIL: usize = 4096;
/// How long a child that closed its output may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How to start the child: a program and what makes it one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildCommand {
    pub program: PathBuf,
    /// Its arguments, for example `pdf-child`.
    pub args: Vec<OsString>,
}

impl ChildCommand {
    /// The running program itself, with the hidden subcommand `pdf-child`.
    pub fn this_program() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, args: vec!["pdf-child".into()] })
    }
}

/// Limits on what a child sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// The longest line, in bytes.
    pub line_bytes: usize,
    /// All lines together, in bytes.
    pub total_bytes: u64,
}

/// How a child failed its parent.
#[derive(Debug, thiserror::Error)]
pub enum ChildFailure {
    /// It said nothing for too long.
    #[error("it said nothing for too long")]
    Silent,
    /// It said too much.
    #[error("it said too much")]
    TooMuch,
    /// It said something that makes no sense.
    #[error("it said something senseless: {0}")]
    ProtocolViolation(String),
    /// It ended before it was done.
    #[error("it died ({status:?}): {stderr_tail}")]
    Died {
        status: Option<ExitStatus>,
        /// Its last words on standard error.
        stderr_tail: String,
    },
}

impl ChildFailure {
    /// The document has another number of pages than before.
    pub(crate) fn changed(before: u32, now: u32) -> Self {
        Self::ProtocolViolation(format!("{now} pages, {before} before"))
    }

    /// Something at the wrong time.
    pub(crate) fn unexpected(said: &ChildMessage) -> Self {
        let text: String = format!("{said:?}").chars().take(100).collect();
        Self::ProtocolViolation(format!("not now: {text}"))
    }

    /// Whether the child died because it was given no more memory.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Died { stderr_tail, .. } if stderr_tail.contains("memory allocation of"))
    }
}

/// A child with nothing of its parent's but the request.
pub(crate) fn command(child: &ChildCommand, request: &Request) -> std::io::Result<Command> {
    let mut command = Command::from(std_command(child, request)?);
    command.kill_on_drop(true);
    Ok(command)
}

/// The same, to be waited for without a runtime.
pub(crate) fn std_command(child: &ChildCommand, request: &Request) -> std::io::Result<std::process::Command> {
    let mut command = std::process::Command::new(&child.program);
    command
        .args(&child.args)
        .env_clear()
        .env(REQUEST_VARIABLE, serde_json::to_string(request)?)
        // What an allocator reserves counts against the address space, used or not: glibc's and mimalloc's.
        .env("MALLOC_ARENA_MAX", "2")
        .env("MIMALLOC_ARENA_RESERVE", "32MiB")
        .current_dir("/")
        .process_group(0);
    Ok(command)
}

/// A running child that reads a document.
pub struct Child {
    child: Supervised,
    instructions: ChildStdin,
    lines: Lines<ChildStdout>,
    stderr_tail: Option<JoinHandle<String>>,
}

impl Child {
    pub fn spawn(
        child: &ChildCommand,
        request: &Request,
        output_limits: OutputLimits,
        supervisor: &Supervisor,
    ) -> std::io::Result<Self> {
        let mut command = command(child, request)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = supervisor.spawn(&mut command)?;
        let missing = || std::io::Error::other("the child has no pipes");
        let process = child.process().ok_or_else(missing)?;
        let instructions = process.stdin.take().ok_or_else(missing)?;
        let stdout = process.stdout.take().ok_or_else(missing)?;
        let stderr = process.stderr.take().ok_or_else(missing)?;
        let stderr_tail = Some(tokio::spawn(tail(stderr)));
        Ok(Self { child, instructions, lines: Lines::new(stdout, output_limits), stderr_tail })
    }

    /// Tells it what to do. A child that is gone is noticed by [`Child::next`].
    pub async fn instruct(&mut self, instruction: &Instruction) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(instruction)?;
        line.push(b'\n');
        match self.instructions.write_all(&line).await {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// What it says next. Waits at most `patience`. May be dropped and called again without losing anything.
    pub async fn next(&mut self, patience: Duration) -> Result<ChildMessage, ChildFailure> {
        match timeout(patience, self.lines.next()).await {
            Err(_) => Err(ChildFailure::Silent),
            Ok(Ok(Some(line))) => {
                let said = serde_json::from_slice(&line)
                    .map_err(|error| ChildFailure::ProtocolViolation(error.to_string()))?;
                if matches!(said, ChildMessage::Picture { .. }) {
                    // Pictures are not kept; there is one a page at most, and none is longer than a line may be.
                    self.lines.forget(line.len());
                }
                Ok(said)
            }
            Ok(Ok(None)) => Err(self.exit_status().await),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Processor time and greatest memory in use so far; none when it is gone.
    pub(crate) fn cost(&self) -> Option<(Duration, u64)> {
        cost_of(self.child.id()?)
    }

    async fn exit_status(&mut self) -> ChildFailure {
        let status = timeout(END_TIMEOUT, self.child.wait()).await.ok().and_then(Result::ok);
        let stderr_tail = match self.stderr_tail.take() {
            Some(words) => timeout(END_TIMEOUT, words).await.ok().and_then(Result::ok).unwrap_or_default(),
            None => String::new(),
        };
        ChildFailure::Died { status, stderr_tail }
    }
}

/// Processor time and greatest memory in use of a process so far; none when it is gone.
pub(crate) fn cost_of(process: u32) -> Option<(Duration, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((cpu_of(process)?, kib << 10))
}

/// Processor time of a process so far, also of one that has ended and was not waited for; none when it is gone.
pub(crate) fn cpu_of(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name, which may hold anything, in brackets.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(ticks * 1000 / per_second))
}

/// Lines with a greatest length.
struct Lines<R> {
    from: BufReader<R>,
    partial: Vec<u8>,
    bytes_read: u64,
    output_limits: OutputLimits,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(from: R, output_limits: OutputLimits) -> Self {
        Self { from: BufReader::with_capacity(64 * 1024, from), partial: Vec::new(), bytes_read: 0, output_limits }
    }

    /// So many bytes do not count.
    fn forget(&mut self, bytes: usize) {
        self.bytes_read = self.bytes_read.saturating_sub(bytes as u64);
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, ChildFailure> {
        loop {
            let died = |_| ChildFailure::Died { status: None, stderr_tail: String::new() };
            let piece = self.from.fill_buf().await.map_err(died)?;
            if piece.is_empty() {
                // Half a line is no line: the child died over it.
                return Ok(None);
            }
            let end = piece.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(piece.len(), |end| end + 1);
            self.partial.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            self.from.consume(taken);
            self.bytes_read += taken as u64;
            if self.partial.len() > self.output_limits.line_bytes || self.bytes_read > self.output_limits.total_bytes {
                return Err(ChildFailure::TooMuch);
            }
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
        }
    }
}

/// Reads everything, keeps the end.
pub(crate) async fn tail(mut from: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        kept.extend_from_slice(&piece[..read]);
        kept.drain(..kept.len().saturating_sub(TAIL));
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn lines_of(input: &[u8], line_bytes: usize, total_bytes: u64) -> (Vec<Vec<u8>>, bool) {
        let mut lines = Lines::new(input, OutputLimits { line_bytes, total_bytes });
        let mut all = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => all.push(line),
                Ok(None) => return (all, true),
                Err(_) => return (all, false),
            }
        }
    }

    #[tokio::test]
    async fn lines_have_a_greatest_length_each_and_together() {
        assert_eq!(lines_of(b"ab\ncd\nhalf", 10, 100).await, (vec![b"ab".to_vec(), b"cd".to_vec()], true));
        assert_eq!(lines_of(b"ab\nabcdef\n", 5, 100).await, (vec![b"ab".to_vec()], false));
        assert_eq!(lines_of(b"ab\nab\nab\n", 5, 7).await, (vec![b"ab".to_vec(), b"ab".to_vec()], false));
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// Bytes as a child in somebody else's hands might send them: noise, and lines that are almost right.
    fn noise() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..40),
            2 => Just(b"\n".to_vec()),
            1 => Just(br#"{"type":"opened","pages":4294967295}"#.to_vec()),
            1 => Just(br#"{"type":"reading","page":-1}"#.to_vec()),
            1 => Just(br#"{"type":"page","page":{"number":1e999,"zones":[{}]}}"#.to_vec()),
            1 => Just(br#"{"type":"done"}"#.to_vec()),
            1 => Just(vec![b'['; 600]),
        ];
        proptest::collection::vec(pieces, 0..30).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_become_lines_within_the_limits(input in noise(), line in 1usize..300, total in 1u64..2000) {
            let (lines, whole) = now(lines_of(&input, line, total));
            let held: usize = lines.iter().map(|line| line.len() + 1).sum();
            prop_assert!(lines.iter().all(|read| read.len() <= line && !read.contains(&b'\n')));
            prop_assert!(held as u64 <= total && input.starts_with(&lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect::<Vec<u8>>()));
            let ends = input.iter().filter(|byte| **byte == b'\n').count();
            let complete = lines.len() == ends;
            prop_assert!(complete || (!whole && lines.len() < ends));
        }

        #[test]
        fn any_bytes_are_understood_or_called_senseless(input in noise()) {
            let (lines, _) = now(lines_of(&input, 10_000, 1 << 20));
            for line in lines {
                // What is understood can be said again and means the same.
                if let Ok(said) = serde_json::from_slice::<ChildMessage>(&line) {
                    let again = serde_json::to_vec(&said).unwrap();
                    prop_assert_eq!(serde_json::from_slice::<ChildMessage>(&again).unwrap(), said);
                }
            }
        }
    }

    #[tokio::test]
    async fn only_the_end_of_the_last_words_is_kept() {
        let words = "x".repeat(10_000) + "the end";
        let kept = tail(words.as_bytes()).await;
        assert!(kept.len() <= TAIL && kept.ends_with("the end"));
    }
}
