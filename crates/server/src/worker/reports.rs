//! What workers report, one message at a time and in order. A report is checked, becomes a change or a transient update, or is
//! answered with *lease lost*. A repeated report changes nothing: workers repeat what they are not sure of.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use courant_engine::Error as Refused;
use courant_engine::attempt::AttemptId;
use courant_engine::engine::Changes;
use courant_engine::hub::watch_queue::TransientChange;
use courant_engine::large;
use courant_engine::retry::cancelled;
use courant_engine::view::LiveProgress;
use courant_joblog::event::{AttemptCharge, Change};
use courant_joblog::ids::{Revision, WorkerId};
use courant_joblog::job::{ExportState, Format, Job, JobError, KEPT_WARNINGS, Page, Progress, Stage, State};
use courant_joblog::log::{AppendError, MAX_BLOB_BYTES};
use courant_proto::v1;
use courant_proto::v1::work_request::Message as In;
use futures::{StreamExt, TryStreamExt};

use super::assignment::free;
use super::registry::Registry;
use super::{output_report, sharing};
use crate::convert;
use crate::error::Error;
use crate::files::JobFile;
use crate::objects::{artifact_name, page_name};
use crate::progress_outbox::Update;
use crate::services::Services;

/// Pages of one document.
pub const MAX_PAGES: i32 = 100_000;
/// Bytes of a sentence about what is being done.
pub const MAX_OPERATION: usize = 255;
/// Artifacts of one worker's pages that are looked for at the same time.
const LOOKS: usize = 8;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportOutcome {
    /// It was taken, or changes nothing.
    Good,
    /// The attempt is over by it: the worker must stop.
    Ended,
}

/// What a worker reports of its attempt, or the worker of a part on its behalf.
pub(super) struct Report<'a> {
    pub(super) services: &'a Services,
    pub(super) registry: &'a Registry,
    /// The holder of the job.
    pub(super) worker: &'a WorkerId,
    pub(super) attempt: AttemptId,
}

impl Report<'_> {
    pub(super) async fn take(&self, message: In) -> Result<ReportOutcome, Error> {
        self.begin()?;
        match message {
            In::Hello(_) | In::Heartbeat(_) | In::Slots(_) | In::Accepted(_) | In::ResumeReports(_) => {}
            In::Progress(report) => self.progress(report)?,
            In::Zone(report) => self.zone(report)?,
            In::Plan(report) => return self.plan(report).await,
            In::Page(report) => self.page(report).await?,
            In::ExportStarted(report) => self.export_started(report.format).await?,
            In::ExportProgress(report) => self.export_progress(&report)?,
            In::ExportCompleted(report) => self.export_completed(report.format).await?,
            In::ExportFailed(report) => self.export_failed(report).await?,
            In::Output(report) => self.output(report).await?,
            In::Succeeded(report) => self.succeeded(report.warnings).await?,
            In::Failed(report) => self.end(convert::error_in(report.error)?, AttemptCharge::Charged).await?,
            In::Cancelled(_) | In::Released(_) => self.end(handed_back(), AttemptCharge::Free).await?,
            In::Offer(offer) => sharing::offer(self.services, self.registry, self.worker, &self.attempt, &offer)?,
        }
        Ok(ReportOutcome::Good)
    }

    /// Says so if the worker has not accepted the assignment yet.
    pub(super) fn check_accepted(&self) -> Result<(), Error> {
        if self.registry.is_unanswered(self.worker, &self.attempt) {
            return Err(Error::WrongOrder("an assignment must be accepted before anything is reported of it"));
        }
        Ok(())
    }

    /// Reports of somebody else's attempt are not even read.
    fn begin(&self) -> Result<(), Error> {
        self.held_job()?;
        self.registry.confirm(self.worker, &self.attempt);
        Ok(())
    }

    /// A report that makes no sense ends its attempt for good: sent again, it would make no more sense.
    pub(super) async fn refuse(&self, error: Error) -> Result<ReportOutcome, Error> {
        let problem = match invalid_input(&error) {
            Some(problem) => problem,
            // The job was removed meanwhile.
            None if matches!(error, Error::Engine(Refused::JobNotFound(_))) => {
                return Err(self.attempt.lease_lost().into());
            }
            None => return Err(error),
        };
        tracing::warn!(job = %self.attempt.job, worker = %self.worker, problem, "a report was refused");
        let message = format!("The worker sent a report that makes no sense: {problem}.").into();
        let why = JobError { code: "INVALID_REPORT".into(), message, retryable: false };
        self.end(why, AttemptCharge::Charged).await?;
        Ok(ReportOutcome::Ended)
    }

    /// The job, if this worker holds it in this attempt.
    pub(super) fn held_job(&self) -> Result<Arc<Job>, Error> {
        let job = self.attempt.held_job(&self.services.engine)?;
        self.owned(&job)?;
        Ok(job)
    }

    fn owned(&self, job: &Job) -> Result<(), Refused> {
        let mine =
            job.state.is_held() && job.attempt == self.attempt.number && job.worker.as_ref() == Some(self.worker);
        if mine { Ok(()) } else { Err(self.attempt.lease_lost()) }
    }

    /// Changes the job if it is still this worker's and not being cancelled.
    async fn change(&self, decide: impl Fn(&Job) -> Option<Change>) -> Result<(), Error> {
        let decide = |job: &Job| {
            self.owned(job)?;
            Ok(if job.state == State::Running { decide(job).into() } else { Changes::default() })
        };
        Ok(self.services.engine.write(&self.attempt.job, decide).await.map(drop)?)
    }

    fn report_transient(&self, job: &Job, progress: Progress, change: TransientChange) -> Result<(), Error> {
        if job.state != State::Running {
            return Ok(());
        }
        let zone = match &change {
            TransientChange::Zone(zone) => Some(zone.clone()),
            TransientChange::Progress | TransientChange::Export { .. } | TransientChange::Position => None,
        };
        let live = LiveProgress { attempt: self.attempt.number, progress, zone };
        self.pass_on(job, &live, &change);
        if self.services.engine.report(&job.id, live, change) { Ok(()) } else { Err(self.attempt.lease_lost().into()) }
    }

    /// Tells other servers.
    fn pass_on(&self, job: &Job, live: &LiveProgress, change: &TransientChange) {
        let Services { engine, progress, .. } = self.services;
        if !progress.is_wanted() {
            return;
        }
        let newest = engine.read(|view| view.unfinished(&job.id).map(|current| current.revision));
        let revision = newest.unwrap_or(Revision::ZERO);
        let update = Update { job: job.id.clone(), revision, live: live.clone(), change: change.clone() };
        progress.push(&job.owner, update);
    }

    fn current(&self, job: &Job) -> Progress {
        self.services.engine.read(|view| {
            view.unfinished(&job.id).map_or_else(|| job.progress.clone(), |current| current.progress().clone())
        })
    }

    fn progress(&self, report: v1::ReportProgress) -> Result<(), Error> {
        let job = self.held_job()?;
        if !(0.0..=100.0).contains(&report.percent) {
            return Err(Error::field("progress.percent", "must be 0 to 100"));
        }
        if report.operation.len() > MAX_OPERATION {
            return Err(Error::field("progress.operation", format!("must have at most {MAX_OPERATION} bytes")));
        }
        let units =
            |units: i32| u32::try_from(units).map_err(|_| Error::field("progress.units", "must not be negative"));
        let progress = Progress {
            // 100 is for the end alone.
            percent: report.percent.min(99.0),
            stage: convert::stage_in(report.stage)?,
            operation: report.operation,
            units_done: units(report.units_done)?,
            units_total: units(report.units_total)?,
        };
        self.report_transient(&job, counting_all_parts(&job, progress), TransientChange::Progress)
    }

    pub(super) fn zone(&self, report: v1::ReportZone) -> Result<(), Error> {
        let job = self.held_job()?;
        let zone = report.zone.ok_or_else(|| Error::field("zone.zone", "must be set"))?;
        self.report_transient(&job, self.current(&job), TransientChange::Zone(convert::zone_in(zone)?))
    }

    fn export_progress(&self, report: &v1::ReportExportProgress) -> Result<(), Error> {
        let job = self.held_job()?;
        if !(0.0..=100.0).contains(&report.percent) {
            return Err(Error::field("export_progress.percent", "must be 0 to 100"));
        }
        let format = convert::format_in("export_progress.format", report.format)?;
        let mut progress = self.current(&job);
        let share = 25.0 / job.formats.len().max(1) as f64;
        let done = job.exports.iter().filter(|export| export.state != ExportState::Started).count() as f64;
        progress.percent = progress.percent.max(75.0 + share * (done + report.percent / 100.0)).min(99.0);
        progress.stage = Stage::Export;
        self.report_transient(&job, progress, TransientChange::Export { format, percent: report.percent })
    }

    /// Whether smaller jobs wait that could have its slot, while no worker has another for them.
    fn is_in_the_way(&self, large: &Job) -> bool {
        self.services.engine.has_smaller_waiting(large)
            && free(self.services, self.registry, std::slice::from_ref(&large.kind)).is_empty()
    }

    async fn plan(&self, report: v1::ReportPlan) -> Result<ReportOutcome, Error> {
        if !(1..=MAX_PAGES).contains(&report.pages_total) {
            return Err(Error::field("plan.pages_total", format!("must be 1 to {MAX_PAGES}")));
        }
        if report.document_pages != 0 && !(report.pages_total..=MAX_PAGES).contains(&report.document_pages) {
            let problem = format!("must be pages_total to {MAX_PAGES}, or 0 where it is pages_total");
            return Err(Error::field("plan.document_pages", problem));
        }
        let (attempt, pages) = (self.attempt.number, report.pages_total as u32);
        let document = Some(report.document_pages as u32).filter(|all| *all > pages);
        let moved = |job: &Job| large::lane_for(self.services.config.large_document_pages, job, pages);
        let before = self.held_job()?;
        self.change(|job| {
            let lane = moved(job);
            let known = job.pages.total == Some(pages) && job.pages.document == document;
            (!known).then_some(Change::Planned { attempt, pages, lane, document })
        })
        .await?;
        if moved(&before).is_none() || !self.is_in_the_way(&before) {
            return Ok(ReportOutcome::Good);
        }
        self.services.engine.requeue_large(&self.attempt, pages).await?;
        Ok(ReportOutcome::Ended)
    }

    pub(super) async fn page(&self, report: v1::ReportPage) -> Result<(), Error> {
        self.pages(vec![report]).await
    }

    /// Pages that wait together, in one append with their artifacts. An error says that none was taken.
    pub(super) async fn pages(&self, reports: Vec<v1::ReportPage>) -> Result<(), Error> {
        let limit = self.services.config.max_artifact_bytes;
        let pages = reports.into_iter().map(|report| page_in(report, limit)).collect::<Result<Vec<_>, _>>()?;
        let job = self.held_job()?;
        let new = pages.iter().filter(|(page, _)| !job.pages.is_done(page.number));
        let new: Vec<(u32, Bytes)> = new.map(|(page, artifact)| (page.number, artifact.clone())).collect();
        let looks = futures::stream::iter(new).map(|(page, artifact)| self.store_or_look(&job, page, artifact));
        looks.buffer_unordered(LOOKS).try_collect::<()>().await?;
        let decide = |job: &Job| {
            self.owned(job)?;
            Ok(if job.state == State::Running { self.finished(job, &pages) } else { Changes::default() })
        };
        Ok(self.services.engine.write(&self.attempt.job, decide).await.map(drop)?)
    }

    /// Sees to it that a page's artifact is there, unless it is stored with the report.
    async fn store_or_look(&self, job: &Job, page: u32, artifact: Bytes) -> Result<(), Error> {
        let (files, name) = (&self.services.files, page_name(page));
        if artifact.is_empty() {
            return self.stored(job, &name).await;
        }
        if artifact.len() <= files.small_bytes() {
            return Ok(());
        }
        // Sent to a server that took more.
        let mut writer = files.receive_artifact(JobFile::artifact(job, self.attempt.number, &name));
        writer.file.push(artifact).await?;
        writer.finish().await.map(drop)
    }

    /// What is new of the pages.
    fn finished(&self, job: &Job, pages: &[(Page, Bytes)]) -> Changes {
        let (mut changes, mut seen) = (Changes::default(), HashSet::new());
        let attempt = self.attempt.number;
        for (page, artifact) in pages {
            if job.pages.is_done(page.number) || !seen.insert(page.number) {
                continue;
            }
            if (1..=self.services.files.small_bytes()).contains(&artifact.len()) {
                let file = JobFile::artifact(job, attempt, &page_name(page.number));
                changes.blobs.push(self.services.files.small_file(file, artifact.clone()));
            }
            changes.changes.push(Change::PageFinished { attempt, page: Box::new(page.clone()) });
        }
        changes
    }

    /// Says so if an artifact that must be there is not.
    async fn stored(&self, job: &Job, name: &str) -> Result<(), Error> {
        let file = JobFile::artifact(job, self.attempt.number, name);
        if self.services.files.exists(&file).await? { Ok(()) } else { Err(Error::ArtifactNotFound(name.to_owned())) }
    }

    async fn export_started(&self, format: i32) -> Result<(), Error> {
        let (attempt, format) = (self.attempt.number, convert::format_in("export.format", format)?);
        self.change(|job| export(job, format).is_none().then_some(Change::ExportStarted { attempt, format })).await
    }

    async fn export_completed(&self, format: i32) -> Result<(), Error> {
        let (attempt, format) = (self.attempt.number, convert::format_in("export.format", format)?);
        let job = self.held_job()?;
        let name = artifact_name(format);
        let file = JobFile::artifact(&job, attempt, &name);
        let stored = self.services.files.describe(&file).await?.ok_or(Error::ArtifactNotFound(name))?;
        self.change(|job| {
            let (bytes, sha256) = (stored.bytes, stored.sha256.clone());
            (!over(job, format)).then_some(Change::ExportCompleted { attempt, format, bytes, sha256 })
        })
        .await
    }

    async fn export_failed(&self, report: v1::ReportExportFailed) -> Result<(), Error> {
        let (attempt, format) = (self.attempt.number, convert::format_in("export.format", report.format)?);
        let error = convert::error_in(report.error)?;
        self.change(|job| {
            let error = error.clone();
            (!over(job, format)).then_some(Change::ExportFailed { attempt, format, error })
        })
        .await
    }

    async fn output(&self, report: v1::ReportOutput) -> Result<(), Error> {
        let (report, attempt) = (output_report::check(report)?, self.attempt.number);
        let file = JobFile::artifact(&*self.held_job()?, attempt, &report.name);
        let (output, blob) = report.store(&self.services.files, file, attempt).await?;
        let decide = |job: &Job| {
            self.owned(job)?;
            if job.state != State::Running || job.later.outputs.contains(&output) {
                return Ok(Changes::default());
            }
            let change = Change::OutputStored { attempt, output: Box::new(output.clone()) };
            Ok(Changes { changes: vec![change], blobs: blob.iter().cloned().collect() })
        };
        Ok(self.services.engine.write(&self.attempt.job, decide).await.map(drop)?)
    }

    async fn succeeded(&self, warnings: Vec<String>) -> Result<(), Error> {
        self.services.engine.write(&self.attempt.job, self.success(warnings)?).await?;
        self.finished_well();
        Ok(())
    }

    /// What a success makes of the job.
    fn success<'a>(
        &'a self,
        mut warnings: Vec<String>,
    ) -> Result<impl Fn(&Job) -> Result<Changes, Refused> + Send + Sync + use<'a>, Error> {
        warnings.truncate(KEPT_WARNINGS);
        if warnings.iter().any(|warning| warning.len() > 1024) {
            return Err(Error::field("succeeded.warnings", "must have at most 1024 bytes each"));
        }
        let attempt = self.attempt.number;
        Ok(move |job: &Job| {
            self.owned(job)?;
            let done = Change::Succeeded { attempt, warnings: warnings.clone() };
            // A cancel that was promised is kept, even if the work was done in the meantime.
            Ok(Some(if job.state == State::Cancelling { cancelled(job) } else { done }).into())
        })
    }

    fn finished_well(&self) {
        tracing::info!(job = %self.attempt.job, attempt = self.attempt.number, worker = %self.worker, "job finished");
    }

    async fn end(&self, why: JobError, charge: AttemptCharge) -> Result<(), Error> {
        self.held_job()?;
        Ok(self.services.end_attempt(&self.attempt, why, charge).await?)
    }
}

/// Takes successes of different jobs of one worker, each with its warnings, in one append. What comes of one changes nothing for the
/// others: an error says that this one was not taken.
pub(super) async fn take_successes(reports: &[(Report<'_>, Vec<String>)]) -> Vec<Result<(), Error>> {
    let Some((Report { services, .. }, _)) = reports.first() else { return Vec::new() };
    let mut wanted = Vec::with_capacity(reports.len());
    let begun = reports.iter().map(|(report, warnings)| {
        report.check_accepted()?;
        report.begin()?;
        wanted.push((report.attempt.job.clone(), report.success(warnings.clone())?));
        Ok(())
    });
    let mut outcomes: Vec<Result<(), Error>> = begun.collect();
    let mut written = services.engine.write_each(&wanted).await.into_iter();
    for (outcome, (report, _)) in outcomes.iter_mut().zip(reports).filter(|(outcome, _)| outcome.is_ok()) {
        match written.next() {
            Some(Err(error)) => *outcome = Err(error.into()),
            _ => report.finished_well(),
        }
    }
    outcomes
}

/// What makes no sense about a report, if that is why it was refused.
pub(super) fn invalid_input(error: &Error) -> Option<String> {
    match error {
        Error::Field { .. } | Error::ArtifactNotFound(_) => Some(error.to_string()),
        Error::Engine(Refused::IllegalChange(illegal)) => Some(illegal.to_string()),
        // Sent again, it could be written down no better.
        Error::Engine(Refused::Append(error @ (AppendError::TooLarge { .. } | AppendError::Unencodable { .. }))) => {
            Some(error.to_string())
        }
        _ => None,
    }
}

/// Where the worker counts fewer pages than are done, others have done the rest: there is one progress, and it does not go
/// back.
fn counting_all_parts(job: &Job, reported: Progress) -> Progress {
    let counts_pages = reported.stage == Stage::Extract && job.pages.total == Some(reported.units_total);
    if !counts_pages || reported.units_done >= job.progress.units_done {
        return reported;
    }
    let (operation, units_done) = (job.progress.operation.clone(), job.progress.units_done);
    Progress { operation, units_done, ..reported }
}

/// A page and its artifact, which is empty when it was stored before.
fn page_in(report: v1::ReportPage, limit: u64) -> Result<(Page, Bytes), Error> {
    if report.artifact.len() as u64 > limit {
        return Err(Error::field("page.artifact", format!("must have at most {limit} bytes, as any artifact")));
    }
    if report.artifact.len() > MAX_BLOB_BYTES {
        let problem = format!("must have at most {MAX_BLOB_BYTES} bytes; write a larger one with WriteArtifact");
        return Err(Error::field("page.artifact", problem));
    }
    Ok((convert::page_in(report.page)?, report.artifact))
}

fn handed_back() -> JobError {
    JobError {
        code: "HANDED_BACK".into(),
        message: "The worker handed the job back unfinished.".into(),
        retryable: true,
    }
}

fn export(job: &Job, format: Format) -> Option<&ExportState> {
    job.exports.iter().find(|export| export.format == format).map(|export| &export.state)
}

fn over(job: &Job, format: Format) -> bool {
    export(job, format).is_some_and(|state| *state != ExportState::Started)
}
