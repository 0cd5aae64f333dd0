//! Sends what is due, for ever.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::client::{Push, TTL};
use super::payload::{SINGLY, of_many, of_one};
use super::schedule::{PushLimits, Schedule};
use crate::notifications::inbox::NotificationInbox;
use crate::notifications::store::{StoreError, StoredNotification};
use crate::notifications::subscription::{Delivery, Subscription};

/// Notifications of one subscription that are read together.
const TOGETHER: usize = 100;
/// The first wait after a push service failed, and the longest; full jitter between.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Failures in a row after which a subscription is given up: about half a day.
const PATIENCE: u32 = 20;

/// The servers that may send.
pub trait Senders: Send + Sync {
    /// Whether this server sends to a browser. Nearly always just one holds it to be its own; where two do, or one that has gone did,
    /// browsers know by the notification's id that it is the same.
    fn is_ours(&self, endpoint: &str) -> bool;

    /// Changes when another server has come or gone.
    fn changed(&self) -> watch::Receiver<()>;
}

/// There is no other server.
pub struct Alone(watch::Sender<()>);

impl Default for Alone {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Senders for Alone {
    fn is_ours(&self, _: &str) -> bool {
        true
    }

    fn changed(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// What became of one message.
enum SendResult {
    Delivered,
    /// The browser has ended the subscription.
    Gone,
    /// The push service does not take it, and will not.
    Refused(StatusCode),
    /// Another time, not before so long.
    RetryLater(Option<Duration>, String),
}

/// A subscription whose push service failed.
struct Failing {
    delivery: Delivery,
    times: u32,
    /// None while it is being tried again.
    again: Option<Instant>,
}

/// Sends for ever. Pushes are not worth the service: what fails is tried again.
///
/// Of several servers each sends to the browsers that are its own; those of a server that is gone are another's.
pub async fn run(push: Arc<Push>, notifications: Arc<NotificationInbox>, senders: Arc<dyn Senders>) {
    let mut changed = senders.changed();
    let mut sender = PushSender {
        schedule: Schedule::new(PushLimits::new(&push.config)),
        failing: HashMap::new(),
        retries: BTreeSet::new(),
        running: JoinSet::new(),
    };
    notifications.pending_users.add(None);
    loop {
        sender.begin(&push, &notifications);
        let next = sender.retries.first().map(|(again, _)| *again);
        let done = tokio::select! {
            () = notifications.pending_users.changed() => sender.collect(&notifications, &*senders).await,
            Ok(()) = changed.changed() => {
                notifications.pending_users.add(None);
                Ok(())
            }
            () = tokio::time::sleep_until(next.unwrap_or_else(far)), if next.is_some() => {
                sender.retry();
                Ok(())
            }
            Some(ended) = sender.running.join_next() => match ended {
                Ok((delivery, sent)) => sender.end(&notifications, delivery, sent).await,
                Err(error) => {
                    tracing::error!(%error, "a push ended badly");
                    Ok(())
                }
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "sending push notifications failed, retrying");
            tokio::time::sleep(FIRST_WAIT).await;
            notifications.pending_users.add(None);
        }
    }
}

fn far() -> Instant {
    Instant::now() + LONGEST_WAIT
}

/// What is to be sent, what is under way, and what is tried again later.
struct PushSender {
    schedule: Schedule,
    failing: HashMap<String, Failing>,
    /// When those that fail are tried again. Some may be gone since, or have been delivered.
    retries: BTreeSet<(Instant, String)>,
    running: JoinSet<(Delivery, Result<SendResult, StoreError>)>,
}

impl PushSender {
    fn begin(&mut self, push: &Arc<Push>, notifications: &Arc<NotificationInbox>) {
        while let Some(delivery) = self.schedule.begin() {
            let (push, notifications) = (push.clone(), notifications.clone());
            self.running.spawn(async move {
                let sent = all(&push, &notifications, &delivery).await;
                (delivery, sent)
            });
        }
    }

    /// Takes what is due. Those whose push service failed wait for their time.
    async fn collect(&mut self, notifications: &NotificationInbox, senders: &dyn Senders) -> Result<(), StoreError> {
        let users = notifications.pending_users.take();
        let mut found = notifications.with(move |store| store.subscriptions(users.as_deref())).await?;
        found.retain(|delivery| senders.is_ours(&delivery.subscription.endpoint));
        for delivery in found {
            match self.failing.get_mut(&delivery.subscription.endpoint) {
                Some(failing) => failing.delivery = delivery,
                None => self.schedule.add(delivery),
            }
        }
        Ok(())
    }

    fn retry(&mut self) {
        let now = Instant::now();
        while self.retries.first().is_some_and(|(again, _)| *again <= now) {
            let Some((again, endpoint)) = self.retries.pop_first() else { return };
            if let Some(failing) = self.failing.get_mut(&endpoint).filter(|failing| failing.again == Some(again)) {
                failing.again = None;
                self.schedule.add(failing.delivery.clone());
            }
        }
    }

    async fn end(
        &mut self,
        notifications: &NotificationInbox,
        delivery: Delivery,
        sent: Result<SendResult, StoreError>,
    ) -> Result<(), StoreError> {
        let meanwhile = self.schedule.end(&delivery);
        let endpoint = &delivery.subscription.endpoint;
        match sent {
            Ok(SendResult::Delivered | SendResult::Refused(_)) => {
                self.failing.remove(endpoint);
                meanwhile.into_iter().for_each(|again| self.schedule.add(again));
                Ok(())
            }
            Ok(SendResult::Gone) => self.forget(notifications, delivery).await,
            Ok(SendResult::RetryLater(wait, why)) => {
                self.later(notifications, meanwhile.unwrap_or(delivery), wait, &why).await
            }
            Err(error) => {
                // It is due again with all others.
                self.failing.remove(endpoint);
                Err(error)
            }
        }
    }

    async fn later(
        &mut self,
        notifications: &NotificationInbox,
        delivery: Delivery,
        wait: Option<Duration>,
        why: &str,
    ) -> Result<(), StoreError> {
        let endpoint = delivery.subscription.endpoint.clone();
        let service = delivery.subscription.host();
        let times = self.failing.get(&endpoint).map_or(0, |failing| failing.times) + 1;
        if times >= PATIENCE {
            tracing::info!(service, why, "a push service failed too often; the browser must subscribe again");
            return self.forget(notifications, delivery).await;
        }
        let longest = FIRST_WAIT.saturating_mul(1 << times.min(16)).min(LONGEST_WAIT);
        let drawn = longest.mul_f64(fastrand::f64());
        let again = Instant::now() + wait.unwrap_or(drawn).min(LONGEST_WAIT).max(Duration::from_millis(100));
        tracing::info!(service, why, times, "a push service failed; trying again later");
        self.retries.insert((again, endpoint.clone()));
        self.failing.insert(endpoint, Failing { delivery, times, again: Some(again) });
        Ok(())
    }

    async fn forget(&mut self, notifications: &NotificationInbox, delivery: Delivery) -> Result<(), StoreError> {
        let Delivery { owner, subscription: Subscription { endpoint, .. } } = delivery;
        self.failing.remove(&endpoint);
        notifications.unsubscribe(owner, endpoint).await
    }
}

/// Sends all that one subscription waits for, or until something is in the way.
async fn all(
    push: &Push,
    notifications: &NotificationInbox,
    Delivery { owner, subscription: to }: &Delivery,
) -> Result<SendResult, StoreError> {
    loop {
        let (endpoint, since) = (to.endpoint.clone(), notifications.wall.now().plus_ms(-(TTL.as_millis() as i64)));
        let waiting = notifications.with(move |store| store.unsent(&endpoint, since, TOGETHER)).await?;
        if waiting.is_empty() {
            return Ok(SendResult::Delivered);
        }
        let parts = if waiting.len() > SINGLY { waiting.len() } else { 1 };
        for part in waiting.chunks(parts) {
            let sent = one(push, to, part).await;
            if !matches!(sent, SendResult::Delivered | SendResult::Refused(_)) {
                return Ok(sent);
            }
            // What is refused is refused again: the next may fare better.
            if let SendResult::Refused(status) = sent {
                tracing::warn!(service = to.host(), %status, "a push service refused a notification");
            }
            let (endpoint, last) = (to.endpoint.clone(), part.last().map_or(0, |notification| notification.change));
            notifications.was_sent(owner.clone(), endpoint, last).await?;
        }
    }
}

async fn one(push: &Push, to: &Subscription, notifications: &[StoredNotification]) -> SendResult {
    let payload = match notifications {
        [one] => of_one(one),
        many => of_many(many),
    };
    let Some(sealed) = to.seal(payload) else { return SendResult::Gone };
    let signed = match push.key.authorization(&to.origin(), &push.contact) {
        Ok(signed) => signed,
        Err(error) => return SendResult::RetryLater(None, error.to_string()),
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
        Ok(answer) => classify(&answer),
        // Without the address, which is a secret.
        Err(error) => SendResult::RetryLater(None, error.without_url().to_string()),
    }
}

fn classify(answer: &reqwest::Response) -> SendResult {
    let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match answer.status() {
        status if status.is_success() => SendResult::Delivered,
        StatusCode::NOT_FOUND | StatusCode::GONE => SendResult::Gone,
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => {
            SendResult::RetryLater(wait.map(Duration::from_secs), status.to_string())
        }
        status if status.is_client_error() || status.is_redirection() => SendResult::Refused(status),
        status => SendResult::RetryLater(wait.map(Duration::from_secs), status.to_string()),
    }
}
