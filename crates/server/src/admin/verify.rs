//! Whether the log can be read and the files of jobs are what it says. On a thread of its own, and no faster than asked for: nobody
//! else notices.

use std::sync::Arc;

use courant_engine::engine::{CHUNK, PAGE};
use courant_engine::filter::{Candidate, Filter};
use courant_engine::view::{CurrentJob, ListKey};
use courant_joblog::ids::Revision;
use courant_joblog::job::{ExportState, Job, Parameters};
use courant_joblog::log::{self, ReadError};
use courant_proto::v1::verify_integrity_response::Message;
use courant_proto::v1::{IntegrityProblem, IntegrityProgress, VerifyIntegrityResponse};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};
use tonic::Status;

use crate::error::Error;
use crate::files::JobFile;
use crate::job_folder::JobFolder;
use crate::objects::{artifact_name, hex, page_name};
use crate::services::Services;
use crate::share::UserPermit;

/// Bytes per second when none are asked for, and their bounds.
const RATE: (u64, u64, u64) = (64 << 20, 1 << 20, 10 << 30);
/// Between two messages of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Messages on their way.
const ANSWERS: usize = 16;
/// What a look at a small thing costs at least, in bytes of the rate.
const LEAST_COST: u64 = 4096;

pub type Answers = mpsc::Receiver<Result<VerifyIntegrityResponse, Status>>;

/// A file that the log speaks of.
struct Expected {
    file: JobFile,
    /// As people call it.
    name: String,
    /// Its size and checksum, where the log has them.
    content: Option<(u64, Box<str>)>,
}

/// How it goes on.
enum Stop {
    /// Nobody reads the answers any more.
    Gone,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The rate that is asked for.
pub fn rate_in(asked: i64) -> Result<u64, Error> {
    let (default, least, most) = RATE;
    match u64::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(rate) if (least..=most).contains(&rate) => Ok(rate),
        _ => Err(Error::field("bytes_per_second", format!("must be {least} to {most}, or 0"))),
    }
}

/// Verifies until it is through or nobody reads the answers.
pub fn start(services: Arc<Services>, wanted: Option<Filter>, rate: u64, used: UserPermit) -> Answers {
    let (answers, out) = mpsc::channel(ANSWERS);
    let runtime = tokio::runtime::Handle::current();
    let stopping = services.stopping.clone();
    // Hashing would hold up a thread of the runtime.
    tokio::task::spawn_blocking(move || {
        let _used = used;
        let total = IntegrityProgress::default();
        let mut run =
            Run { services, answers, wanted, rate, total, began: Instant::now(), cost: 0, told: Instant::now() };
        let verified = runtime.block_on(async { stopping.run_until_cancelled(run.verify()).await });
        let end = match verified {
            Some(Ok(())) => Ok(Message::Summary(run.total)),
            Some(Err(Stop::Failed(error))) => Err(error.into()),
            Some(Err(Stop::Gone)) => return,
            None => Err(Error::Draining.into()),
        };
        let end = end.map(|message| VerifyIntegrityResponse { message: Some(message) });
        // The caller may be gone.
        let _ = run.answers.blocking_send(end);
    });
    out
}

struct Run {
    services: Arc<Services>,
    answers: mpsc::Sender<Result<VerifyIntegrityResponse, Status>>,
    wanted: Option<Filter>,
    rate: u64,
    total: IntegrityProgress,
    began: Instant,
    /// What was read so far, in bytes of the rate.
    cost: u64,
    /// When progress was told.
    told: Instant,
}

impl Run {
    async fn verify(&mut self) -> Result<(), Stop> {
        self.log().await?;
        let mut before: Option<ListKey> = None;
        loop {
            let jobs = self.services.engine.newest(None, before.as_ref(), CHUNK);
            let Some((last, _)) = jobs.last() else { return Ok(()) };
            before = Some(last.clone());
            for (_, stored) in jobs {
                let Some(current) = stored.current() else { continue };
                if self.wanted.as_ref().is_none_or(|wanted| wanted.holds(&Candidate::new(&current.job))) {
                    self.job(&current).await?;
                }
            }
        }
    }

    /// Reads every entry: each has a checksum.
    async fn log(&mut self) -> Result<(), Stop> {
        let (mut after, head) = (Revision::ZERO, *self.services.engine.log.head().borrow());
        while after < head {
            match self.services.engine.log.read(after, &log::Filter::All, PAGE).await {
                Ok(page) => {
                    let Some(last) = page.last() else { return Ok(()) };
                    after = last.revision;
                    self.total.entries += page.len() as i64;
                    self.pay(page.len() as u64 * LEAST_COST).await?;
                }
                Err(ReadError::Damaged { revision, reason }) => {
                    after = revision.max(Revision(after.0 + 1));
                    self.problem("", &format!("log entry {revision}"), "UNREADABLE", reason).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn job(&mut self, current: &CurrentJob) -> Result<(), Stop> {
        self.total.jobs += 1;
        for expected in files_of(&current.job) {
            let found = self.look(&expected).await?;
            self.total.files += 1;
            let Some((code, message)) = found else { continue };
            // It may have been removed or tried again meanwhile.
            let now = self.services.engine.get(&current.job.id).map(|now| now.current.revision);
            if now == Some(current.revision) {
                self.problem(current.job.id.as_str(), &expected.name, code, message).await?;
            }
        }
        Ok(())
    }

    /// What is wrong with a file.
    async fn look(&mut self, expected: &Expected) -> Result<Option<(&'static str, String)>, Stop> {
        let Some((size, sha256)) = &expected.content else {
            self.pay(LEAST_COST).await?;
            let missing = || ("MISSING", "it is not there; restore it from a backup, or retry the job".to_owned());
            let exists = self.services.files.exists_stored(&expected.file).await?;
            return Ok((!exists).then(missing));
        };
        let found = match self.hash(&expected.file).await {
            Ok(found) => found,
            Err(Stop::Failed(Error::Objects(object_store::Error::NotFound { .. }))) => {
                let message = "it is not there; restore it from a backup, or submit the document again".to_owned();
                return Ok(Some(("MISSING", message)));
            }
            Err(Stop::Failed(Error::Objects(error))) => return Ok(Some(("UNREADABLE", error.to_string()))),
            Err(stop) => return Err(stop),
        };
        if found == (*size, sha256.to_string()) {
            return Ok(None);
        }
        let message = format!("{} bytes with the SHA-256 {}, not {size} with {sha256}", found.0, found.1);
        Ok(Some(("CHANGED", message)))
    }

    async fn hash(&mut self, file: &JobFile) -> Result<(u64, String), Stop> {
        let (_, mut pieces) = self.services.files.open(file).await?;
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        while let Some(piece) = pieces.try_next().await? {
            hash.update(&piece);
            bytes += piece.len() as u64;
            self.total.bytes += piece.len() as i64;
            self.pay(piece.len() as u64).await?;
        }
        self.pay(LEAST_COST).await?;
        Ok((bytes, hex(hash).to_string()))
    }

    /// Waits as long as so many bytes may take, and tells how far it is.
    async fn pay(&mut self, bytes: u64) -> Result<(), Stop> {
        self.cost += bytes;
        tokio::time::sleep_until(self.began + Duration::from_secs_f64(self.cost as f64 / self.rate as f64)).await;
        if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            self.send(Message::Progress(self.total)).await?;
        }
        Ok(())
    }

    async fn problem(&mut self, job: &str, file: &str, code: &str, message: String) -> Result<(), Stop> {
        self.total.problems += 1;
        tracing::error!(job, file, code, problem = message, "a file is not what the log says");
        let (job_id, file, code) = (job.to_owned(), file.to_owned(), code.to_owned());
        self.send(Message::Problem(IntegrityProblem { job_id, file, code, message })).await
    }

    async fn send(&self, message: Message) -> Result<(), Stop> {
        let answer = VerifyIntegrityResponse { message: Some(message) };
        self.answers.send(Ok(answer)).await.map_err(|_| Stop::Gone)
    }
}

/// The files that a job must have.
fn files_of(job: &Job) -> Vec<Expected> {
    let document = JobFile::document(JobFolder::of(job), &job.document.sha256);
    let content = Some((job.document.bytes, job.document.sha256.clone()));
    let mut files = vec![Expected { file: document, name: "document".to_owned(), content }];
    for range in &job.pages.done {
        files.extend((range.first..=range.last).map(|page| {
            let file = JobFile::artifact(job, range.attempt, &page_name(page));
            Expected { file, name: format!("page {page}"), content: None }
        }));
    }
    for export in &job.exports {
        if let ExportState::Completed { bytes, sha256 } = &export.state {
            let name = artifact_name(export.format);
            let file = JobFile::artifact(job, export.attempt, &name);
            files.push(Expected { file, name, content: Some((*bytes, sha256.clone())) });
        }
    }
    files.extend(job.later.outputs.iter().map(|output| {
        let file = JobFile::artifact(job, output.attempt, &output.name);
        let content = Some((output.bytes, output.sha256.clone()));
        Expected { file, name: output.name.to_string(), content }
    }));
    if let Some(Parameters::Stored { bytes, sha256 }) = &job.later.parameters {
        let content = Some((u64::from(*bytes), sha256.clone()));
        files.push(Expected { file: JobFile::parameters(JobFolder::of(job)), name: "parameters".to_owned(), content });
    }
    files
}
