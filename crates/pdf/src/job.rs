//! One job from document to results.
//!
//! Everything it reports is in terms of pages and formats; how pages come about is [`extract`]'s, how results look is
//! [`export`](crate::export)'s. Being dropped is how it is cancelled: that kills the children and removes the files. A handler
//! returns only when the children are gone.

mod child_spans;
mod extract;
mod lane;
mod offer;
mod progress;
mod read;
mod schedule;
mod selected_pages;
mod storing;
mod warnings;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use courant_monitoring::Monitor;
use courant_pdf_parameters::{OcrMode, PdfParameters};
use courant_worker::{Handler, Outcome, ResultFormat, Task, TaskError, async_trait, within};
use tokio::sync::Notify;

use crate::PdfConfig;
use crate::budget::Budget;
use crate::export::{self, Document, ExportError, Format};
use crate::failure::{Failure, Limits};
use crate::secret::SecretText;
use crate::shared::Shared;
use crate::store::{Pages, Store, blocking};
use crate::supervisor::Supervisor;
use extract::Extraction;
use progress::Progress;
use read::PictureReader;
use schedule::Finished;
use selected_pages::SelectedPages;
use warnings::Warnings;

/// Processes PDFs. Takes jobs of the kind `pdf`.
#[derive(Clone, Debug)]
pub struct PdfWorker {
    config: PdfConfig,
    shared: Arc<Shared>,
}

impl PdfWorker {
    pub fn new(config: PdfConfig) -> Self {
        let shared = Arc::new(Shared::new(config.children, config.engine()));
        Self { config, shared }
    }

    /// The longest that an attempt may take, for [`courant_worker::Config::max_job_duration`].
    pub fn max_job_duration(&self) -> Duration {
        self.config.max_job_duration()
    }

    /// Shows what it counts, from now on.
    pub fn register(&self, monitor: &Monitor) {
        let shared = self.shared.clone();
        monitor.add(move |samples| shared.stats.write(samples));
    }

    /// Whether it does parts of documents that other workers hold, for [`courant_worker::Config::parts`].
    pub fn takes_parts(&self) -> bool {
        self.config.split_pages > 0
    }
}

#[async_trait]
impl Handler for PdfWorker {
    async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
        let ledger = &self.shared.ledger;
        let supervisor = self.supervisor(ledger.take(task.job_id()));
        let parameters = PdfParameters::parse(task.parameters()).map_err(Failure::from)?;
        let result = self.supervised(&task, &supervisor, self.job(&task, &parameters, &supervisor).run()).await;
        if result.is_err() {
            ledger.keep(task.job_id(), supervisor.budget.spent());
        }
        result
    }

    async fn run_part(&self, task: Task, pages: RangeInclusive<u32>) -> Result<(), TaskError> {
        // Each part has its share of the document's budget, and what it cost is its own.
        let supervisor = self.supervisor(Duration::ZERO);
        let parameters = PdfParameters::parse(task.parameters()).map_err(Failure::from)?;
        self.supervised(&task, &supervisor, self.job(&task, &parameters, &supervisor).run_part(pages)).await
    }
}

impl PdfWorker {
    fn supervisor(&self, spent: Duration) -> Supervisor {
        Supervisor::new(Budget::new(self.config.allowance, spent))
    }

    fn job<'a>(&'a self, task: &'a Task, parameters: &'a PdfParameters, supervisor: &'a Supervisor) -> Job<'a> {
        Job { config: &self.config, shared: &self.shared, task, parameters, supervisor }
    }

    /// Does the work until it is done, stopped or over its budget. When this returns, all children of the document are gone.
    async fn supervised<T>(
        &self,
        task: &Task,
        supervisor: &Supervisor,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, TaskError> {
        let result = tokio::select! {
            biased;
            () = task.cancelled().cancelled() => Err(TaskError::transient("STOPPED", "The attempt was stopped.")),
            exceeded = supervisor.budget.exceeded() => {
                self.shared.stats.over_budget(exceeded);
                Err(Failure::Exceeded { exceeded, done: supervisor.budget.done() }.into())
            }
            result = work => result.map_err(TaskError::from),
        };
        // The work is dropped, and with it every child that it had was killed.
        supervisor.all_gone().await;
        result
    }
}

struct Job<'a> {
    supervisor: &'a Supervisor,
    config: &'a PdfConfig,
    shared: &'a Shared,
    task: &'a Task,
    parameters: &'a PdfParameters,
}

impl Job<'_> {
    async fn run(&self) -> Result<Outcome, Failure> {
        let mut progress = Progress::new(self.task);
        progress.analysing();
        let store = self.document().await?;
        let finished = self.finished_pages(&store).await?;
        let password = self.password().await?;
        let document_pages = self.extraction(&store, finished, password, None)?.run().await?;
        let selected = SelectedPages::of(document_pages, self.parameters.pages.as_ref())?;
        progress.merging(selected.count());
        let merging = self.task.span("merge");
        let pages = store.pages(selected.numbers().collect()).await?;
        let mut warnings = self.merge(pages.clone()).await?;
        let goes_beyond = self.parameters.pages.as_ref().is_some_and(|pages| pages.goes_beyond(document_pages));
        warnings.asked_beyond = goes_beyond.then_some(document_pages);
        drop(merging);
        let document = Document {
            filename: self.task.filename().to_owned(),
            bytes: self.task.document_bytes(),
            sha256: self.task.document_sha256().to_owned(),
            pages: document_pages,
            warnings: warnings.sentences(),
            separator: self.parameters.page_separator.clone(),
        };
        self.export(&store, pages, &document, &mut progress).await?;
        Ok(Outcome { warnings: warnings.unreported() })
    }

    /// These pages, for the worker that holds the job.
    async fn run_part(&self, pages: RangeInclusive<u32>) -> Result<(), Failure> {
        let store = self.document().await?;
        let password = self.password().await?;
        self.extraction(&store, Finished::default(), password, Some(pages))?.run().await?;
        Ok(())
    }

    /// The document, in a place of its own.
    async fn document(&self) -> Result<Store, Failure> {
        if self.task.document_bytes() > self.config.max_document_bytes {
            return Err(Failure::DocumentTooLarge(self.limits()));
        }
        let store = Store::new(&self.config.work_dir)?;
        self.task.read_document(&store.document()).await?;
        Ok(store)
    }

    fn limits(&self) -> Limits {
        Limits { max_pages: self.config.max_pages, max_document_bytes: self.config.max_document_bytes }
    }

    /// The job's own, or the one this worker tries on every document.
    async fn password(&self) -> Result<Option<SecretText>, Failure> {
        let own = self.task.password().await?;
        Ok(own.map(|password| SecretText::new(password.text)).or_else(|| self.config.password.clone()))
    }

    fn extraction<'b>(
        &'b self,
        store: &'b Store,
        finished: Finished,
        password: Option<SecretText>,
        part: Option<RangeInclusive<u32>>,
    ) -> Result<Extraction<'b>, Failure> {
        let reader = self.picture_reader()?;
        Ok(Extraction {
            config: self.config,
            shared: self.shared,
            task: self.task,
            supervisor: self.supervisor,
            store,
            limits: self.limits(),
            parameters: self.parameters,
            password,
            reader,
            schedule: extract::schedule(finished),
            error: Mutex::default(),
            progress: Mutex::new(Progress::new(self.task)),
            part,
            more: Notify::new(),
            taken: Notify::new(),
        })
    }

    /// What reads pictures of pages as the job asks for it.
    fn picture_reader(&self) -> Result<Option<PictureReader<'_>>, Failure> {
        let ocr = match (&self.shared.ocr, self.parameters.ocr) {
            (_, OcrMode::Off) | (None, OcrMode::Auto) => return Ok(None),
            (None, OcrMode::Force) => return Err(Failure::NoOcr),
            (Some(ocr), OcrMode::Auto | OcrMode::Force) => ocr,
        };
        let languages: Vec<String> =
            self.parameters.ocr_languages.iter().map(|name| name.as_str().to_owned()).collect();
        if let Some(known) = ocr.languages()
            && let Some(language) = languages.iter().find(|language| !known.contains(language))
        {
            return Err(Failure::OcrLanguage { language: language.clone(), known: known.join(", ") });
        }
        Ok(Some(PictureReader {
            ocr,
            task: self.task,
            languages,
            replaces_text: self.parameters.ocr == OcrMode::Force,
            stats: &self.shared.stats,
            max_pages: self.config.ocr_max_pages,
            used: Mutex::default(),
            supervisor: self.supervisor,
        }))
    }

    /// Pages of earlier attempts whose artifacts are there and right; all others are done again.
    async fn finished_pages(&self, store: &Store) -> Result<Finished, Failure> {
        let mut finished = Finished::default();
        for page in self.task.finished_pages() {
            if let Some(page) = offer::fetch(self.task, store, page).await? {
                finished.add(&page);
            }
        }
        tracing::debug!(pages = finished.len(), "pages of earlier attempts taken over");
        Ok(finished)
    }

    /// Goes through all pages once, in order: they must all be there, and their warnings are gathered.
    async fn merge(&self, pages: Pages) -> Result<Warnings, Failure> {
        let gathered = blocking(move || {
            let mut warnings = Warnings::default();
            for page in pages.iter() {
                warnings.add(&page?);
            }
            Ok(warnings)
        });
        Ok(gathered.await?)
    }

    async fn export(
        &self,
        store: &Store,
        pages: Pages,
        document: &Document,
        progress: &mut Progress<'_>,
    ) -> Result<(), Failure> {
        let formats = self.task.formats();
        for (done, &wire) in formats.iter().enumerate() {
            let Some(format) = Format::from_wire(wire) else { continue };
            progress.exporting(format, done, formats.len());
            let mut span = self.task.span("export");
            span.set("courant.format", format.artifact());
            self.task.export_started(wire).await?;
            match within(&span, self.export_one(store, pages.clone(), document, format, wire)).await {
                Ok(()) => self.task.export_completed(wire).await?,
                Err(Failure::Call(courant_worker::CallError::Stopped)) => {
                    return Err(courant_worker::CallError::Stopped.into());
                }
                Err(failure) => {
                    span.fail(failure.to_string());
                    self.task.export_failed(wire, failure.into()).await?;
                }
            }
        }
        progress.exported(formats.len());
        Ok(())
    }

    async fn export_one(
        &self,
        store: &Store,
        pages: Pages,
        document: &Document,
        format: Format,
        wire: ResultFormat,
    ) -> Result<(), Failure> {
        let (name, path) = (format.artifact(), store.result(format.artifact()));
        let document = document.clone();
        let (task, limit, target) = (self.task.clone(), self.task.max_artifact_bytes(), path.clone());
        let written = blocking(move || {
            let on_progress = |percent| task.export_progress(wire, percent);
            Ok(export::write(format, &document, &pages, &target, limit, task.cancelled(), on_progress))
        });
        match written.await? {
            Ok(()) => {}
            Err(ExportError::TooLarge) => {
                return Err(courant_worker::CallError::TooLarge(format!("over {limit} bytes")).into());
            }
            Err(ExportError::Stopped) => return Err(courant_worker::CallError::Stopped.into()),
            Err(ExportError::Io(error)) => return Err(error.into()),
        }
        self.task.write_artifact(name, path.clone()).await?;
        // Results of large documents need not all lie on the disk at once.
        let _ = tokio::fs::remove_file(&path).await;
        Ok(())
    }
}
