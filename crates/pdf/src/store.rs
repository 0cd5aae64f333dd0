//! The pages of one job on local disk, one file each, until the results are written.
//!
//! A document's text may be larger than memory should be; nothing here holds more than one page.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::artifact::{PageArtifact, VERSION};

/// A directory that goes when this goes.
pub(crate) struct Store {
    dir: TempDir,
}

impl Store {
    pub(crate) fn new(work_dir: &Path) -> std::io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("courant-pdf-").tempdir_in(work_dir)?;
        std::fs::create_dir(dir.path().join("pages"))?;
        Ok(Self { dir })
    }

    /// Where the document goes.
    pub(crate) fn document(&self) -> PathBuf {
        self.dir.path().join("document.pdf")
    }

    /// Where a result goes.
    pub(crate) fn result(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the pages are.
    pub(crate) fn pages(&self, count: u32) -> Pages {
        Pages { dir: self.dir.path().to_owned(), count }
    }

    /// Keeps a page as JSON.
    pub(crate) async fn put(&self, number: u32, json: &[u8]) -> std::io::Result<()> {
        tokio::fs::write(self.dir.path().join(PageArtifact::name(number)), json).await
    }
}

/// A page read back from an earlier attempt, if it is what it should be.
pub(crate) fn verified(number: u32, json: &[u8]) -> Option<PageArtifact> {
    let page: PageArtifact = serde_json::from_slice(json).ok()?;
    (page.version == VERSION && page.number == number).then_some(page)
}

/// All pages of a document, in order, read one at a time.
#[derive(Clone)]
pub(crate) struct Pages {
    dir: PathBuf,
    /// How many there are.
    pub(crate) count: u32,
}

impl Pages {
    pub(crate) fn iter(&self) -> impl Iterator<Item = std::io::Result<PageArtifact>> + '_ {
        (1..=self.count).map(|number| {
            let json = std::fs::read(self.dir.join(PageArtifact::name(number)))?;
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
        let numbers: Vec<u32> = store.pages(2).iter().map(|page| page.unwrap().number).collect();
        assert_eq!(numbers, [1, 2]);
        store.put(2, b"{}").await.unwrap();
        assert!(store.pages(2).iter().any(|page| page.is_err()));
        assert!(verified(3, &serde_json::to_vec(&PageArtifact::unreadable(2, 0.0, "why")).unwrap()).is_none());
    }
}
