//! Signs and sends one message.

use std::time::Instant;

use courant_joblog::ids::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use url::Url;

use super::message::Message;
use crate::config::WebhookConfig;
use crate::delivery::{AddressRules, Answer, HttpClient};
use crate::webhook_store::{Attempt, SigningSecrets, WebhookStats};

const BODY_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Sends to URLs of users.
#[derive(Clone, Debug)]
pub struct Sender(HttpClient);

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Received,
    /// The receiver wants nothing any more (410).
    Gone,
    /// Another time; what the receiver asked for.
    Failed(Option<std::time::Duration>),
}

/// What is needed to send a message, and which attempt it is.
pub(super) struct Outgoing<'a> {
    pub(super) url: &'a str,
    /// None: they cannot be opened.
    pub(super) secrets: Option<&'a SigningSecrets>,
    pub(super) message: &'a Message,
    /// From 1.
    pub(super) number: u32,
}

impl Sender {
    pub fn new(config: &WebhookConfig) -> Result<Self, reqwest::Error> {
        Ok(Self(HttpClient::new(config, AddressRules::new(config), config.webhook_timeout)?))
    }

    /// Sends, and counts what became of it.
    pub(super) async fn send(&self, outgoing: Outgoing<'_>, stats: &WebhookStats) -> (Outcome, Attempt) {
        let (at, began) = (Timestamp::now(), Instant::now());
        let sent = self.post(&outgoing, at).await;
        let took = began.elapsed();
        let (outcome, status, error) = match sent {
            Ok(answer) => judge(answer),
            Err(error) => (Outcome::Failed(None), 0, error),
        };
        stats.took.observe(took);
        let count = if outcome == Outcome::Received { &stats.delivered } else { &stats.failed };
        count.inc();
        let Message { id, event_type, job, .. } = outgoing.message;
        let attempt = Attempt {
            message: id.clone(),
            event: (*event_type).to_owned(),
            job: job.clone(),
            at: at.0,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            status,
            error,
            number: outgoing.number,
            given_up: false,
        };
        (outcome, attempt)
    }

    async fn post(&self, outgoing: &Outgoing<'_>, at: Timestamp) -> Result<Answer, String> {
        let secrets =
            outgoing.secrets.ok_or("the secret cannot be opened: give all servers the same --password-key-file")?;
        let url = Url::parse(outgoing.url).map_err(|error| format!("the URL cannot be read: {error}"))?;
        let headers = headers(secrets, outgoing.message, at.0 / 1000).map_err(|error| error.to_string())?;
        self.0.post(&url, headers, outgoing.message.body.clone()).await.map_err(|error| error.to_string())
    }
}

/// As Standard Webhooks has them.
fn headers(secrets: &SigningSecrets, message: &Message, seconds: i64) -> Result<HeaderMap, InvalidHeaderValue> {
    let mut signature = HeaderValue::try_from(secrets.signature(&message.id, seconds, &message.body))?;
    signature.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(BODY_TYPE)),
        (HeaderName::from_static("webhook-id"), HeaderValue::try_from(&message.id)?),
        (HeaderName::from_static("webhook-timestamp"), HeaderValue::from(seconds)),
        (HeaderName::from_static("webhook-signature"), signature),
    ]))
}

fn judge(Answer { status, retry_after }: Answer) -> (Outcome, u16, String) {
    let number = status.as_u16();
    match status {
        status if status.is_success() => (Outcome::Received, number, String::new()),
        StatusCode::GONE => (Outcome::Gone, number, "it answers 410 Gone: it wants no more events".into()),
        status if status.is_redirection() => {
            let why = format!("it answers {status}: redirects are not followed; give the URL that it leads to");
            (Outcome::Failed(retry_after), number, why)
        }
        status => (Outcome::Failed(retry_after), number, format!("it answers {status}")),
    }
}
