//! How long a client may take to send a body. Short ones have a time as a whole; documents may pause, and must come at a
//! least rate on average, so that a trickle holds nothing for ever.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::time::Instant;

use crate::config::Config;

/// The rate is judged over so many pauses' time at once: what comes in bursts is fine.
const WINDOW: u32 = 2;

/// A client's timeout budget for one upload. Only the time in which we wait for the client counts.
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeout {
    pause: Duration,
    bytes_per_second: u64,
    waited: Duration,
    bytes: u64,
}

/// The client took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSlow;

impl BodyTimeout {
    /// Of this bridge's operator.
    pub fn new(config: &Config) -> Self {
        let bytes_per_second = config.limits.upload_bytes_per_second;
        Self { pause: config.times.body, bytes_per_second, waited: Duration::ZERO, bytes: 0 }
    }

    /// Waits for the next piece, which has this many bytes by `size`.
    pub async fn wait<T>(&mut self, next: impl Future<Output = T>, size: impl Fn(&T) -> usize) -> Result<T, TooSlow> {
        let begun = Instant::now();
        let piece = tokio::time::timeout(self.pause, next).await.map_err(|_| TooSlow)?;
        self.received(begun.elapsed(), size(&piece))?;
        Ok(piece)
    }

    fn received(&mut self, waited: Duration, bytes: usize) -> Result<(), TooSlow> {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.waited < self.pause * WINDOW {
            return Ok(());
        }
        let least = self.waited.as_secs_f64() * self.bytes_per_second as f64;
        if (self.bytes as f64) < least {
            return Err(TooSlow);
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(())
    }
}

/// A body that must be here within this time as a whole; else it breaks.
pub fn with_deadline(body: Body, time: Duration) -> Body {
    Body::from_stream(until_deadline(body.into_data_stream(), Instant::now() + time))
}

fn until_deadline<E: Into<axum::BoxError>>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    until: Instant,
) -> impl Stream<Item = Result<Bytes, axum::BoxError>> + Send {
    futures::stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout_at(until, body.next()).await {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
            Ok(Some(Err(error))) => Some((Err(error.into()), None)),
            Ok(None) => None,
            Err(_) => Some((Err("the body did not come in time".into()), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout() -> BodyTimeout {
        let pause = Duration::from_secs(30);
        BodyTimeout { pause, bytes_per_second: 1000, waited: Duration::ZERO, bytes: 0 }
    }

    #[test]
    fn a_trickle_is_ended_and_bursts_are_fine() {
        let mut trickle = timeout();
        let ended = (0..1000).position(|_| trickle.received(Duration::from_secs(10), 1).is_err());
        assert_eq!(ended, Some(5));
        let mut bursts = timeout();
        assert!((0..1000).all(|_| bursts.received(Duration::from_secs(25), 30_000).is_ok()));
        // A fast beginning buys no time for ever.
        let mut fast = timeout();
        fast.received(Duration::from_secs(60), 1 << 30).unwrap();
        assert!((0..1000).any(|_| fast.received(Duration::from_secs(10), 1).is_err()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_body_has_a_time_as_a_whole() {
        let trickle = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, axum::BoxError>(Bytes::from_static(b"x")), ()))
        });
        let until = Instant::now() + Duration::from_millis(3500);
        let all: Vec<_> = until_deadline(Box::pin(trickle), until).collect().await;
        assert_eq!(all.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, false]);
    }
}
