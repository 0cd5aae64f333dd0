//! Web Push as a courier of the delivery engine.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Mutex, watch};
use url::Url;

use super::client::{Push, TTL};
use super::payload::{SINGLY, of_many, of_one};
use crate::delivery::{self, Answer, Backoff, Courier, Ended, Limits, Senders, Target};
use crate::notifications::inbox::NotificationInbox;
use crate::notifications::store::{StoreError, StoredNotification};
use crate::notifications::subscription::{Delivery, Subscription};

/// Notifications of one subscription that are read together.
const TOGETHER: usize = 100;
/// Waits after a push service failed.
const WAITS: Backoff = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(3600) };
/// Failures in a row after which a subscription is given up: about half a day.
const PATIENCE: u32 = 20;

/// Sends for ever.
///
/// Of several servers each sends to the browsers that are its own; those of a server that is gone are another's.
pub async fn run(push: Arc<Push>, notifications: Arc<NotificationInbox>, senders: Arc<dyn Senders>) {
    let servers = Mutex::new(senders.changed());
    delivery::run(Arc::new(PushCourier { push, notifications, senders, servers })).await;
}

struct PushCourier {
    push: Arc<Push>,
    notifications: Arc<NotificationInbox>,
    senders: Arc<dyn Senders>,
    /// Only [`Courier::changed`] waits with it.
    servers: Mutex<watch::Receiver<()>>,
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

impl Target for Delivery {
    fn key(&self) -> &str {
        &self.subscription.endpoint
    }

    fn owner(&self) -> &str {
        &self.owner
    }

    fn host(&self) -> String {
        self.subscription.host()
    }
}

impl Courier for PushCourier {
    type Target = Delivery;
    type Error = StoreError;

    fn name(&self) -> &'static str {
        "web push"
    }

    fn limits(&self) -> Limits {
        let config = &self.push.config;
        Limits {
            in_all: config.push_at_once,
            per_host: config.push_per_host_at_once,
            per_user: config.push_per_user_at_once,
        }
    }

    fn backoff(&self) -> Backoff {
        WAITS
    }

    fn patience(&self) -> Option<u32> {
        Some(PATIENCE)
    }

    async fn changed(&self) {
        let mut servers = self.servers.lock().await;
        tokio::select! {
            () = self.notifications.pending_users.changed() => {}
            Ok(()) = servers.changed() => self.all_changed(),
        }
    }

    fn all_changed(&self) {
        self.notifications.pending_users.add(None);
    }

    async fn collect(&self) -> Result<Vec<Delivery>, StoreError> {
        let users = self.notifications.pending_users.take();
        let mut found = self.notifications.with(move |store| store.subscriptions(users.as_deref())).await?;
        found.retain(|delivery| self.senders.is_ours(&delivery.subscription.endpoint));
        Ok(found)
    }

    /// Sends all that one subscription waits for, or until something is in the way.
    async fn deliver(&self, Delivery { owner, subscription: to }: &Delivery) -> Result<Ended, StoreError> {
        let notifications = &self.notifications;
        loop {
            let (endpoint, since) = (to.endpoint.clone(), notifications.wall.now().plus_ms(-(TTL.as_millis() as i64)));
            let waiting = notifications.with(move |store| store.unsent(&endpoint, since, TOGETHER)).await?;
            if waiting.is_empty() {
                return Ok(Ended::Done);
            }
            let parts = if waiting.len() > SINGLY { waiting.len() } else { 1 };
            for part in waiting.chunks(parts) {
                match self.send(to, part).await {
                    SendResult::Delivered => {}
                    // What is refused is refused again: the next may fare better.
                    SendResult::Refused(status) => {
                        tracing::warn!(service = to.host(), %status, "a push service refused a notification");
                    }
                    SendResult::Gone => return Ok(Ended::Gone),
                    SendResult::RetryLater(asked, why) => return Ok(Ended::Failed(asked, why)),
                }
                let (endpoint, last) = (to.endpoint.clone(), part.last().map_or(0, |notification| notification.change));
                notifications.was_sent(owner.clone(), endpoint, last).await?;
            }
        }
    }

    async fn forget(&self, Delivery { owner, subscription }: Delivery) -> Result<(), StoreError> {
        self.notifications.unsubscribe(owner, subscription.endpoint).await
    }
}

impl PushCourier {
    async fn send(&self, to: &Subscription, notifications: &[StoredNotification]) -> SendResult {
        let payload = match notifications {
            [one] => of_one(one),
            many => of_many(many),
        };
        let (Some(sealed), Ok(url)) = (to.seal(payload), Url::parse(&to.endpoint)) else { return SendResult::Gone };
        let signed = self.push.key.authorization(&to.origin(), &self.push.contact).map_err(|error| error.to_string());
        let signed = signed.and_then(|signed| HeaderValue::try_from(signed).map_err(|error| error.to_string()));
        let signed = match signed {
            Ok(signed) => signed,
            Err(error) => return SendResult::RetryLater(None, error),
        };
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, signed),
            (CONTENT_ENCODING, HeaderValue::from_static("aes128gcm")),
            (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
            (HeaderName::from_static("ttl"), HeaderValue::from(TTL.as_secs())),
            (HeaderName::from_static("urgency"), HeaderValue::from_static("normal")),
        ]);
        match self.push.client.post(&url, headers, sealed).await {
            Ok(answer) => classify(answer),
            Err(error) => SendResult::RetryLater(None, error.to_string()),
        }
    }
}

fn classify(Answer { status, retry_after }: Answer) -> SendResult {
    match status {
        status if status.is_success() => SendResult::Delivered,
        StatusCode::NOT_FOUND | StatusCode::GONE => SendResult::Gone,
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => {
            SendResult::RetryLater(retry_after, status.to_string())
        }
        status if status.is_client_error() || status.is_redirection() => SendResult::Refused(status),
        status => SendResult::RetryLater(retry_after, status.to_string()),
    }
}
