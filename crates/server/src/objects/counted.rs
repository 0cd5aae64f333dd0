//! Counts what is asked of the store, with how long it took and how often it failed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use courant_runtime::stats::{Counter, Histogram, LATENCIES};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// What is asked of a store.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Put,
    Get,
    Delete,
    List,
    /// Copies, and renames.
    Copy,
}

impl Operation {
    pub const ALL: [(Self, &'static str); 5] =
        [(Self::Put, "put"), (Self::Get, "get"), (Self::Delete, "delete"), (Self::List, "list"), (Self::Copy, "copy")];
}

/// Since the start.
#[derive(Debug)]
pub struct ObjectStats {
    took: [Histogram; Operation::ALL.len()],
    failed: [Counter; Operation::ALL.len()],
}

impl Default for ObjectStats {
    fn default() -> Self {
        Self { took: std::array::from_fn(|_| Histogram::of_seconds(LATENCIES)), failed: Default::default() }
    }
}

impl ObjectStats {
    /// How long requests took until their answer began.
    pub fn took(&self, operation: Operation) -> &Histogram {
        &self.took[operation as usize]
    }

    /// Requests that the store could not carry out. That nothing is there, or something already, is an answer.
    pub fn failed(&self, operation: Operation) -> u64 {
        self.failed[operation as usize].get()
    }

    fn count<T>(&self, operation: Operation, begun: Instant, result: &Result<T>) {
        self.took(operation).observe(begun.elapsed());
        let answered = |error: &Error| {
            matches!(
                error,
                Error::NotFound { .. }
                    | Error::AlreadyExists { .. }
                    | Error::Precondition { .. }
                    | Error::NotModified { .. }
            )
        };
        if result.as_ref().is_err_and(|error| !answered(error)) {
            self.failed[operation as usize].inc();
        }
    }
}

/// A store whose requests are counted.
#[derive(Debug)]
pub(super) struct CountedStore {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) stats: Arc<ObjectStats>,
}

impl CountedStore {
    async fn count<T>(&self, operation: Operation, request: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = Instant::now();
        let result = request.await;
        self.stats.count(operation, begun, &result);
        result
    }

    /// Each item counts as a request, from when it was asked for: a store answers pages of them at once.
    fn count_each<T: Send + 'static>(
        &self,
        operation: Operation,
        items: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let (stats, mut begun) = (self.stats.clone(), Instant::now());
        let counted = items.inspect(move |item| {
            stats.count(operation, begun, item);
            begun = Instant::now();
        });
        counted.boxed()
    }
}

impl fmt::Display for CountedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for CountedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.count(Operation::Put, self.store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.count(Operation::Put, self.store.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.count(Operation::Get, self.store.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.count(Operation::Get, self.store.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.count_each(Operation::Delete, self.store.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        // A list is a request for each thousand entries or so; entries are not counted.
        self.store.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.count(Operation::List, self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.count(Operation::Copy, self.store.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.count(Operation::Copy, self.store.rename_opts(from, to, options)).await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn requests_count_by_what_they_are_and_what_is_not_there_is_no_failure() {
        let stats = Arc::new(ObjectStats::default());
        let store = CountedStore { store: Arc::new(InMemory::new()), stats: stats.clone() };
        let path = Path::from("a");
        store.put(&path, "x".into()).await.unwrap();
        store.get(&path).await.unwrap();
        assert!(store.get(&Path::from("b")).await.is_err());
        store.delete(&path).await.unwrap();
        let counted = Operation::ALL.map(|(operation, _)| stats.took(operation).counted().count);
        assert_eq!(counted, [1, 2, 1, 0, 0]);
        assert!(Operation::ALL.iter().all(|(operation, _)| stats.failed(*operation) == 0));
    }
}
