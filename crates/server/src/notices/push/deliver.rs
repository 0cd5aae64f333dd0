//! Sends what is due, for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::Timestamp;
use futures::StreamExt as _;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use tokio::time::Instant;

use super::letter::{SINGLY, of_many, of_one};
use super::{Push, Subscription, TTL};
use crate::notices::Notices;
use crate::notices::store::{Notice, StoreError};

/// Subscriptions that are sent to at the same time.
const AT_ONCE: usize = 16;
/// Notices of one subscription that are looked at together.
const TOGETHER: usize = 100;
/// The first wait after a push service failed, and the longest; full jitter between.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Failures in a row after which a subscription is given up: about half a day.
const PATIENCE: u32 = 20;

/// What became of one message.
enum Sent {
    Yes,
    /// The browser has ended the subscription.
    Gone,
    /// The push service does not take it, and will not.
    Refused(StatusCode),
    /// Another time, not before so long.
    Later(Option<Duration>, String),
}

/// A subscription whose push service failed.
struct Failing {
    subscription: Subscription,
    times: u32,
    again: Instant,
}

/// Sends for ever. Pushes are not worth the service: what fails is tried again.
pub async fn run(push: Arc<Push>, notices: Arc<Notices>) {
    let mut failing: HashMap<String, Failing> = HashMap::new();
    notices.due.add(None);
    loop {
        let next = failing.values().map(|failing| failing.again).min();
        tokio::select! {
            () = notices.due.changed() => {}
            () = tokio::time::sleep_until(next.unwrap_or_else(far)), if next.is_some() => {}
        }
        if let Err(error) = round(&push, &notices, &mut failing).await {
            tracing::error!(%error, "notices are not pushed at the moment");
            tokio::time::sleep(FIRST_WAIT).await;
            notices.due.add(None);
        }
    }
}

fn far() -> Instant {
    Instant::now() + LONGEST_WAIT
}

async fn round(push: &Push, notices: &Notices, failing: &mut HashMap<String, Failing>) -> Result<(), StoreError> {
    let users = notices.due.take();
    let mut due = notices.with(move |store| store.subscriptions(users.as_deref())).await?;
    due.retain(|subscription| !failing.contains_key(&subscription.endpoint));
    let now = Instant::now();
    due.extend(failing.values().filter(|failing| failing.again <= now).map(|failing| failing.subscription.clone()));
    let mut sent = futures::stream::iter(due)
        .map(|subscription| async {
            let sent = all(push, notices, &subscription).await;
            (subscription, sent)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((subscription, sent)) = sent.next().await {
        settle(notices, failing, subscription, sent?).await?;
    }
    Ok(())
}

/// Sends all that one subscription waits for, or until something is in the way.
async fn all(push: &Push, notices: &Notices, to: &Subscription) -> Result<Sent, StoreError> {
    loop {
        let (endpoint, since) = (to.endpoint.clone(), Timestamp(Timestamp::now().0 - TTL.as_millis() as i64));
        let waiting = notices.with(move |store| store.unsent(&endpoint, since, TOGETHER)).await?;
        if waiting.is_empty() {
            return Ok(Sent::Yes);
        }
        let parts = if waiting.len() > SINGLY { waiting.len() } else { 1 };
        for part in waiting.chunks(parts) {
            let sent = one(push, to, part).await;
            if !matches!(sent, Sent::Yes | Sent::Refused(_)) {
                return Ok(sent);
            }
            // What is refused is refused again: the next may fare better.
            if let Sent::Refused(status) = sent {
                tracing::warn!(service = to.host(), %status, "a push service refused a notice");
            }
            let (endpoint, last) = (to.endpoint.clone(), part.last().map_or(0, |notice| notice.change));
            notices.with(move |store| store.was_sent(&endpoint, last)).await?;
        }
    }
}

async fn one(push: &Push, to: &Subscription, notices: &[Notice]) -> Sent {
    let letter = match notices {
        [one] => of_one(one),
        many => of_many(many),
    };
    let Some(sealed) = to.seal(letter) else { return Sent::Gone };
    let signed = match push.key.authorization(&to.origin(), &push.contact) {
        Ok(signed) => signed,
        Err(error) => return Sent::Later(None, error.to_string()),
    };
    let request = push
        .client
        .post(&to.endpoint)
        .header(AUTHORIZATION, signed)
        .header(CONTENT_ENCODING, "aes128gcm")
        .header(CONTENT_TYPE, "application/octet-stream")
        .header("TTL", TTL.as_secs())
        .header("Urgency", "normal")
        .body(sealed);
    match request.send().await {
        Ok(answer) => verdict(&answer),
        // Without the address, which is a secret.
        Err(error) => Sent::Later(None, error.without_url().to_string()),
    }
}

fn verdict(answer: &reqwest::Response) -> Sent {
    let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match answer.status() {
        status if status.is_success() => Sent::Yes,
        StatusCode::NOT_FOUND | StatusCode::GONE => Sent::Gone,
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => {
            Sent::Later(wait.map(Duration::from_secs), status.to_string())
        }
        status if status.is_client_error() || status.is_redirection() => Sent::Refused(status),
        status => Sent::Later(wait.map(Duration::from_secs), status.to_string()),
    }
}

async fn settle(
    notices: &Notices,
    failing: &mut HashMap<String, Failing>,
    subscription: Subscription,
    sent: Sent,
) -> Result<(), StoreError> {
    let (wait, why) = match sent {
        Sent::Yes | Sent::Refused(_) => {
            failing.remove(&subscription.endpoint);
            return Ok(());
        }
        Sent::Gone => return forget(notices, failing, subscription.endpoint).await,
        Sent::Later(wait, why) => (wait, why),
    };
    let times = failing.get(&subscription.endpoint).map_or(0, |failing| failing.times) + 1;
    if times >= PATIENCE {
        tracing::warn!(
            service = subscription.host(),
            why,
            "a push service failed too often; the browser must subscribe anew"
        );
        return forget(notices, failing, subscription.endpoint).await;
    }
    let longest = FIRST_WAIT.saturating_mul(1 << times.min(16)).min(LONGEST_WAIT);
    let drawn = longest.mul_f64(fastrand::f64());
    let again = Instant::now() + wait.unwrap_or(drawn).min(LONGEST_WAIT).max(Duration::from_millis(100));
    tracing::info!(service = subscription.host(), why, times, "a push service failed; trying again later");
    failing.insert(subscription.endpoint.clone(), Failing { subscription, times, again });
    Ok(())
}

async fn forget(notices: &Notices, failing: &mut HashMap<String, Failing>, endpoint: String) -> Result<(), StoreError> {
    failing.remove(&endpoint);
    notices.with(move |store| store.forget(&endpoint)).await
}
