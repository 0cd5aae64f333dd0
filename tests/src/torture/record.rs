//! What is written down: one line of JSON for each thing that a client was told, in a folder of one file a client.
//!
//! A client writes a line when it is told something, before it acts on it. The verifier has nothing but these lines.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::fact::Fact;

/// Which jobs a watch is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everybody's.
    All,
    /// One owner's.
    Owner(String),
    /// One owner's document.
    Document(String, String),
    /// One owner's batch.
    Batch(String, String),
    /// One job.
    Job(String),
}

/// Where a watch is to go on, as the client knows it: cursors are opaque, so it is said by what was told with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// Without a cursor: snapshots first.
    Nothing,
    /// The cursor of this durable event.
    Event(i64),
    /// The cursor of a mark (`live`, `bookmark`) before which this was the last durable event.
    Mark(i64),
    /// The cursor of a mark before which there were only snapshots, this the newest revision of them.
    Snapshots(i64),
    /// The cursor that a submit gave.
    Submit(String),
}

/// The way a client took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// gRPC, straight to the server.
    Grpc,
    /// WebSocket through the bridge.
    Ws,
    /// Server-Sent Events through the bridge.
    Sse,
    /// Long polling through the bridge: each poll is a watch.
    Poll,
    /// Calls over HTTP through the bridge.
    Http,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Done,
    /// It was refused, with this code.
    Refused(String),
    Unknown,
}

/// How a watch ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closed {
    /// The server ended it in good order.
    Ended,
    /// It never began, with this code.
    Refused(String),
    /// The connection was lost.
    Lost,
    /// The client left.
    Left,
}

/// One thing that happened to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "kebab-case")]
pub enum Record {
    /// The run begins.
    Begin {
        seed: u64,
        seconds: u64,
        #[serde(default)]
        cluster: bool,
    },
    /// The tool did something to the system.
    Fault { what: String },
    /// The run came to its end, so that what ought to be there by then can be asked for.
    End,
    /// A submit, with the checksum of its document and the job it was answered with.
    Submit {
        user: String,
        request: String,
        via: Via,
        outcome: Outcome,
        job: String,
        #[serde(default)]
        sha: String,
    },
    /// A submit of another document under a request id that was used.
    Misused { user: String, request: String, outcome: Outcome },
    /// A job was removed, or may have been.
    Deleted { user: String, job: String, outcome: Outcome },
    /// A job that may have been removed was there at the end.
    Kept { user: String, job: String },
    /// A batch as it was read at the end: jobs in all, succeeded, failed, cancelled.
    Batch { user: String, batch: String, counts: [i32; 4], complete: bool },
    /// A state of a job in an answer, and the server that gave it; none where that is not known.
    Read {
        user: String,
        via: Via,
        call: String,
        #[serde(default)]
        server: Option<usize>,
        fact: Fact,
    },
    /// A call on a stranger's job.
    Probe { user: String, via: Via, call: String, job: String, outcome: Outcome },
    /// A watch was asked for; `last` when it is to reach the very end.
    Open { seg: u64, user: String, scope: Scope, via: Via, after: After, last: bool },
    /// A snapshot on a watch.
    Snapshot { seg: u64, fact: Fact },
    /// A durable event on a watch.
    Heard { seg: u64, fact: Fact },
    /// A zone of a page that is about to come, over WebSocket.
    Zone { seg: u64, job: String, page: i64 },
    /// News on a watch.
    News { seg: u64, job: String, att: i32, pct: i64 },
    /// All that was missed has been told.
    Live { seg: u64 },
    /// A sign of life with a cursor.
    Bookmark { seg: u64 },
    /// The bridge has lost its source.
    Stalled { seg: u64 },
    /// The watch could not go on from its cursor.
    Gap { seg: u64, reason: String },
    /// A watch is over.
    Closed { seg: u64, how: Closed },
    /// A worker's stream was welcomed.
    Welcomed { worker: String, session: u64, kept: usize },
    /// A worker was given an attempt.
    Assigned { worker: String, session: u64, job: String, att: i32 },
    /// A worker was given an attempt although it had said nothing for so long.
    AfterSilence { worker: String, session: u64, job: String, att: i32, ms: u64 },
    /// A worker was given a part of an attempt.
    Part { worker: String, session: u64, job: String, att: i32, part: String },
    /// A worker reported on an attempt that it knows to be over.
    Late { worker: String, session: u64, job: String, att: i32, part: String, beats: u64 },
    /// A worker was told that an attempt is not its own.
    LeaseLost { worker: String, session: u64, job: String, att: i32, part: String },
    /// A worker sent a report that is to be in the history, after so many heartbeats on its stream.
    Reported { worker: String, session: u64, job: String, att: i32, part: String, beats: u64, ev: String, of: String },
    /// The server acknowledged what a worker sent before this heartbeat on its stream, from 1.
    Beat { worker: String, session: u64, beats: u64 },
    /// A worker stored a result.
    Wrote { worker: String, job: String, att: i32, of: String, sha: String },
    /// An event came to the webhook of a user. `signed`: by its secret; `received`: the receiver said so.
    Hook { user: String, id: String, job: String, owner: String, rev: i64, signed: bool, received: bool },
    /// A document was read at the end.
    Document { user: String, job: String, read: String },
    /// A page of the tool's own workers was read at the end: its attempt by the answer, and the text.
    Page { user: String, job: String, page: i32, att: i32, read: String },
    /// A result was read at the end.
    Result { user: String, via: Via, job: String, of: String, promised: String, read: String },
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Grows over all files of a run.
    pub n: u64,
    /// Milliseconds since the run began, by a clock that never jumps.
    pub t: u64,
    #[serde(flatten)]
    pub record: Record,
}

/// Where records go.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    begun: Instant,
    next: AtomicU64,
}

/// The file of one client. Clones write into the same file.
#[derive(Clone, Debug)]
pub struct RecordWriter {
    folder: Arc<Folder>,
    file: Arc<Mutex<BufWriter<File>>>,
}

impl Folder {
    /// Makes a folder; what another run left in it is removed.
    pub fn create(path: &Path) -> anyhow::Result<Arc<Self>> {
        std::fs::create_dir_all(path).with_context(|| format!("the folder {} cannot be made", path.display()))?;
        for file in files(path)? {
            std::fs::remove_file(file)?;
        }
        Ok(Arc::new(Self { path: path.to_owned(), begun: Instant::now(), next: AtomicU64::new(1) }))
    }

    /// A file for a client.
    pub fn writer(self: &Arc<Self>, name: &str) -> anyhow::Result<RecordWriter> {
        let file = File::create_new(self.path.join(format!("{name}.jsonl")))?;
        Ok(RecordWriter { folder: self.clone(), file: Arc::new(Mutex::new(BufWriter::new(file))) })
    }

    /// A number that nobody else of this run has.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl RecordWriter {
    pub fn write(&self, record: Record) {
        let mut file = self.file.lock();
        let t = u64::try_from(self.folder.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let line = Line { n: self.folder.number(), t, record };
        // A line that cannot be written would make the verdict worthless: better no verdict.
        let written = serde_json::to_writer(&mut *file, &line).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|()| file.write_all(b"\n")) {
            eprintln!("torture: records cannot be written: {error}");
            std::process::exit(2);
        }
    }

    /// A number that nobody else of this run has.
    pub fn number(&self) -> u64 {
        self.folder.number()
    }

    /// Puts what was written where readers find it.
    pub fn flush(&self) -> std::io::Result<()> {
        self.file.lock().flush()
    }
}

/// Where a record stands, for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPosition {
    /// The file's name without its end.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u64,
}

impl std::fmt::Display for RecordPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Reads all records of a folder, file by file.
pub fn read(folder: &Path, mut take: impl FnMut(&RecordPosition, Line)) -> anyhow::Result<()> {
    for path in files(folder)? {
        let name: Arc<str> = path.file_stem().unwrap_or_default().to_string_lossy().into();
        let lines = BufReader::new(File::open(&path)?).split(b'\n');
        for (line, bytes) in (1..).zip(lines) {
            let place = RecordPosition { file: name.clone(), line };
            take(&place, serde_json::from_slice(&bytes?).with_context(|| format!("{place} is no record"))?);
        }
    }
    Ok(())
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    Ok(files)
}
