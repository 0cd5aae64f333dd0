//! Writing where nothing is yet, which keeps several servers from writing over each other.

use bytes::Bytes;
use courant_joblog::ids::JobId;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt as _, PutMode, PutOptions};

use super::store::{Objects, is_not_found};
use crate::error::Error;
use crate::fault::{self, NOT_CONDITIONAL};

/// How often it is tried: while others write to and remove the same place, and while connections are cut.
const TRIES: usize = 4;

impl Objects {
    /// Stores something where nothing is yet; `false` when something else is. Durable when it comes back. The same bytes may
    /// be there before: an earlier try, whose answer got lost, may have been carried out.
    pub async fn put_new(&self, path: &Path, bytes: Bytes) -> Result<bool, Error> {
        if !self.keeps_what_is_there().await? {
            return Err(not_conditional());
        }
        let mut tries = 1;
        loop {
            match self.create(path, bytes.clone()).await {
                Ok(()) => return Ok(true),
                Err(StoreError::AlreadyExists { .. }) if self.folder.is_some() => return Ok(false),
                // S3 also says so when two write or remove at the same moment, and neither may have succeeded.
                Err(error @ StoreError::AlreadyExists { .. }) => match self.holds(path, &bytes).await? {
                    Some(same) => return Ok(same),
                    None if tries < TRIES => {}
                    None => return Err(error.into()),
                },
                // Who tries again finds out whether this one was carried out. The library does not, for it cannot know.
                Err(error) if tries < TRIES && fault::was_cut_off(&error) => {}
                Err(error) => {
                    self.request_probe(&error);
                    return Err(error.into());
                }
            }
            tries += 1;
        }
    }

    /// Whether the store refuses to write over what is there when it is asked to. Some that speak S3 do not know
    /// `If-None-Match` and write over it. Found out once, by writing something twice.
    pub(super) async fn keeps_what_is_there(&self) -> Result<bool, Error> {
        if self.folder.is_some() {
            return Ok(true);
        }
        let ask = || async {
            let path = self.path(&format!("uploads/probe-{}", JobId::random()));
            let mut kept = false;
            for _ in 0..2 {
                kept = match self.create(&path, Bytes::from_static(b"probe")).await {
                    Ok(()) => false,
                    Err(StoreError::AlreadyExists { .. }) => true,
                    Err(error) if is_unknown_to_it(&error) => false,
                    Err(error) => return Err(Error::from(error)),
                };
            }
            self.remove(&path).await;
            Ok(kept)
        };
        self.state.keeps_what_is_there.get_or_try_init(ask).await.copied()
    }

    async fn create(&self, path: &Path, bytes: Bytes) -> object_store::Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.store.put_opts(path, bytes.into(), options).await.map(drop)
    }

    /// Whether exactly this is stored there; `None` when nothing is.
    async fn holds(&self, path: &Path, bytes: &[u8]) -> Result<Option<bool>, Error> {
        match self.store.head(path).await {
            Ok(meta) if meta.size != bytes.len() as u64 => return Ok(Some(false)),
            Ok(_) => {}
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let (mut found, mut rest) = (self.read(path, 0, None).await?, bytes);
        while let Some(piece) = found.try_next().await? {
            match rest.strip_prefix(&*piece) {
                Some(more) => rest = more,
                None => return Ok(Some(false)),
            }
        }
        Ok(Some(rest.is_empty()))
    }
}

/// What who wanted to write is told.
fn not_conditional() -> Error {
    Error::Objects(StoreError::NotSupported { source: NOT_CONDITIONAL.into() })
}

/// Whether it did not understand what it was asked: it said so, or `AWS_CONDITIONAL_PUT` does.
fn is_unknown_to_it(error: &StoreError) -> bool {
    matches!(error, StoreError::NotImplemented { .. } | StoreError::NotSupported { .. })
        || fault::error_chain(error).contains("status code: 501")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn only_what_is_the_same_counts_as_written_twice() {
        let objects = Objects::of(Arc::new(InMemory::new()));
        let path = objects.path("resumable/piece");
        for (bytes, written) in [("one", true), ("one", true), ("two", false), ("three", false)] {
            assert_eq!(objects.put_new(&path, bytes.into()).await.unwrap(), written, "{bytes}");
        }
        assert_eq!(objects.get(&path).await.unwrap().unwrap(), "one");
        let left: Vec<_> = objects.store.list(None).try_collect().await.unwrap();
        assert_eq!(left.len(), 1, "the probe is left: {left:?}");
    }
}
