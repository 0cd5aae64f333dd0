//! All pages of a document, through several children at once and as many one after the other as it takes.
//!
//! The first child opens the document and looks at a sample of its pages; then all work on chunks. Pages are stored and
//! reported as they come, a few of each child at a time while it reads on. Of a document that is split, some pages are with
//! other workers meanwhile; of a part, only its own pages are read.

use std::ops::RangeInclusive;
use std::sync::Mutex;

use bytes::Bytes;
use courant_pdf_parameters::PdfParameters;
use courant_worker::{CallError, Task};
use futures::future::try_join_all;
use tokio::sync::Notify;

use super::lane::Lane;
use super::progress::Progress;
use super::read::PictureReader;
use super::schedule::{Finished, PageSchedule, RetryDecision};
use super::selected_pages::SelectedPages;
use crate::PdfConfig;
use crate::artifact::PageArtifact;
use crate::failure::{Failure, Limits};
use crate::fair_semaphore::Permit;
use crate::process::ChildFailure;
use crate::protocol::{Chunk, Survey};
use crate::secret::SecretText;
use crate::shared::Shared;
use crate::store::Store;
use crate::supervisor::Supervisor;
use crate::wire;

/// What is said of a page that cost a child its life.
const LOST: &str = "this page could not be read: the PDF reader failed on it";

pub(super) struct Extraction<'a> {
    pub(super) config: &'a PdfConfig,
    pub(super) shared: &'a Shared,
    pub(super) task: &'a Task,
    pub(super) supervisor: &'a Supervisor,
    pub(super) store: &'a Store,
    pub(super) limits: Limits,
    pub(super) parameters: &'a PdfParameters,
    pub(super) password: Option<SecretText>,
    pub(super) reader: Option<PictureReader<'a>>,
    pub(super) schedule: Mutex<PageSchedule>,
    /// The last error, for when nothing at all could be read.
    pub(super) error: Mutex<Option<(ChildFailure, Option<u32>)>>,
    pub(super) progress: Mutex<Progress<'a>>,
    /// The pages to do, when they are a part of somebody else's job.
    pub(super) part: Option<RangeInclusive<u32>>,
    /// Told when chunks came, or none will come any more.
    pub(super) more: Notify,
    /// Told when a chunk was taken.
    pub(super) taken: Notify,
}

impl<'a> Extraction<'a> {
    /// Gives the number of pages that the document has, once all that are to be done are stored and reported.
    pub(super) async fn run(&self) -> Result<u32, Failure> {
        let mut first = Lane::new(self);
        let (pages, survey) = self.survey(&mut first).await?;
        let (offered, lanes) = self.divide(pages);
        let mut all = vec![first];
        all.resize_with(lanes, || Lane::new(self));
        let own = try_join_all(all.into_iter().map(|lane| lane.work(pages, &survey)));
        futures::try_join!(own, self.offer_parts(offered, lanes))?;
        if let Some(reader) = &self.reader {
            reader.account();
        }
        if self.part.is_some() {
            // Whether anything at all could be read, who holds the job will see.
            return Ok(pages);
        }
        let schedule = self.schedule();
        let error = self.error.lock().ok().and_then(|mut error| error.take());
        match (schedule.finished.readable(), error) {
            (0, Some((error, page))) => Err(Failure::Child { error, page }),
            (0, None) => Err(Failure::NothingRead),
            _ => Ok(pages),
        }
    }

    /// What others may do, and how many children are to be at work on the rest.
    fn divide(&self, pages: u32) -> (Vec<RangeInclusive<u32>>, usize) {
        let (config, mut schedule) = (self.config, self.schedule());
        let offered =
            if self.may_split(schedule.open(pages)) { schedule.parts(pages, config.part_pages) } else { Vec::new() };
        let own = match (&self.part, offered.first()) {
            (Some(part), _) => part.clone(),
            (None, Some(first)) => 1..=*first.start() - 1,
            (None, None) => 1..=pages,
        };
        schedule.plan(own, config.children, config.chunk_pages);
        schedule.offered = !offered.is_empty();
        // Those that others do may all come back.
        let lanes = if schedule.offered { usize::MAX } else { schedule.chunks_waiting() };
        (offered, lanes.clamp(1, config.children.max(1) as usize))
    }

    fn may_split(&self, open: u32) -> bool {
        let config = self.config;
        // How many pages of a document are read by OCR is counted by each worker for itself.
        let counted = self.reader.is_none() || open <= config.ocr_max_pages;
        self.part.is_none() && config.split_pages > 0 && open > config.split_pages && counted
    }

    /// The next chunk to work on; waits while some may still come from other workers.
    pub(super) async fn next_chunk(&self) -> Option<Chunk> {
        loop {
            let more = self.more.notified();
            tokio::pin!(more);
            // Registered before looking, so that what comes in between is not missed.
            more.as_mut().enable();
            let (chunk, offered) = {
                let mut schedule = self.schedule();
                (schedule.take(), schedule.offered)
            };
            if chunk.is_some() || !offered {
                self.taken.notify_one();
                return chunk;
            }
            more.await;
        }
    }

    /// Opens the document and learns about it, leaving out pages that kill.
    async fn survey(&self, lane: &mut Lane<'_, 'a>) -> Result<(u32, Survey), Failure> {
        let mut planned = None;
        loop {
            match lane.survey(&mut planned).await? {
                Ok(survey) => return Ok((planned.unwrap_or(0), survey)),
                Err((error, page)) => {
                    tracing::info!(%error, page, "the child failed during the survey");
                    if self.schedule().died_early(page, self.config.child_restarts) == RetryDecision::Fail {
                        return Err(Failure::Child { error, page });
                    }
                    self.remember(error, page);
                }
            }
        }
    }

    /// Waits until a child of this document may work; documents take turns.
    pub(super) async fn turn(&self) -> Permit {
        let _span = self.task.span("wait for a turn");
        self.shared.child_permit(self.task.job_id()).await
    }

    pub(super) fn schedule(&self) -> std::sync::MutexGuard<'_, PageSchedule> {
        // Nothing panics while it holds this lock; if it did, the numbers in it would still be right.
        self.schedule.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn remember(&self, error: ChildFailure, page: Option<u32>) {
        if let Ok(mut last) = self.error.lock() {
            *last = Some((error, page));
        }
    }

    /// The document is open.
    pub(super) async fn opened(&self, pages: u32) -> Result<(), Failure> {
        if let Some(part) = &self.part {
            let own = part.end().saturating_sub(*part.start()).saturating_add(1);
            self.supervisor.budget.plan(own.min(pages), pages, 0);
            return Ok(());
        }
        let selected = SelectedPages::of(pages, self.parameters.pages.as_ref())?;
        let finished = {
            let mut schedule = self.schedule();
            schedule.finished.limit(pages);
            schedule.leave_out(selected.others());
            schedule.finished.len()
        };
        self.supervisor.budget.plan(selected.count(), pages, finished);
        self.with_progress(|progress, _| progress.planned(selected.count()));
        self.task.plan_selected(selected.count(), pages).await?;
        self.with_progress(|progress, done| progress.extracting(done));
        Ok(())
    }

    /// Gives a page up.
    pub(super) async fn give_up(&self, page: u32) -> Result<(), Failure> {
        let lost = self.keep(PageArtifact::unreadable(page, 0.0, LOST)).await?;
        self.report(lost).await
    }

    /// Stores a page here, and at the server if it does not go there with its report.
    pub(super) async fn keep(&self, page: PageArtifact) -> Result<KeptPage, Failure> {
        let json = serde_json::to_vec(&page).map_err(std::io::Error::from)?;
        self.store.put(page.number, &json).await?;
        if self.task.goes_with_page(json.len()) {
            return Ok(KeptPage { page, unsent: Some(json.into()) });
        }
        match self.task.write_artifact(&PageArtifact::name(page.number), json).await {
            Err(CallError::TooLarge(_)) if !page.unreadable => {
                let why = "this page could not be kept: it holds more text than the server takes for one page";
                Box::pin(self.keep(PageArtifact::unreadable(page.number, page.duration_ms, why))).await
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(KeptPage { page, unsent: None }),
        }
    }

    /// Tells the server of a stored page.
    pub(super) async fn report(&self, KeptPage { page, unsent }: KeptPage) -> Result<(), Failure> {
        match unsent {
            Some(artifact) => self.task.page_with_artifact(wire::page(&page), artifact).await?,
            None => self.task.page(wire::page(&page)).await?,
        }
        self.schedule().finished.add(&page);
        self.shared.stats.page(page.duration_ms, page.unreadable);
        self.supervisor.budget.page_done();
        self.with_progress(|progress, done| progress.extracting(done));
        Ok(())
    }

    fn with_progress(&self, change: impl FnOnce(&mut Progress<'a>, u32)) {
        if self.part.is_some() {
            // How far the document is, only who holds it can say.
            return;
        }
        let done = self.schedule().finished.len();
        if let Ok(mut progress) = self.progress.lock() {
            change(&mut progress, done);
        }
    }
}

/// A page that is stored here.
pub(super) struct KeptPage {
    pub(super) page: PageArtifact,
    /// Its artifact, where that goes to the server with the report of the page.
    unsent: Option<Bytes>,
}

/// The schedule of what earlier attempts have left to do.
pub(super) fn schedule(finished: Finished) -> Mutex<PageSchedule> {
    Mutex::new(PageSchedule::new(finished))
}
