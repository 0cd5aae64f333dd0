//! Flags of `courant webhooks`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::Connection;

#[derive(Args)]
pub struct Webhooks {
    #[command(subcommand)]
    pub command: WebhookCommand,
}

/// What is done to webhooks. `callback` is the id of the webhook of your jobs' callbacks.
#[derive(Subcommand)]
pub enum WebhookCommand {
    /// List your webhooks
    List(WebhookFlags),
    /// Make a webhook; prints its id and its secret, which is shown this once
    Create(CreateWebhook),
    /// Change a webhook
    Update(UpdateWebhook),
    /// Remove a webhook
    Delete(OneWebhook),
    /// Make a new secret and print it; for some time the old one signs as well
    Rotate(RotateSecret),
    /// Send a test event and show what became of it; exit code 1 unless it was received
    Test(OneWebhook),
    /// Show the last attempts to send, newest first
    Deliveries(OneWebhook),
    /// Enable a webhook that was switched off or disabled; it goes on where it stopped
    Enable(OneWebhook),
    /// Send nothing until it is enabled
    Disable(OneWebhook),
    /// Send again what happened after a cursor, under the same ids
    Replay(ReplayWebhook),
}

#[derive(Args)]
pub struct WebhookFlags {
    /// Print JSON, one object per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct OneWebhook {
    /// The webhook
    #[arg(value_name = "WEBHOOK")]
    pub id: String,

    #[command(flatten)]
    pub flags: WebhookFlags,
}

#[derive(Args)]
pub struct CreateWebhook {
    /// Where to send
    #[arg(value_name = "URL")]
    pub url: String,

    /// An event to send, such as job.succeeded; may be given several times; default: all
    #[arg(long = "event", env = "COURANT_EVENTS", value_delimiter = ',', value_name = "EVENT")]
    pub events: Vec<String>,

    /// What it is for
    #[arg(long, env = "COURANT_DESCRIPTION", default_value = "", value_name = "TEXT")]
    pub description: String,

    #[command(flatten)]
    pub flags: WebhookFlags,
}

#[derive(Args)]
pub struct UpdateWebhook {
    /// The webhook
    #[arg(value_name = "WEBHOOK")]
    pub id: String,

    /// Where to send from now on
    #[arg(long, env = "COURANT_URL", value_name = "URL")]
    pub url: Option<String>,

    /// An event to send from now on; may be given several times
    #[arg(long = "event", env = "COURANT_EVENTS", value_delimiter = ',', value_name = "EVENT")]
    pub events: Vec<String>,

    /// What it is for
    #[arg(long, env = "COURANT_DESCRIPTION", value_name = "TEXT")]
    pub description: Option<String>,

    #[command(flatten)]
    pub flags: WebhookFlags,
}

#[derive(Args)]
pub struct RotateSecret {
    /// The webhook
    #[arg(value_name = "WEBHOOK")]
    pub id: String,

    /// For how long the old secret signs as well (0s to 7d)
    #[arg(long, env = "COURANT_KEEP_OLD", default_value = "1d", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub keep_old: Duration,

    #[command(flatten)]
    pub flags: WebhookFlags,
}

#[derive(Args)]
pub struct ReplayWebhook {
    /// The webhook
    #[arg(value_name = "WEBHOOK")]
    pub id: String,

    /// A cursor of an event; default: everything that is kept
    #[arg(long, env = "COURANT_AFTER", default_value = "", value_name = "CURSOR")]
    pub after: String,

    #[command(flatten)]
    pub flags: WebhookFlags,
}
