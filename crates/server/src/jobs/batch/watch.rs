//! Following a batch as one thing: the newest state always, never a queue of old ones.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::TokenError;
use courant_engine::batches::{Batch, BatchKey};
use courant_joblog::ids::{Revision, Timestamp};
use courant_proto::v1::WatchBatchResponse;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;

use crate::convert;
use crate::error::Error;
use crate::services::Services;

/// How often the percent of running jobs, which is not in the log, is read.
const LIVE: Duration = Duration::from_secs(1);
/// A year: longer than a token or a server lives.
const LONG: Duration = Duration::from_secs(366 * 24 * 3600);

type Out = mpsc::Sender<Result<WatchBatchResponse, Status>>;

/// The batch, and the revision of the view it was read at.
pub(super) fn read(services: &Services, name: &BatchKey) -> Result<(Batch, Revision), Error> {
    let now = Timestamp::now();
    let found = services.engine.projection(&services.projections.batches, |batches, view| {
        Some((batches.get(name, view, now)?, view.revision()))
    });
    found.ok_or_else(|| Error::BatchNotFound(name.1.clone()))
}

/// The same of a batch that another server may have just begun.
pub(super) async fn find(services: &Services, name: &BatchKey) -> Result<(Batch, Revision), Error> {
    match read(services, name) {
        Err(Error::BatchNotFound(_)) => {
            services.engine.catch_up_with_others().await?;
            read(services, name)
        }
        found => found,
    }
}

/// Starts to follow a batch.
pub async fn follow(
    services: Arc<Services>,
    name: BatchKey,
    interval: Duration,
    token_left: Duration,
) -> Result<mpsc::Receiver<Result<WatchBatchResponse, Status>>, Error> {
    find(&services, &name).await?;
    let found = services.engine.projection(&services.projections.batches, |batches, _| batches.subscribe(&name));
    let changed = found.ok_or_else(|| Error::BatchNotFound(name.1.clone()))?;
    let (out, states) = mpsc::channel(1);
    let expired = Instant::now() + token_left.min(LONG);
    services.clone().streams.spawn(async move {
        let (stopping, sender) = (services.stopping.clone(), out.clone());
        let follower = Follower { services, name, changed, interval, out };
        let ended = tokio::select! {
            ended = follower.run() => ended,
            () = stopping.cancelled() => Err(Error::Draining),
            () = tokio::time::sleep_until(expired) => Err(TokenError::Expired.into()),
            () = sender.closed() => Ok(()),
        };
        if let Err(error) = ended {
            let _ = sender.send(Err(error.into())).await;
        }
    });
    Ok(states)
}

struct Follower {
    services: Arc<Services>,
    name: BatchKey,
    changed: watch::Receiver<()>,
    interval: Duration,
    out: Out,
}

impl Follower {
    async fn run(mut self) -> Result<(), Error> {
        let mut last: Option<(Batch, Instant)> = None;
        loop {
            self.changed.mark_unchanged();
            let (batch, revision) = read(&self.services, &self.name)?;
            let silent = last.as_ref().is_none_or(|(_, at)| at.elapsed() >= self.services.config.bookmark_interval);
            if silent || last.as_ref().is_some_and(|(last_sent, _)| *last_sent != batch) {
                let cursor = self.services.engine.cursor(revision).encode();
                let state = WatchBatchResponse { batch: Some(convert::batch(&batch)), cursor };
                if self.out.send(Ok(state)).await.is_err() || batch.complete {
                    return Ok(());
                }
                last = Some((batch, Instant::now()));
                self.pause().await;
            }
            self.wait_for_change().await;
        }
    }

    /// One interval, or until the batch is complete.
    async fn pause(&mut self) {
        let (services, name, changed) = (&self.services, &self.name, &mut self.changed);
        let over = async {
            while read(services, name).is_ok_and(|(batch, _)| !batch.complete) && changed.changed().await.is_ok() {}
        };
        let _ = tokio::time::timeout(self.interval, over).await;
        // A change during the pause still counts.
        self.changed.mark_changed();
    }

    /// Until the batch may have changed.
    async fn wait_for_change(&mut self) {
        let _ = tokio::time::timeout(LIVE, self.changed.changed()).await;
    }
}
