//! Pages of a large document that other workers do.
//!
//! This worker goes on from the front. Before it runs out of work it asks for the first pages back that nobody has taken;
//! at the end it waits for those that were taken. Whatever comes back undone it does itself.

use std::ops::RangeInclusive;

use courant_worker::{CallError, FinishedPage, Split, SplitEvent, Task};
use futures::StreamExt;

use super::extract::Extraction;
use crate::artifact::PageArtifact;
use crate::failure::Failure;
use crate::store::{Store, verified};

/// Pages fetched from the server at once.
const FETCHING: usize = 8;

impl Extraction<'_> {
    /// Offers these pages to others until all have come back. So many lanes want work meanwhile.
    pub(super) async fn offer_parts(&self, parts: Vec<RangeInclusive<u32>>, lanes: usize) -> Result<(), Failure> {
        if parts.is_empty() {
            return Ok(());
        }
        tracing::info!(job = self.task.job_id(), parts = parts.len(), "a large document is offered in parts");
        let mut split = self.task.split();
        split.offer(parts);
        let mut asked = None;
        while split.outstanding() > 0 {
            self.reclaim_pages(&mut split, &mut asked, lanes);
            tokio::select! {
                change = split.next() => match change? {
                    SplitEvent::Taken(pages) => {
                        asked.take_if(|asked| *asked == pages);
                    }
                    SplitEvent::Returned { pages, finished } => {
                        asked.take_if(|asked| *asked == pages);
                        self.apply_returned(pages, &finished).await?;
                    }
                },
                () = self.taken.notified() => {}
            }
        }
        self.schedule().offered = false;
        self.more.notify_waiters();
        Ok(())
    }

    /// Asks for pages back, one range after the other, before the lanes are out of work.
    fn reclaim_pages(&self, split: &mut Split, asked: &mut Option<RangeInclusive<u32>>, lanes: usize) {
        if asked.is_none() && self.schedule().chunks_waiting() < lanes {
            *asked = split.first_untaken();
            asked.iter().for_each(|pages| split.take_back(pages));
        }
    }

    /// Takes over what is done of pages that came back; the rest is to be done here.
    async fn apply_returned(&self, pages: RangeInclusive<u32>, finished: &[FinishedPage]) -> Result<(), Failure> {
        let fetches: Vec<_> = finished.iter().map(|page| fetch(self.task, self.store, *page)).collect();
        let mut fetched = futures::stream::iter(fetches).buffer_unordered(FETCHING);
        let mut done = 0;
        // One after the other: all pages of a part may be more than memory should hold.
        while let Some(page) = fetched.next().await {
            if let Some(page) = page? {
                self.schedule().take_over(&page);
                done += 1;
            }
        }
        self.schedule().plan(pages.clone(), self.config.children, self.config.chunk_pages);
        tracing::debug!(job = self.task.job_id(), ?pages, done, "a part came back");
        self.more.notify_waiters();
        Ok(())
    }
}

/// A page that another worker or an earlier attempt has done; `None` if it is not there or not right, and must be done
/// again.
pub(super) async fn fetch(task: &Task, store: &Store, page: FinishedPage) -> Result<Option<PageArtifact>, Failure> {
    let json = match task.read_artifact(page.written_by, &PageArtifact::name(page.number)).await {
        Ok(json) => json,
        Err(CallError::NotFound | CallError::Corrupt) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let page = verified(page.number, &json);
    if let Some(page) = &page {
        store.put(page.number, &json).await?;
    }
    Ok(page)
}
