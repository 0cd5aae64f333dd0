//! One job from document to results.
//!
//! Everything it reports is in terms of pages and formats; how pages come about is [`extract`]'s, how results look is
//! [`export`](crate::export)'s. Being dropped is how it is cancelled: that kills the child and removes the files.

mod course;
mod extract;
mod lane;
mod lend;
mod progress;
mod read;
mod warnings;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use courant_worker::{Handler, Outcome, ResultFormat, Task, TaskError, async_trait};
use tokio::sync::Notify;

use crate::PdfConfig;
use crate::export::{self, Document, ExportError, Format};
use crate::failure::{Failure, Limits};
use crate::secret::SecretText;
use crate::shared::Shared;
use crate::store::{Pages, Store};
use course::Finished;
use extract::Extraction;
use progress::Progress;
use read::PictureReader;
use warnings::Warnings;

/// Processes PDFs. Takes jobs of the kind `pdf`.
#[derive(Clone, Debug)]
pub struct PdfWorker {
    config: PdfConfig,
    shared: Arc<Shared>,
}

impl PdfWorker {
    /// With these settings.
    pub fn new(config: PdfConfig) -> Self {
        let shared = Arc::new(Shared::new(config.children, config.engine()));
        Self { config, shared }
    }

    /// Whether it does parts of documents that other workers hold, for [`courant_worker::Config::parts`].
    pub fn takes_parts(&self) -> bool {
        self.config.split_pages > 0
    }
}

#[async_trait]
impl Handler for PdfWorker {
    async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
        let stopped = task.cancelled().clone();
        let job = Job { config: &self.config, shared: &self.shared, task: &task };
        tokio::select! {
            biased;
            () = stopped.cancelled() => Err(TaskError::transient("STOPPED", "The attempt was stopped.")),
            result = job.run() => Ok(result?),
        }
    }

    async fn run_part(&self, task: Task, pages: RangeInclusive<u32>) -> Result<(), TaskError> {
        let stopped = task.cancelled().clone();
        let job = Job { config: &self.config, shared: &self.shared, task: &task };
        tokio::select! {
            biased;
            () = stopped.cancelled() => Err(TaskError::transient("STOPPED", "The part was stopped.")),
            result = job.run_part(pages) => Ok(result?),
        }
    }
}

struct Job<'a> {
    config: &'a PdfConfig,
    shared: &'a Shared,
    task: &'a Task,
}

impl Job<'_> {
    async fn run(&self) -> Result<Outcome, Failure> {
        let mut progress = Progress::new(self.task);
        progress.analysing();
        let store = self.document().await?;
        let finished = self.finished_pages(&store).await?;
        let password = self.password().await?;
        let pages = self.extraction(&store, finished, password, None).run().await?;
        progress.merging(pages);
        let pages = store.pages(pages);
        let warnings = self.merge(pages.clone()).await?;
        self.export(&store, pages, &warnings, &mut progress).await?;
        Ok(Outcome { warnings })
    }

    /// These pages, for the worker that holds the job.
    async fn run_part(&self, pages: RangeInclusive<u32>) -> Result<(), Failure> {
        let store = self.document().await?;
        let password = self.password().await?;
        self.extraction(&store, Finished::default(), password, Some(pages)).run().await?;
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
    ) -> Extraction<'b> {
        let reader = self.shared.ocr.as_ref().map(|ocr| PictureReader {
            ocr,
            task: self.task,
            max_pages: self.config.ocr_max_pages,
            used: Mutex::default(),
        });
        Extraction {
            config: self.config,
            shared: self.shared,
            task: self.task,
            store,
            limits: self.limits(),
            password,
            reader,
            course: extract::course(finished),
            fault: Mutex::default(),
            progress: Mutex::new(Progress::new(self.task)),
            part,
            more: Notify::new(),
            taken: Notify::new(),
        }
    }

    /// Pages of earlier attempts whose artifacts are there and right; all others are done again.
    async fn finished_pages(&self, store: &Store) -> Result<Finished, Failure> {
        let mut finished = Finished::default();
        for page in self.task.finished_pages() {
            if let Some(page) = lend::fetch(self.task, store, page).await? {
                finished.add(&page);
            }
        }
        tracing::debug!(pages = finished.len(), "pages of earlier attempts taken over");
        Ok(finished)
    }

    /// Goes through all pages once, in order: they must all be there, and their warnings are gathered.
    async fn merge(&self, pages: Pages) -> Result<Vec<String>, Failure> {
        let gathered = blocking(move || {
            let mut warnings = Warnings::default();
            for page in pages.iter() {
                warnings.add(&page?);
            }
            Ok(warnings)
        });
        Ok(gathered.await?.sentences())
    }

    async fn export(
        &self,
        store: &Store,
        pages: Pages,
        warnings: &[String],
        progress: &mut Progress<'_>,
    ) -> Result<(), Failure> {
        let formats = self.task.formats();
        for (done, &wire) in formats.iter().enumerate() {
            let Some(format) = Format::from_wire(wire) else { continue };
            progress.exporting(format, done, formats.len());
            self.task.export_started(wire).await?;
            match self.export_one(store, pages.clone(), warnings, format, wire).await {
                Ok(()) => self.task.export_completed(wire).await?,
                Err(Failure::Call(courant_worker::CallError::Stopped)) => {
                    return Err(courant_worker::CallError::Stopped.into());
                }
                Err(failure) => self.task.export_failed(wire, failure.into()).await?,
            }
        }
        progress.exported(formats.len());
        Ok(())
    }

    async fn export_one(
        &self,
        store: &Store,
        pages: Pages,
        warnings: &[String],
        format: Format,
        wire: ResultFormat,
    ) -> Result<(), Failure> {
        let (name, path) = (format.artifact(), store.result(format.artifact()));
        let document = Document {
            filename: self.task.filename().to_owned(),
            bytes: self.task.document_bytes(),
            sha256: self.task.document_sha256().to_owned(),
            pages: pages.count,
            warnings: warnings.to_vec(),
        };
        let (task, limit, target) = (self.task.clone(), self.task.max_artifact_bytes(), path.clone());
        let written = blocking(move || {
            let tell = |percent| task.export_progress(wire, percent);
            Ok(export::write(format, &document, &pages, &target, limit, task.cancelled(), tell))
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

/// Runs work that uses files or the processor for long on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
