//! Lanes that operators have paused: of these nothing is given out until they are resumed. Jobs that run go on.
//!
//! It survives restarts: where several servers share the log it is a note in the log, which all of them follow; else a file in
//! the data folder. Whoever pauses a lane is answered when that is durable and holds at the server that was asked.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use courant_engine::Engine;
use courant_joblog::ids::{Revision, Timestamp};
use courant_joblog::job::Lane;
use courant_joblog::log::{AppendError, Log, ReadError};
use courant_joblog::notes::{Note, NoteKey, Notes, Put};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The file in the data folder.
const FILE: &str = "lanes.json";
/// How notes about lanes begin; those of others are MessagePack, which does not begin so.
const NOTE: &[u8] = b"lane\0";
/// The kind of these notes.
const KIND: &str = "lane";
/// Notes that are read at once.
const PAGE: usize = 500;
/// Changes are gathered for so long before they are looked at.
const GATHER: Duration = Duration::from_millis(50);
/// The pause after notes could not be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Why a lane is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePause {
    /// Who paused it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// For people; may be empty.
    pub reason: String,
}

/// Why what operators did to lanes cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum LanesError {
    #[error("{path} cannot be read or written: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is damaged: {source}; remove it to have all lanes served")]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// One lane, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredLane {
    lane: Lane,
    pause: Option<LanePause>,
}

/// The lanes, and where what is done to them is kept.
pub struct Lanes {
    store: Store,
    states: Mutex<[LaneState; Lane::ALL.len()]>,
    /// One change at a time is written.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct LaneState {
    pause: Option<LanePause>,
    /// Of the note that says so.
    revision: Revision,
}

enum Store {
    File(PathBuf),
    Notes(Arc<dyn Notes>),
}

/// Whether a note is about a lane: who reads other notes passes over it.
pub fn is_note(bytes: &[u8]) -> bool {
    bytes.starts_with(NOTE)
}

impl Lanes {
    /// Reads what was done to lanes before.
    pub async fn open(log: &dyn Log, data_dir: &Path) -> Result<Self, LanesError> {
        let store = log.notes().map_or_else(|| Store::File(data_dir.join(FILE)), Store::Notes);
        let lanes = Self { store, states: Mutex::default(), writing: tokio::sync::Mutex::default() };
        match &lanes.store {
            Store::File(path) => {
                let mut states = lanes.states.lock();
                for StoredLane { lane, pause } in read_file(path)? {
                    states[lane as usize].pause = pause;
                }
            }
            Store::Notes(notes) => {
                let arrived = *notes.arrived().borrow();
                lanes.read_notes(&**notes, Revision::ZERO, arrived).await?;
            }
        }
        Ok(lanes)
    }

    /// What is paused, in the order of [`Lane::ALL`].
    pub fn paused(&self) -> [Option<LanePause>; Lane::ALL.len()] {
        self.states.lock().clone().map(|state| state.pause)
    }

    /// Lets the engine know.
    pub fn apply(&self, engine: &Engine) {
        let paused = self.paused();
        for lane in Lane::ALL {
            let is_paused = paused[lane as usize].is_some();
            if engine.read(|view| view.is_paused(lane)) != is_paused {
                engine.set_paused(lane, is_paused);
            }
        }
    }

    /// Pauses a lane, or resumes it. When this returns it is durable.
    pub async fn set(&self, engine: &Engine, lane: Lane, pause: Option<LanePause>) -> Result<(), LanesError> {
        let _writing = self.writing.lock().await;
        let stored = StoredLane { lane, pause };
        let revision = match &self.store {
            Store::File(path) => {
                let mut all = self.stored();
                all[lane as usize] = stored.clone();
                let path = path.clone();
                let wrote = tokio::task::spawn_blocking(move || write_file(&path, &all)).await;
                wrote.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
                Revision::ZERO
            }
            Store::Notes(notes) => {
                let key = NoteKey { kind: KIND, user: "".into(), name: name(lane).into() };
                notes.put(&key, encode(&stored), Put::Replace).await?
            }
        };
        self.note(stored, revision);
        self.apply(engine);
        Ok(())
    }

    /// Follows what other servers do to lanes, for ever.
    pub async fn follow(&self, engine: &Engine) {
        let Store::Notes(notes) = &self.store else { return std::future::pending().await };
        let mut arrived = notes.arrived();
        let mut read = self.states.lock().iter().map(|state| state.revision).max().unwrap_or(Revision::ZERO);
        loop {
            let up_to = *arrived.borrow_and_update();
            match self.read_notes(&**notes, read, up_to).await {
                Ok(()) => {
                    read = read.max(up_to);
                    self.apply(engine);
                    if arrived.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                    tokio::time::sleep(GATHER).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "what operators did to lanes cannot be read, retrying");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
    }

    async fn read_notes(&self, notes: &dyn Notes, mut after: Revision, up_to: Revision) -> Result<(), ReadError> {
        loop {
            let page = notes.read(after, up_to, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.revision;
            page.iter().filter_map(decode).for_each(|(stored, revision)| self.note(stored, revision));
        }
    }

    /// The newest note counts, whoever comes first.
    fn note(&self, StoredLane { lane, pause }: StoredLane, revision: Revision) {
        let state = &mut self.states.lock()[lane as usize];
        if revision >= state.revision {
            *state = LaneState { pause, revision };
        }
    }

    fn stored(&self) -> [StoredLane; Lane::ALL.len()] {
        let paused = self.paused();
        Lane::ALL.map(|lane| StoredLane { lane, pause: paused[lane as usize].clone() })
    }
}

impl LanePause {
    pub fn now(by: &str, reason: &str) -> Self {
        Self { by: by.to_owned(), at: Timestamp::now().0, reason: reason.to_owned() }
    }
}

/// A lane as it is called.
pub fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Premium => "premium",
        Lane::Normal => "normal",
        Lane::Large => "large",
    }
}

fn encode(stored: &StoredLane) -> bytes::Bytes {
    let mut bytes = NOTE.to_vec();
    // A struct of texts and numbers can be written.
    serde_json::to_writer(&mut bytes, stored).unwrap_or_default();
    bytes.into()
}

/// None for another note, or one of a newer version.
fn decode(note: &Note) -> Option<(StoredLane, Revision)> {
    let stored = serde_json::from_slice(note.bytes.strip_prefix(NOTE)?);
    let stored = stored.inspect_err(|error| tracing::warn!(%error, "a note about a lane cannot be read"));
    Some((stored.ok()?, note.revision))
}

fn read_file(path: &Path) -> Result<Vec<StoredLane>, LanesError> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|source| LanesError::Damaged { path: path.to_owned(), source })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(LanesError::File { path: path.to_owned(), source }),
    }
}

/// All or nothing, also if the machine fails.
fn write_file(path: &Path, lanes: &[StoredLane]) -> Result<(), LanesError> {
    let failed = |source| LanesError::File { path: path.to_owned(), source };
    let draft = path.with_extension("json.draft");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&draft)?;
        serde_json::to_writer(&mut file, lanes)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_is_no_other() {
        let stored = StoredLane { lane: Lane::Large, pause: Some(LanePause::now("root", "scanners are moved")) };
        let note = Note { revision: Revision(7), bytes: encode(&stored) };
        assert!(is_note(&note.bytes));
        assert_eq!(decode(&note), Some((stored, Revision(7))));
        assert_eq!(decode(&Note { revision: Revision(8), bytes: b"\x81\xa4Read".as_slice().into() }), None);
    }

    #[tokio::test]
    async fn a_pause_survives_in_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(courant_joblog::memory::MemoryLog::new());
        let open = async || {
            let config = courant_engine::Config {
                weights: courant_engine::view::Weights::default(),
                owner_share: 1.0,
                owner_running: 0,
                watch_buffer: 16,
                bookmark_interval: Duration::from_secs(1),
            };
            Engine::open(config, log.clone(), courant_engine::projection::Projections::default()).await.unwrap()
        };
        let (engine, pause) = (open().await, LanePause::now("root", ""));
        let lanes = Lanes::open(&*log, folder.path()).await.unwrap();
        lanes.set(&engine, Lane::Premium, Some(pause.clone())).await.unwrap();
        assert!(engine.read(|view| view.is_paused(Lane::Premium) && !view.is_paused(Lane::Normal)));
        let (again, lanes) = (open().await, Lanes::open(&*log, folder.path()).await.unwrap());
        lanes.apply(&again);
        assert_eq!(lanes.paused(), [Some(pause), None, None]);
        assert!(again.read(|view| view.is_paused(Lane::Premium)));
        lanes.set(&again, Lane::Premium, None).await.unwrap();
        assert!(!again.read(|view| view.is_paused(Lane::Premium)));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(matches!(Lanes::open(&*log, folder.path()).await, Err(LanesError::Damaged { .. })));
    }
}
