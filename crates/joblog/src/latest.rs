//! The newest entries of all keys, page by page: a log may have more of them than fit into memory as jobs.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::ids::Revision;
use crate::log::{Entry, ReadError};

/// Entries of a page, at most.
pub const LATEST_PAGE: usize = 512;

/// The newest entry of every key as of one revision, oldest first. Dropped before its end, it stops whoever reads.
#[derive(Debug)]
pub struct Latest {
    /// True as of here; follow from here.
    pub revision: Revision,
    pages: Pages,
}

#[derive(Debug)]
enum Pages {
    Known(std::vec::IntoIter<Arc<Entry>>),
    /// Read while they are taken.
    Read {
        pages: mpsc::Receiver<Vec<Arc<Entry>>>,
        /// How the reading went; `None` once that was said.
        reading: Option<JoinHandle<Result<(), ReadError>>>,
    },
}

impl Latest {
    /// Entries that are in memory anyway.
    pub fn known(revision: Revision, entries: Vec<Arc<Entry>>) -> Self {
        Self { revision, pages: Pages::Known(entries.into_iter()) }
    }

    /// Entries that a task reads and sends in pages. A channel of few pages is what bounds the memory.
    pub fn read(
        revision: Revision,
        pages: mpsc::Receiver<Vec<Arc<Entry>>>,
        reading: JoinHandle<Result<(), ReadError>>,
    ) -> Self {
        Self { revision, pages: Pages::Read { pages, reading: Some(reading) } }
    }

    /// The next page, never empty; `None` when there was all.
    pub async fn next(&mut self) -> Result<Option<Vec<Arc<Entry>>>, ReadError> {
        match &mut self.pages {
            Pages::Known(entries) => {
                let page: Vec<_> = entries.by_ref().take(LATEST_PAGE).collect();
                Ok(Some(page).filter(|page| !page.is_empty()))
            }
            Pages::Read { pages, reading } => {
                if let Some(page) = pages.recv().await {
                    return Ok(Some(page));
                }
                // A reader that failed or panicked sends nothing more either: that must not look like the end.
                if let Some(reading) = reading.take() {
                    reading.await.map_err(|error| ReadError::Storage { reason: error.to_string() })??;
                }
                Ok(None)
            }
        }
    }

    /// All of them. For logs that are known to be small.
    pub async fn all(mut self) -> Result<Vec<Arc<Entry>>, ReadError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}
