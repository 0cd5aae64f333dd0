//! The follow loop: opens a scope, hands on what comes, and opens it again after every loss.

use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

use courant_runtime::Backoff;
use futures::StreamExt;

use super::upstream::{Update, Updates};
use crate::api_error::ApiError;
use crate::config::FIRST_PAUSE;
use crate::metrics::Metrics;

/// Losses in a row after which subscribers get `stalled`: the first attempt to come back is silent.
pub(super) const STALLED_AFTER: u32 = 2;

/// Who takes what a followed scope brings.
pub(super) trait Receiver: Send {
    /// What the receiver ends with.
    type End: Send;

    /// Opens the scope where the receiver has come to.
    fn open(&mut self) -> impl Future<Output = Result<Updates, ApiError>> + Send;

    /// Takes one update. The next is not read before that is done.
    fn receive(&mut self, update: Update) -> impl Future<Output = Next<Self::End>> + Send;

    /// Hears of the loss that is the `losses`th in a row, and says how it goes on.
    fn lost(&mut self, error: ApiError, losses: u32) -> ControlFlow<Self::End, Retry>;
}

/// What comes after an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<E> {
    /// The next update of the same stream.
    Update,
    /// A new stream, at once: nothing was lost.
    Reopen,
    /// The receiver has what it wanted.
    End(E),
}

/// When to open a lost scope again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// The reason is gone already.
    AtOnce,
    /// After a pause that grows with the losses in a row.
    AfterPause,
}

/// Follows until the receiver ends it. `longest` is the longest pause between attempts.
pub(super) async fn follow<R: Receiver>(receiver: &mut R, metrics: &Metrics, longest: Duration) -> R::End {
    let mut backoff = Backoff::new(FIRST_PAUSE, longest);
    loop {
        let error = match stream(receiver, &mut backoff).await {
            Ok(Some(end)) => return end,
            Ok(None) => continue,
            Err(error) => error,
        };
        let pause = backoff.pause();
        let retry = match receiver.lost(error, backoff.failures()) {
            ControlFlow::Continue(retry) => retry,
            ControlFlow::Break(end) => return end,
        };
        metrics.upstream_losses.inc();
        if retry == Retry::AfterPause {
            tokio::time::sleep(pause).await;
        }
    }
}

/// One stream, until it is lost or its receiver wants no more of it.
async fn stream<R: Receiver>(receiver: &mut R, backoff: &mut Backoff) -> Result<Option<R::End>, ApiError> {
    let mut updates = receiver.open().await?;
    while let Some(update) = updates.next().await {
        let update = update?;
        if update.is_from_server() {
            backoff.reset();
        }
        match receiver.receive(update).await {
            Next::Update => {}
            Next::Reopen => return Ok(None),
            Next::End(end) => return Ok(Some(end)),
        }
    }
    Err(ApiError::unreachable())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::upstream::Content;
    use super::*;

    /// Streams to open, one after another; when there are no more, it ends. Keeps the losses it hears of.
    struct Script {
        streams: VecDeque<Result<Vec<Content>, ApiError>>,
        lost: Vec<u32>,
        updates: usize,
    }

    impl Receiver for Script {
        type End = ();

        async fn open(&mut self) -> Result<Updates, ApiError> {
            let contents = self.streams.pop_front().unwrap_or_else(|| Ok(vec![Content::Ended("DONE")]))?;
            Ok(futures::stream::iter(contents.into_iter().map(|content| Ok(Update::new(content)))).boxed())
        }

        async fn receive(&mut self, update: Update) -> Next<()> {
            self.updates += 1;
            match update.content {
                Content::Ended(_) => Next::End(()),
                Content::Bookmark => Next::Reopen,
                _ => Next::Update,
            }
        }

        fn lost(&mut self, _: ApiError, losses: u32) -> ControlFlow<(), Retry> {
            self.lost.push(losses);
            ControlFlow::Continue(Retry::AfterPause)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn losses_in_a_row_are_counted_until_something_comes() {
        let streams = [
            Err(ApiError::unreachable()),
            Ok(vec![]),
            Ok(vec![Content::Nothing]),
            Ok(vec![Content::Live(1), Content::Bookmark]),
            Err(ApiError::unreachable()),
        ];
        let mut script = Script { streams: streams.into(), lost: Vec::new(), updates: 0 };
        let metrics = Metrics::default();
        follow(&mut script, &metrics, Duration::from_secs(5)).await;
        assert_eq!((script.lost, script.updates), (vec![1, 2, 1, 1], 4));
        assert_eq!(metrics.upstream_losses.get(), 4);
    }
}
