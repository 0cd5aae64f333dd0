//! A log around another one, for tests that count, hold back, refuse or falsify what passes.

use std::sync::Arc;

/// For who writes one.
pub use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::commit_stats::CommitStats;
use crate::ids::{JobId, Revision};
use crate::log::{Append, AppendError, Blob, Entry, Filter, Key, Latest, Log, LogDescription, LogInfo, ReadError};
use crate::notes::Notes;
use crate::peers::Peers;

/// Is a [`Log`] that passes everything on to the inner one. Override what is to be different.
#[async_trait]
pub trait LogWrapper: Send + Sync + 'static {
    fn inner(&self) -> &dyn Log;

    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        self.inner().append(append).await
    }

    /// Each by what `append` was made, so that a test has to override that one only.
    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        let mut outcomes = Vec::with_capacity(appends.len());
        for append in appends {
            outcomes.push(LogWrapper::append(self, append).await);
        }
        outcomes
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        self.inner().read(after, filter, limit).await
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        self.inner().recent(after, limit)
    }

    async fn newest(&self) -> Result<Revision, ReadError> {
        self.inner().newest().await
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        self.inner().latest().await
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        self.inner().store_blob(job, blob).await
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        self.inner().forget(key, expect).await
    }
}

#[async_trait]
impl<W: LogWrapper> Log for W {
    async fn append(&self, append: Append) -> Result<Revision, AppendError> {
        LogWrapper::append(self, append).await
    }

    async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Revision, AppendError>> {
        LogWrapper::append_all(self, appends).await
    }

    async fn read(&self, after: Revision, filter: &Filter, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        LogWrapper::read(self, after, filter, limit).await
    }

    fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        LogWrapper::recent(self, after, limit)
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.inner().head()
    }

    async fn newest(&self) -> Result<Revision, ReadError> {
        LogWrapper::newest(self).await
    }

    async fn latest(&self) -> Result<Latest, ReadError> {
        LogWrapper::latest(self).await
    }

    async fn store_blob(&self, job: &JobId, blob: Blob) -> Result<(), AppendError> {
        LogWrapper::store_blob(self, job, blob).await
    }

    async fn blob(&self, job: &JobId, name: &str) -> Result<Option<Bytes>, ReadError> {
        self.inner().blob(job, name).await
    }

    async fn remove_blob(&self, job: &JobId, name: &str) -> Result<(), AppendError> {
        self.inner().remove_blob(job, name).await
    }

    async fn forget(&self, key: &Key, expect: Revision) -> Result<Revision, AppendError> {
        LogWrapper::forget(self, key, expect).await
    }

    async fn trimmed(&self, filter: &Filter) -> Result<Revision, ReadError> {
        self.inner().trimmed(filter).await
    }

    fn info(&self) -> &LogInfo {
        self.inner().info()
    }

    fn full(&self) -> Option<watch::Receiver<bool>> {
        self.inner().full()
    }

    fn following(&self) -> Option<watch::Receiver<bool>> {
        self.inner().following()
    }

    fn commits(&self) -> Option<Arc<CommitStats>> {
        self.inner().commits()
    }

    fn peers(&self) -> Option<Arc<dyn Peers>> {
        self.inner().peers()
    }

    fn notes(&self) -> Option<Arc<dyn Notes>> {
        self.inner().notes()
    }

    async fn describe(&self) -> Result<LogDescription, ReadError> {
        self.inner().describe().await
    }

    async fn probe(&self) -> Result<(), AppendError> {
        self.inner().probe().await
    }
}
