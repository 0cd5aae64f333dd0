//! All pages of a document, through as many children as it takes.
//!
//! A child that dies, hangs or talks nonsense over a page costs that page; another child goes on after it, a limited
//! number of times. Pages are stored a few at a time while the child reads on, and reported in order.

use std::collections::BTreeSet;
use std::fs::File;

use courant_worker::{CallError, Task};
use futures::StreamExt;
use futures::stream::FuturesOrdered;

use super::progress::Progress;
use crate::PdfConfig;
use crate::artifact::PageArtifact;
use crate::failure::{Failure, Limits};
use crate::process::{Child, Fault};
use crate::protocol::{Refusal, Request, Said, ranges};
use crate::store::Store;
use crate::wire;

/// Pages on their way to the server at once. When they are all under way the child waits.
const STORING: usize = 4;
/// What is said of a page that cost a child its life.
const LOST: &str = "this page could not be read: the PDF reader failed on it";

/// The pages that are done, by this or an earlier attempt.
#[derive(Default)]
pub(super) struct Finished {
    pages: BTreeSet<u32>,
    readable: u32,
}

impl Finished {
    pub(super) fn add(&mut self, page: &PageArtifact) {
        if self.pages.insert(page.number) {
            self.readable += u32::from(!page.unreadable);
        }
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }
}

/// See the module.
pub(super) struct Extraction<'a> {
    pub(super) config: &'a PdfConfig,
    pub(super) task: &'a Task,
    pub(super) store: &'a Store,
    pub(super) limits: Limits,
}

/// What the children have shown so far.
struct Course {
    finished: Finished,
    /// Pages that children have given, stored already or about to be.
    given: BTreeSet<u32>,
    /// Pages that killed a child.
    bad: Vec<u32>,
    total: Option<u32>,
    /// The last fault, for when nothing at all could be read.
    fault: Option<(Fault, u32)>,
}

/// How one child ended.
enum Ended {
    Done,
    Failed(Fault, Option<u32>),
}

impl Extraction<'_> {
    /// Gives the number of pages once all are stored and reported.
    pub(super) async fn run(&self, finished: Finished, progress: &mut Progress<'_>) -> Result<u32, Failure> {
        let given = finished.pages.clone();
        let mut course = Course { finished, given, bad: Vec::new(), total: None, fault: None };
        loop {
            match self.one_child(&mut course, progress).await? {
                Ended::Done => break,
                Ended::Failed(fault, page) => {
                    tracing::warn!(%fault, page, "the child failed");
                    let Some(page) = page.filter(|page| !course.bad.contains(page)) else {
                        return Err(Failure::Child { fault, page });
                    };
                    if course.bad.len() >= self.config.child_restarts as usize {
                        return Err(Failure::Child { fault, page: Some(page) });
                    }
                    course.bad.push(page);
                    if course.given.insert(page) {
                        let lost = self.keep(PageArtifact::unreadable(page, 0.0, LOST)).await?;
                        self.report(&mut course, &lost, progress).await?;
                    }
                    course.fault = Some((fault, page));
                }
            }
        }
        match (course.finished.readable, course.fault) {
            (0, Some((fault, page))) => Err(Failure::Child { fault, page: Some(page) }),
            (0, None) => Err(Failure::NothingRead),
            _ => Ok(course.total.unwrap_or(0)),
        }
    }

    /// Runs one child to its end, one way or the other.
    async fn one_child(&self, course: &mut Course, progress: &mut Progress<'_>) -> Result<Ended, Failure> {
        let document = File::open(self.store.document())?;
        let request = Request {
            parent: std::process::id(),
            done: ranges(course.finished.pages.iter().copied().collect()),
            bad: course.bad.clone(),
            max_pages: self.config.max_pages,
            memory_bytes: self.config.child_memory_bytes,
            cpu_seconds: self.config.child_cpu_seconds,
        };
        let mut child = Child::spawn(&self.config.child, &request, document, self.config.hearing())
            .map_err(|error| Failure::Start(error.to_string()))?;
        let mut storing = FuturesOrdered::new();
        let mut at: Option<u32> = None;
        let ended = loop {
            let patience = if at.is_some() { self.config.page_timeout } else { self.config.idle_timeout };
            tokio::select! {
                biased;
                Some(stored) = storing.next() => self.report(course, &stored?, progress).await?,
                said = child.next(patience), if storing.len() < STORING => match said {
                    Err(fault) => break Ended::Failed(fault, at),
                    Ok(Said::Opened { pages }) => self.opened(course, pages, progress).await?,
                    Ok(Said::Refused { why, detail }) => return Err(self.refused(why, &detail)),
                    Ok(Said::Reading { page }) => at = Some(page),
                    Ok(Said::Zone { page, zone }) => self.task.zone(wire::begun(&zone, page)),
                    Ok(Said::Page { page }) if is_new(course, &page) => storing.push_back(self.keep(page)),
                    Ok(Said::Page { page }) => {
                        break Ended::Failed(Fault::Senseless(format!("page {} was not asked for", page.number)), at);
                    }
                    Ok(Said::Done) => break Ended::Done,
                },
            }
        };
        // What the child said before its end counts.
        while let Some(stored) = storing.next().await {
            self.report(course, &stored?, progress).await?;
        }
        if matches!(ended, Ended::Done) && course.total != Some(course.finished.len()) {
            return Ok(Ended::Failed(Fault::Senseless("done, with pages missing".into()), None));
        }
        Ok(ended)
    }

    async fn opened(&self, course: &mut Course, pages: u32, progress: &mut Progress<'_>) -> Result<(), Failure> {
        if course.total.is_none() {
            course.total = Some(pages);
            course.finished.pages.retain(|&page| page <= pages);
            progress.planned(pages);
            self.task.plan(pages).await?;
            progress.extracting(course.finished.len());
        }
        Ok(())
    }

    fn refused(&self, why: Refusal, detail: &str) -> Failure {
        tracing::info!(?why, detail, "the document is refused");
        match why {
            Refusal::Setup => Failure::Start(detail.to_owned()),
            Refusal::NotPdf
            | Refusal::Encrypted
            | Refusal::Damaged
            | Refusal::NoPages
            | Refusal::TooManyPages
            | Refusal::OutOfMemory => Failure::Refused(why, self.limits),
        }
    }

    /// Stores a page here and at the server.
    async fn keep(&self, page: PageArtifact) -> Result<PageArtifact, Failure> {
        let json = serde_json::to_vec(&page).map_err(std::io::Error::from)?;
        self.store.put(page.number, &json).await?;
        match self.task.write_artifact(&PageArtifact::name(page.number), json).await {
            Err(CallError::TooLarge(_)) if !page.unreadable => {
                let why = "this page could not be kept: it holds more text than the server takes for one page";
                Box::pin(self.keep(PageArtifact::unreadable(page.number, page.duration_ms, why))).await
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(page),
        }
    }

    async fn report(
        &self,
        course: &mut Course,
        page: &PageArtifact,
        progress: &mut Progress<'_>,
    ) -> Result<(), Failure> {
        self.task.page(wire::page(page)).await?;
        course.finished.add(page);
        progress.extracting(course.finished.len());
        Ok(())
    }
}

/// Whether the child was asked for this page and has not given it yet.
fn is_new(course: &mut Course, page: &PageArtifact) -> bool {
    let inside = course.total.is_some_and(|total| (1..=total).contains(&page.number));
    inside && course.given.insert(page.number)
}
