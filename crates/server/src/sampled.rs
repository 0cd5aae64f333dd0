//! Streams of a state as a whole: as it is now, then again when it has changed, and from time to time when it has not,
//! so that silence means a dead connection. A slow reader gets fewer states, each the newest; nothing piles up.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::TokenError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Status;

use crate::error::Error;
use crate::services::Services;

/// States under way to one client.
const IN_FLIGHT: usize = 1;
/// The least time between two lists of workers or bridges: when none is asked for, and its bounds.
pub const LISTS_EVERY: (Duration, Duration, Duration) =
    (Duration::from_secs(1), Duration::from_millis(100), Duration::from_secs(60));
/// The longest a stream may live, whatever its token says.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// How often a state is sampled and sent.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// Between two samples, and so the least between two states.
    pub sample_every: Duration,
    /// The most between two states, changed or not.
    pub send_within: Duration,
    /// How long the caller's token is good.
    pub token_left: Duration,
}

/// Sends states until the client goes, its token expires or the server stops. `take` samples the state, `same` decides
/// whether two are equal for the client, `form` makes the message.
pub fn start<S, T>(
    services: Arc<Services>,
    intervals: Intervals,
    take: impl Fn() -> S + Send + 'static,
    same: fn(&S, &S) -> bool,
    form: fn(S) -> T,
) -> mpsc::Receiver<Result<T, Status>>
where
    S: Clone + Send + Sync + 'static,
    T: Send + 'static,
{
    let (out, states) = mpsc::channel(IN_FLIGHT);
    services.clone().streams.spawn(async move {
        let expires = Instant::now() + intervals.token_left.min(LONGEST);
        let why = tokio::select! {
            () = send(intervals, take, same, form, &out) => return,
            () = out.closed() => return,
            () = services.stopping.cancelled() => Error::Draining,
            () = tokio::time::sleep_until(expires) => TokenError::Expired.into(),
        };
        // The receiver may be gone.
        let _ = out.send(Err(why.into())).await;
    });
    states
}

async fn send<S: Clone, T>(
    intervals: Intervals,
    take: impl Fn() -> S,
    same: fn(&S, &S) -> bool,
    form: fn(S) -> T,
    out: &mpsc::Sender<Result<T, Status>>,
) {
    let mut ticks = tokio::time::interval(intervals.sample_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<(S, Instant)> = None;
    loop {
        ticks.tick().await;
        // Reserve first, so that what is sent is current.
        let Ok(permit) = out.reserve().await else { return };
        let state = take();
        let due = last.as_ref().is_none_or(|(old, at)| !same(old, &state) || at.elapsed() >= intervals.send_within);
        if due {
            permit.send(Ok(form(state.clone())));
            last = Some((state, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_state_is_told_when_it_changes_and_when_it_has_not_for_long() {
        let state = Arc::new(AtomicU32::new(1));
        let seen = state.clone();
        let (out, mut states) = mpsc::channel::<Result<u32, Status>>(IN_FLIGHT);
        let (sample_every, send_within) = (Duration::from_secs(1), Duration::from_secs(10));
        let intervals = Intervals { sample_every, send_within, token_left: LONGEST };
        let take = move || seen.load(Ordering::SeqCst);
        tokio::spawn(async move { send(intervals, take, u32::eq, |state| state, &out).await });
        let begun = Instant::now();
        assert_eq!(states.recv().await.unwrap().unwrap(), 1);
        assert_eq!(begun.elapsed(), Duration::ZERO, "at once");
        state.store(2, Ordering::SeqCst);
        assert_eq!(states.recv().await.unwrap().unwrap(), 2);
        assert_eq!(begun.elapsed(), sample_every);
        assert_eq!(states.recv().await.unwrap().unwrap(), 2);
        assert_eq!(begun.elapsed(), sample_every + send_within, "the same again, so that silence is death");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_gets_the_newest() {
        let state = Arc::new(AtomicU32::new(0));
        let seen = state.clone();
        let (out, mut states) = mpsc::channel::<Result<u32, Status>>(IN_FLIGHT);
        let second = Duration::from_secs(1);
        let intervals = Intervals { sample_every: second, send_within: second, token_left: LONGEST };
        let take = move || seen.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move { send(intervals, take, u32::eq, |state| state, &out).await });
        tokio::time::sleep(100 * second).await;
        assert!(states.recv().await.unwrap().unwrap() == 0 && states.recv().await.unwrap().unwrap() <= 2);
    }
}
