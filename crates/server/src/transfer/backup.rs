//! Backups: a folder that is a data folder, with the log in it whichever engine it came from.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use courant_joblog::ids::JobId;
use courant_joblog::sqlite::{self, StoppedLog};
use serde::Serialize;

use super::error::TransferError;
use super::files::{FilesReport, ObjectFolder};
use super::step::{Report, Step};
use crate::objects::Objects;

/// Keys in a data folder; what there is of them is copied.
const KEYS: [&str; 3] = ["secret", "password.key", "push.key"];
/// Those of them without which tokens or sealed passwords are of no use.
const NEEDED: [&str; 2] = ["secret", "password.key"];
/// Small databases of a server; what there is of them is copied.
const DATABASES: [&str; 2] = ["notices.db", "webhooks.db"];
const OBJECTS: &str = "objects";

/// What is to be copied.
#[derive(Clone, Debug)]
pub struct Backup {
    pub data_dir: PathBuf,
    /// Where the log is, if not in the data folder.
    #[cfg(feature = "nats")]
    pub nats: Option<courant_natslog::Options>,
    /// Where documents and results are, if not in the data folder.
    pub objects: Option<String>,
    /// A folder that does not exist yet.
    pub to: PathBuf,
}

/// What a backup has, for people and scripts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupReport {
    pub folder: PathBuf,
    pub jobs: u64,
    pub events: u64,
    pub small_files: u64,
    pub files: FilesReport,
    /// A store whose files are not in the backup.
    pub objects_elsewhere: Option<String>,
    /// Files of the data folder that are in the backup.
    pub copied: Vec<String>,
    /// Keys that are not in the data folder, and so not in the backup.
    pub keys_elsewhere: Vec<String>,
    pub seconds: f64,
}

/// Makes a backup. The server may run. The folder is there under its name when all is in it and was read back.
pub async fn backup(plan: Backup, report: Report<'_>) -> Result<BackupReport, TransferError> {
    let began = Instant::now();
    report(Step::Checking);
    let draft = Draft::make(&plan.to)?;
    // Before the log: who restores it makes notifications of what comes after it once more, and webhooks are sent it again.
    let mut copied = copy_databases(&plan.data_dir, &draft.path).await?;
    copy_log(&plan, &draft.path, report).await?;
    let (contents, known) = read_back(&draft.path).await?;
    let (files, objects_elsewhere) = copy_files(&plan, &draft.path, &known, report).await?;
    copied.extend(copy_keys(&plan.data_dir, &draft.path)?);
    let keys_elsewhere = NEEDED.iter().map(|name| (*name).to_owned()).filter(|name| !copied.contains(name)).collect();
    draft.finish(&plan.to)?;
    Ok(BackupReport {
        folder: plan.to,
        jobs: contents.jobs,
        events: contents.events,
        small_files: contents.blobs,
        files,
        objects_elsewhere,
        copied,
        keys_elsewhere,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// A folder beside the one that is wanted. Dropped before its end, it is removed.
struct Draft {
    path: PathBuf,
    finished: bool,
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(folder = %self.path.display(), %error, "what was copied cannot be removed");
        }
    }
}

impl Draft {
    fn make(to: &Path) -> Result<Self, TransferError> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(TransferError::Exists(to.to_owned()));
        }
        let mut name = to.file_name().map_or_else(OsString::new, OsString::from);
        name.push(".unfinished");
        let path = to.with_file_name(name);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(TransferError::Leftover(path));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| TransferError::Io { path: path.clone(), source })?;
        Ok(Self { path, finished: false })
    }

    fn finish(mut self, to: &Path) -> Result<(), TransferError> {
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        let named = synced.and_then(|()| fs::rename(&self.path, to)).and_then(|()| File::open(parent)?.sync_all());
        named.map_err(|source| TransferError::Io { path: to.to_owned(), source })?;
        self.finished = true;
        Ok(())
    }
}

async fn copy_databases(from: &Path, to: &Path) -> Result<Vec<String>, TransferError> {
    let mut copied = Vec::new();
    for name in DATABASES {
        let (from, to) = (from.join(name), to.join(name));
        if from.exists() {
            TransferError::blocking(move || sqlite::copy_any(&from, &to)).await?;
            copied.push(name.to_owned());
        }
    }
    Ok(copied)
}

async fn copy_log(plan: &Backup, to: &Path, report: Report<'_>) -> Result<(), TransferError> {
    #[cfg(feature = "nats")]
    if let Some(nats) = &plan.nats {
        return super::stream::copy_log(nats, to, report).await;
    }
    #[cfg(not(feature = "nats"))]
    let _ = report;
    let (from, to) = (plan.data_dir.clone(), to.to_owned());
    TransferError::blocking(move || sqlite::snapshot(&from, &to)).await.map(drop)
}

/// What the copied log has, read as a server would.
async fn read_back(folder: &Path) -> Result<(sqlite::Contents, Vec<JobId>), TransferError> {
    let path = folder.to_owned();
    let copy = TransferError::blocking(move || StoppedLog::open(&path)).await?;
    let mut jobs: Vec<JobId> = courant_joblog::tally::tally(&copy, |_, _| true).await?.jobs.into_keys().collect();
    jobs.sort_unstable();
    let contents = copy.contents();
    drop(copy);
    // What reading has left: a write-ahead log with nothing in it.
    if fs::metadata(folder.join("log.db-wal")).is_ok_and(|wal| wal.len() == 0) {
        for name in ["log.lock", "log.db-shm", "log.db-wal"] {
            let _ = fs::remove_file(folder.join(name));
        }
    }
    Ok((contents, jobs))
}

/// What a backup has, for people and scripts. and the store that was not.
async fn copy_files(
    plan: &Backup,
    to: &Path,
    jobs: &[JobId],
    report: Report<'_>,
) -> Result<(FilesReport, Option<String>), TransferError> {
    let folder = match &plan.objects {
        None => plan.data_dir.join(OBJECTS),
        Some(url) => match url.parse::<url::Url>().ok().filter(|url| url.scheme() == "file") {
            Some(parsed) => parsed.to_file_path().unwrap_or_default(),
            None => return Ok((FilesReport::default(), Some(url.clone()))),
        },
    };
    let Some(from) = ObjectFolder::open(&folder)? else { return Ok((FilesReport::default(), None)) };
    let target = Objects::local(&to.join(OBJECTS))?;
    let copied = from.copy(&target, |job| jobs.binary_search(job).is_ok(), report).await?;
    Ok((copied, None))
}

fn copy_keys(from: &Path, to: &Path) -> Result<Vec<String>, TransferError> {
    let mut copied = Vec::new();
    for name in KEYS {
        let (from, to) = (from.join(name), to.join(name));
        match fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all()) {
            Ok(()) => copied.push(name.to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(TransferError::Io { path: from, source }),
        }
    }
    Ok(copied)
}
