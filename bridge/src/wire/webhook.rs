//! Webhooks in JSON.

use courant_proto::v1;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{seconds, time};

/// An endpoint that events of one's jobs are sent to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub webhook_id: String,
    /// Empty for the webhook of jobs' callbacks, of which each job has its own.
    pub url: String,
    /// For people; may be empty.
    pub description: String,
    /// `job.queued`, `job.started`, `job.retrying`, `job.succeeded`, `job.failed`, `job.cancelled`.
    pub events: Vec<String>,
    /// `enabled`; `disabled` by its owner; `switched-off` by the server, because it failed for too long.
    pub state: String,
    /// Why the server switched it off.
    pub disable_reason: Option<String>,
    pub disable_time: Option<String>,
    /// Since when every attempt has failed; `null` while attempts succeed.
    pub failing_since: Option<String>,
    /// Jobs of which something waits to be sent again.
    pub jobs_waiting: i32,
    /// Up to here everything was sent or given up, but of jobs that wait.
    pub cursor: String,
    pub events_delivered: i64,
    pub events_given_up: i64,
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub create_time: Option<String>,
    /// Until when the secret before the last one signs as well.
    pub old_secret_expire_time: Option<String>,
}

/// One attempt to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WebhookDelivery {
    /// The `webhook-id`: the same in all attempts to send one event.
    pub message_id: String,
    /// The type of the event, as `courant.job.succeeded`.
    pub r#type: String,
    pub job_id: Option<String>,
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub send_time: Option<String>,
    /// Seconds until the answer.
    pub duration: Option<f64>,
    /// `null` when there was no answer.
    pub http_status: Option<i32>,
    /// What went wrong; `null` when it was received.
    pub error: Option<String>,
    /// Which attempt to send this event it was, from 1.
    pub attempt: i32,
    /// It is not tried again.
    pub given_up: bool,
}

const EVENTS: [(v1::WebhookEvent, &str); 6] = [
    (v1::WebhookEvent::JobQueued, "job.queued"),
    (v1::WebhookEvent::JobStarted, "job.started"),
    (v1::WebhookEvent::JobRetrying, "job.retrying"),
    (v1::WebhookEvent::JobSucceeded, "job.succeeded"),
    (v1::WebhookEvent::JobFailed, "job.failed"),
    (v1::WebhookEvent::JobCancelled, "job.cancelled"),
];

/// The event of that name.
pub fn parse_event(name: &str) -> Option<v1::WebhookEvent> {
    EVENTS.iter().find(|(_, known)| *known == name).map(|(event, _)| *event)
}

/// All names, for messages.
pub fn event_names() -> String {
    EVENTS.map(|(_, name)| name).join(", ")
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

impl From<&v1::Webhook> for Webhook {
    fn from(webhook: &v1::Webhook) -> Self {
        let name = |event: v1::WebhookEvent| EVENTS.iter().find(|(known, _)| *known == event).map(|(_, name)| *name);
        let state = match webhook.state() {
            v1::WebhookState::Unspecified | v1::WebhookState::Enabled => "enabled",
            v1::WebhookState::Disabled => "disabled",
            v1::WebhookState::SwitchedOff => "switched-off",
        };
        Self {
            webhook_id: webhook.webhook_id.clone(),
            url: webhook.url.clone(),
            description: webhook.description.clone(),
            events: webhook.events().filter_map(name).map(str::to_owned).collect(),
            state: state.to_owned(),
            disable_reason: text(&webhook.disable_reason),
            disable_time: time(webhook.disable_time.as_ref()),
            failing_since: time(webhook.failing_since.as_ref()),
            jobs_waiting: webhook.jobs_waiting,
            cursor: webhook.cursor.clone(),
            events_delivered: webhook.events_delivered,
            events_given_up: webhook.events_given_up,
            create_time: time(webhook.create_time.as_ref()),
            old_secret_expire_time: time(webhook.old_secret_expire_time.as_ref()),
        }
    }
}

impl From<&v1::WebhookDelivery> for WebhookDelivery {
    fn from(delivery: &v1::WebhookDelivery) -> Self {
        Self {
            message_id: delivery.message_id.clone(),
            r#type: delivery.r#type.clone(),
            job_id: text(&delivery.job_id),
            send_time: time(delivery.send_time.as_ref()),
            duration: delivery.duration.as_ref().map(seconds),
            http_status: Some(delivery.http_status).filter(|status| *status != 0),
            error: text(&delivery.error),
            attempt: delivery.attempt,
            given_up: delivery.given_up,
        }
    }
}
