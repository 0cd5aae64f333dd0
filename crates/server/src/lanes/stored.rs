//! How what operators did to lanes is kept: a file in the data folder, or notes in the log, one for each lane and setting.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use courant_joblog::ids::{Revision, Timestamp};
use courant_joblog::job::Lane;
use courant_joblog::log::{AppendError, ReadError};
use courant_joblog::notes::{Note, NoteKey};
use serde::{Deserialize, Serialize};

/// How notes about paused lanes begin; those of others are MessagePack, which does not begin so.
const PAUSE: &[u8] = b"lane\0";
/// How notes about weights begin. Servers that know no weights pass over them.
const WEIGHT: &[u8] = b"lane-weight\0";

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

/// A weight that holds instead of the flag's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneWeight {
    /// 1 to 1000.
    pub weight: u32,
    /// Who set it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// Why what operators did to lanes cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum LanesError {
    #[error("{path} cannot be read or written: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path} is damaged: {source}; remove it to have all lanes served, by the weights of the flags")]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What an operator sets of a lane; none puts back what holds without operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneSetting {
    Pause(Option<LanePause>),
    Weight(Option<LaneWeight>),
}

/// One lane in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredLane {
    pub(super) lane: Lane,
    pub(super) pause: Option<LanePause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) weight: Option<LaneWeight>,
}

/// A pause in a note.
#[derive(Serialize, Deserialize)]
struct PauseNote {
    lane: Lane,
    pause: Option<LanePause>,
}

/// A weight in a note.
#[derive(Serialize, Deserialize)]
struct WeightNote {
    lane: Lane,
    weight: Option<LaneWeight>,
}

impl LanePause {
    pub fn now(by: &str, reason: &str) -> Self {
        Self { by: by.to_owned(), at: Timestamp::now().0, reason: reason.to_owned() }
    }
}

impl LaneWeight {
    pub fn now(by: &str, weight: u32) -> Self {
        Self { weight, by: by.to_owned(), at: Timestamp::now().0 }
    }
}

/// Whether a note is about a lane: who reads other notes passes over it.
pub fn is_note(bytes: &[u8]) -> bool {
    bytes.starts_with(PAUSE) || bytes.starts_with(WEIGHT)
}

/// A lane as it is called.
pub fn name(lane: Lane) -> &'static str {
    match lane {
        Lane::Premium => "premium",
        Lane::Normal => "normal",
        Lane::Large => "large",
    }
}

/// The key of the note: two settings of one lane are two notes, so that operators who change them at the same time at two servers
/// both get what they want.
pub(super) fn note_key(lane: Lane, setting: &LaneSetting) -> NoteKey {
    let kind = match setting {
        LaneSetting::Pause(_) => "lane",
        LaneSetting::Weight(_) => "lane-weight",
    };
    NoteKey { kind, user: "".into(), name: name(lane).into() }
}

pub(super) fn encode(lane: Lane, setting: &LaneSetting) -> bytes::Bytes {
    // Structs of texts and numbers can be written.
    let (begin, rest) = match setting.clone() {
        LaneSetting::Pause(pause) => (PAUSE, serde_json::to_vec(&PauseNote { lane, pause })),
        LaneSetting::Weight(weight) => (WEIGHT, serde_json::to_vec(&WeightNote { lane, weight })),
    };
    [begin, &rest.unwrap_or_default()].concat().into()
}

/// None for another note, or one of a newer version.
pub(super) fn decode(note: &Note) -> Option<(Lane, LaneSetting, Revision)> {
    let found = if let Some(pause) = note.bytes.strip_prefix(PAUSE) {
        serde_json::from_slice(pause).map(|PauseNote { lane, pause }| (lane, LaneSetting::Pause(pause)))
    } else {
        let weight = note.bytes.strip_prefix(WEIGHT)?;
        serde_json::from_slice(weight).map(|WeightNote { lane, weight }| (lane, LaneSetting::Weight(weight)))
    };
    let found = found.inspect_err(|error| tracing::warn!(%error, "a note about a lane cannot be read"));
    found.ok().map(|(lane, setting)| (lane, setting, note.revision))
}

pub(super) fn read_file(path: &Path) -> Result<Vec<StoredLane>, LanesError> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|source| LanesError::Damaged { path: path.to_owned(), source })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(LanesError::File { path: path.to_owned(), source }),
    }
}

/// All or nothing, also if the machine fails.
pub(super) fn write_file(path: &Path, lanes: &[StoredLane]) -> Result<(), LanesError> {
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
        for setting in [
            LaneSetting::Pause(Some(LanePause::now("root", "scanners are moved"))),
            LaneSetting::Pause(None),
            LaneSetting::Weight(Some(LaneWeight::now("root", 8))),
            LaneSetting::Weight(None),
        ] {
            let note = Note { revision: Revision(7), bytes: encode(Lane::Large, &setting) };
            assert!(is_note(&note.bytes));
            assert_eq!(decode(&note), Some((Lane::Large, setting, Revision(7))));
        }
        assert_eq!(decode(&Note { revision: Revision(8), bytes: b"\x81\xa4Read".as_slice().into() }), None);
    }

    #[test]
    fn a_file_of_a_version_without_weights_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lanes.json");
        fs::write(&file, r#"[{"lane":"Normal","pause":null}]"#).unwrap();
        let read = read_file(&file).unwrap();
        assert_eq!(read, [StoredLane { lane: Lane::Normal, pause: None, weight: None }]);
    }
}
