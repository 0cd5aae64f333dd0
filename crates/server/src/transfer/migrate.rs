//! From the log in a data folder to NATS.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use courant_joblog::copy::{Copied, Except, LogTarget, check_beginning, copy};
use courant_joblog::ids::JobId;
use courant_joblog::source::Source;
use courant_joblog::sqlite::{Contents, StoppedLog};
use courant_joblog::tally::{BlobTotals, Tally, Totals, tally, tally_blobs};
use courant_natslog::{NatsLog, Options, StreamState};
use serde::Serialize;

use super::error::TransferError;
use super::files::{FilesReport, ObjectFolder};
use super::step::{Report, Step, of_log};
use crate::fault::error_chain;
use crate::job_folder::JobFolder;
use crate::objects::Objects;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Whose log is copied. Its server must not run.
    pub data_dir: PathBuf,
    pub nats: Options,
    /// Where the servers on NATS will have documents and results, if that is said.
    pub objects: Option<String>,
    /// File with the credentials of an S3 store.
    pub objects_credentials_file: Option<PathBuf>,
    /// Look, and do nothing.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationReport {
    pub dry_run: bool,
    pub stream: String,
    /// Whether an earlier run had begun it.
    pub resumed: bool,
    pub jobs: u64,
    pub events: u64,
    pub event_bytes: u64,
    /// Small documents and results, which are in the log.
    pub small_files: u64,
    pub small_file_bytes: u64,
    /// Events that this run copied.
    pub copied_events: u64,
    /// Marks of jobs that were removed; nobody can need them in the new log.
    pub removed_jobs: u64,
    /// The oldest events of jobs with more than the stream keeps of one.
    pub left_out_events: u64,
    pub files: FilesOutcome,
    /// What becomes of them: their senders begin again.
    pub unfinished_uploads: u64,
    /// Whether all was read back and is the same.
    pub verified: bool,
    pub seconds: f64,
}

/// What became of documents and results that are not in the log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum FilesOutcome {
    /// There are none in the data folder.
    None,
    /// Nothing was said of another place, or it is the same one.
    Stay {
        folder: PathBuf,
        counted: FilesReport,
    },
    Copied {
        to: String,
        counted: FilesReport,
    },
}

/// Copies a log and its files, or says what that would be. Cut off, it goes on when it is called again.
pub async fn migrate(plan: Migration, report: Report<'_>) -> Result<MigrationReport, TransferError> {
    let began = Instant::now();
    report(Step::Checking);
    let folder = plan.data_dir.clone();
    let source = TransferError::blocking(move || StoppedLog::open(&folder)).await?;
    let nats = Options { copy_of: source.epochs().to_vec(), ..plan.nats.clone() };
    let state = check_target(&nats, source.contents()).await?;
    let oldest = too_long(&source, u64::from(nats.history_per_job)).await?;
    let files = Files::find(&plan).await?;
    let mut done = MigrationReport {
        left_out_events: oldest.values().sum(),
        unfinished_uploads: files.uploads().await?,
        resumed: matches!(state, StreamState::Begun { messages } if messages > 0),
        ..of_contents(source.contents(), &nats.stream)
    };
    if plan.dry_run {
        done.files = files.counted().await?;
    } else {
        let log = Arc::new(NatsLog::open(nats.clone()).await?);
        let copied = copy_log(&source, &log, oldest, report).await?;
        done.copied_events = copied.appended;
        done.files = files.copy(&copied.tally, report).await?;
        report(Step::Checking);
        verify(&*log, &copied).await?;
        NatsLog::finish_copy(&nats).await?;
        done.verified = true;
    }
    Ok(MigrationReport { dry_run: plan.dry_run, seconds: began.elapsed().as_secs_f64(), ..done })
}

/// Whether the log can go there at all.
async fn check_target(nats: &Options, contents: Contents) -> Result<StreamState, TransferError> {
    let (state, limit) = NatsLog::look(nats).await?;
    let limit = limit as u64;
    match contents.largest_event {
        bytes if bytes > limit => Err(TransferError::TooLarge { bytes, limit }),
        _ => Ok(state),
    }
}

/// How many of the oldest entries the stream could not keep, of each job that has too many.
async fn too_long(source: &StoppedLog, most: u64) -> Result<HashMap<JobId, u64>, TransferError> {
    let long = source.longer_than(most).await?;
    Ok(long.into_iter().map(|(job, events)| (job, events - most)).collect())
}

fn of_contents(contents: Contents, stream: &str) -> MigrationReport {
    MigrationReport {
        dry_run: true,
        stream: stream.to_owned(),
        resumed: false,
        jobs: contents.jobs,
        events: contents.events,
        event_bytes: contents.event_bytes,
        small_files: contents.blobs,
        small_file_bytes: contents.blob_bytes,
        copied_events: 0,
        removed_jobs: contents.forgotten,
        left_out_events: 0,
        files: FilesOutcome::None,
        unfinished_uploads: 0,
        verified: false,
        seconds: 0.0,
    }
}

async fn copy_log(
    source: &StoppedLog,
    log: &Arc<NatsLog>,
    oldest: HashMap<JobId, u64>,
    report: Report<'_>,
) -> Result<Copied, TransferError> {
    let have = tally(&**log, |_, _| true).await?;
    let except = Except { have, oldest };
    if !except.have.jobs.is_empty() {
        check_beginning(source, &except).await?;
    }
    let events = Some(source.contents().events);
    let mut target = LogTarget::new(log.clone(), &except.have);
    Ok(copy(source, &mut target, except, &mut |progress| report(of_log(progress, events))).await?)
}

/// Reads all of the copy.
async fn verify(log: &dyn Source, copied: &Copied) -> Result<(), TransferError> {
    let (found, expected) = (tally(log, |_, _| true).await?.totals(), copied.tally.totals());
    let blobs = tally_blobs(log).await?;
    if (found, blobs) == (expected, copied.blobs) {
        return Ok(());
    }
    let text = |Totals { jobs, events, .. }, BlobTotals { blobs, .. }| {
        format!("{events} events of {jobs} jobs and {blobs} small files")
    };
    Err(TransferError::Mismatch { found: text(found, blobs), expected: text(expected, copied.blobs) + " (or others)" })
}

/// Whether a URL names this folder.
fn is_at(folder: &Path, url: &str) -> bool {
    let named = url.parse::<url::Url>().ok().filter(|url| url.scheme() == "file");
    let named = named.and_then(|url| url.to_file_path().ok()).and_then(|path| path.canonicalize().ok());
    named.is_some_and(|named| folder.canonicalize().is_ok_and(|folder| folder == named))
}

/// Files that are not in the log.
struct Files {
    from: Option<ObjectFolder>,
    folder: PathBuf,
    /// Where they are to go, if they do.
    to: Option<(String, Objects)>,
}

impl Files {
    /// A store that cannot be reached is found now, and not when the log has been copied.
    async fn find(plan: &Migration) -> Result<Self, TransferError> {
        let folder = plan.data_dir.join("objects");
        let from = ObjectFolder::open(&folder)?;
        let elsewhere = plan.objects.clone().filter(|url| from.is_none() || !is_at(&folder, url));
        let to = elsewhere
            .map(|url| Objects::at(&url, plan.objects_credentials_file.as_deref()).map(|objects| (url, objects)))
            .transpose()?;
        if let Some((url, objects)) = &to {
            let any = objects.job_file(&JobFolder::new(JobId::new("none"), None), "none");
            let asked = objects.with_timeout(objects.exists(&any)).await;
            asked.map_err(|error| TransferError::Store { url: url.clone(), reason: error_chain(&error) })?;
        }
        Ok(Self { from, folder, to })
    }

    async fn uploads(&self) -> Result<u64, TransferError> {
        match &self.from {
            Some(from) => Ok(from.count().await?.1),
            None => Ok(0),
        }
    }

    async fn counted(&self) -> Result<FilesOutcome, TransferError> {
        let Some(from) = &self.from else { return Ok(FilesOutcome::None) };
        let counted = from.count().await?.0;
        Ok(match &self.to {
            _ if counted.files == 0 => FilesOutcome::None,
            None => FilesOutcome::Stay { folder: self.folder.clone(), counted },
            Some((url, _)) => FilesOutcome::Copied { to: url.clone(), counted },
        })
    }

    async fn copy(&self, jobs: &Tally, report: Report<'_>) -> Result<FilesOutcome, TransferError> {
        let (Some(from), Some((url, objects))) = (&self.from, &self.to) else { return self.counted().await };
        let counted = from.copy(objects, |job| jobs.jobs.contains_key(job), report).await?;
        Ok(FilesOutcome::Copied { to: url.clone(), counted })
    }
}
