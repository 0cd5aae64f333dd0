//! The pages of one job on local disk, in one file, until the results are written.
//!
//! A document's text may be larger than memory should be; nothing here holds more than a page and what is about to be written.
//! One file, because making a file for each page costs more than reading the page.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::artifact::{PageArtifact, VERSION};

/// Bytes of pages that are written together.
const BUFFER: usize = 256 << 10;

/// A directory that goes when this goes.
pub(crate) struct Store {
    dir: TempDir,
    pages: Arc<Mutex<PageWriter>>,
}

/// The file of pages, to whose end they are written.
struct PageWriter {
    file: File,
    /// Bytes in the file.
    written: u64,
    /// Pages that are written next.
    buffer: Vec<u8>,
    /// Where each page is: the last that was kept of it.
    places: BTreeMap<u32, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    bytes: usize,
}

impl PageWriter {
    fn add(&mut self, number: u32, json: &[u8]) {
        let offset = self.written + self.buffer.len() as u64;
        self.places.insert(number, Place { offset, bytes: json.len() });
        self.buffer.extend_from_slice(json);
    }

    fn write(&mut self) -> std::io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Store {
    pub(crate) fn new(work_dir: &Path) -> std::io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("courant-pdf-").tempdir_in(work_dir)?;
        let file = File::options().read(true).write(true).create_new(true).open(dir.path().join("pages"))?;
        let writer = PageWriter { file, written: 0, buffer: Vec::new(), places: BTreeMap::new() };
        Ok(Self { dir, pages: Arc::new(Mutex::new(writer)) })
    }

    /// Where the document goes.
    pub(crate) fn document(&self) -> PathBuf {
        self.dir.path().join("document.pdf")
    }

    /// Where a result goes.
    pub(crate) fn result(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Keeps a page as JSON.
    pub(crate) async fn put(&self, number: u32, json: &[u8]) -> std::io::Result<()> {
        let mut pages = self.pages.clone().lock_owned().await;
        pages.add(number, json);
        if pages.buffer.len() < BUFFER {
            return Ok(());
        }
        // Goes on to its end, and keeps others waiting until then, should this call be dropped.
        blocking(move || pages.write()).await
    }

    /// The pages that were kept under these numbers, in their order.
    pub(crate) async fn pages(&self, numbers: Vec<u32>) -> std::io::Result<Pages> {
        let mut pages = self.pages.clone().lock_owned().await;
        blocking(move || {
            pages.write()?;
            let places = numbers.into_iter().map(|number| (number, pages.places.get(&number).copied())).collect();
            Ok(Pages { file: Arc::new(pages.file.try_clone()?), places })
        })
        .await
    }
}

/// Runs work that uses files or the processor for long on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

/// A page read back from an earlier attempt, if it is what it should be.
pub(crate) fn verified(number: u32, json: &[u8]) -> Option<PageArtifact> {
    let page: PageArtifact = serde_json::from_slice(json).ok()?;
    (page.version == VERSION && page.number == number).then_some(page)
}

/// Pages of a document, in order, read one at a time.
#[derive(Clone)]
pub(crate) struct Pages {
    file: Arc<File>,
    /// Each with its number.
    places: Arc<[(u32, Option<Place>)]>,
}

impl Pages {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = std::io::Result<PageArtifact>> + '_ {
        let mut json = Vec::new();
        self.places.iter().map(move |&(number, place)| {
            let place = place.ok_or_else(|| std::io::Error::other(format!("page {number} was not stored")))?;
            json.resize(place.bytes, 0);
            self.file.read_exact_at(&mut json, place.offset)?;
            verified(number, &json)
                .ok_or_else(|| std::io::Error::other(format!("page {number} is not what was stored")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_come_back_in_order_and_only_as_they_went_in() {
        let store = Store::new(&std::env::temp_dir()).unwrap();
        for number in [2, 1] {
            let page = PageArtifact::unreadable(number, 0.0, "why");
            store.put(number, &serde_json::to_vec(&page).unwrap()).await.unwrap();
        }
        let numbers: Vec<u32> =
            store.pages(vec![1, 2]).await.unwrap().iter().map(|page| page.unwrap().number).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(store.pages(vec![2]).await.unwrap().iter().next().unwrap().unwrap().number, 2);
        assert!(store.pages(vec![1, 2, 3]).await.unwrap().iter().any(|page| page.is_err()), "there is no third page");
        store.put(2, b"{}").await.unwrap();
        assert!(store.pages(vec![1, 2]).await.unwrap().iter().any(|page| page.is_err()));
        assert!(verified(3, &serde_json::to_vec(&PageArtifact::unreadable(2, 0.0, "why")).unwrap()).is_none());
    }
}
