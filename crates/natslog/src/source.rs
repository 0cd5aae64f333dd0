//! The stream as a whole, for who copies it.

use std::sync::Arc;

use async_trait::async_trait;
use courant_joblog::ids::Revision;
use courant_joblog::log::{Blob, Entry, Filter, ReadError, token};
use courant_joblog::source::{BlobPage, BlobPosition, Source};
use tokio::time::Instant;

use crate::append::Appender;
use crate::message::blob_of;
use crate::read;

/// Messages asked for at a time.
const PAGE: usize = 256;

/// A stream that is open.
pub(crate) struct StreamSource<'a>(pub(crate) &'a Appender);

#[async_trait]
impl Source for StreamSource<'_> {
    async fn newest(&self) -> Result<Revision, ReadError> {
        self.0.view.check()?;
        self.0.sync(Instant::now() + self.0.patience).await?;
        Ok(self.0.view.applied())
    }

    async fn entries(&self, after: Revision, limit: usize) -> Result<Vec<Arc<Entry>>, ReadError> {
        self.0.view.check()?;
        read::read(self.0, after, &Filter::All, limit.max(1)).await
    }

    /// A position is the revision of the last message. Blobs that are stored while they are read come at the end, once more if they replace
    /// others.
    async fn blobs(&self, after: Option<&BlobPosition>) -> Result<BlobPage, ReadError> {
        let Appender { server, view, .. } = self.0;
        view.check()?;
        let after = after.and_then(|position| position.0.parse().ok()).unwrap_or(0);
        let subject = server.subjects.all_blobs();
        let mut page = server.messages(&subject, after, PAGE).await?;
        if page.is_empty() {
            // The node that answered may be behind.
            server.leader_has(view.applied().0).await?;
            page.extend(server.leader_next(&subject, after + 1).await?);
        }
        let next = page.last().map(|last| BlobPosition(last.sequence.to_string().into()));
        let blobs = page.into_iter().filter_map(|message| {
            let (job, name) = blob_of(&message.headers)?;
            // What an earlier job of this id has left.
            let head = view.newest(&token(job.as_str())).filter(|head| head.alive().is_some())?;
            (message.sequence > head.floor).then_some((job, Blob { name, bytes: message.payload }))
        });
        Ok(BlobPage { blobs: blobs.collect(), next })
    }
}
