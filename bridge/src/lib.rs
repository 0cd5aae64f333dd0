//! The web server of Courant: topics over WebSockets, event streams and polls, uploads and downloads, and the console.
//!
//! Speaks `PROTOCOL.md` to browsers and `courant.v1` to the server. Keeps no state that matters: any number of bridges may
//! stand side by side, and each may be killed at any time.

mod api_error;
mod app;
mod audit;
mod config;
mod connection;
mod drain;
mod events;
mod flags;
mod http;
mod ledger;
mod metrics;
mod monitoring;
mod outbox;
mod presence;
mod rate;
mod request;
mod serve;
mod server;
mod sockets;
mod topic;
mod upstream;
pub mod wire;
mod ws;

pub use api_error::Code;
pub use config::{Config, ConfigError, Limits, Times, TokenSource};
pub use flags::Flags;
pub use ledger::{Bound, Bounds};
pub use serve::{Error, run};

/// How WebSocket messages are read and written, for the echo that the Autobahn test suite judges.
pub mod frames {
    pub use crate::ws::frame::{FrameKind, append};
    pub use crate::ws::reader::{Inbound, Reader};
}

/// Bodies of HTTP requests and answers, for tests that hold them against `PROTOCOL.md` and make the schemas.
pub mod bodies {
    pub use crate::http::jobs::{JobAnswer, JobsAnswer, Retry};
    pub use crate::http::notifications::{NotificationAnswer, NotificationsAnswer, Notify, Read, UnreadAnswer};
    pub use crate::http::outputs::OutputsAnswer;
    pub use crate::http::push::{PushEnd, PushKeyAnswer, PushSubscription};
    pub use crate::http::service::{
        BatchAnswer, DevicesAnswer, QueueAnswer, QuotaAnswer, SystemAnswer, WorkerAnswer, WorkersAnswer,
    };
    pub use crate::http::session::SessionAnswer;
    pub use crate::http::webhooks::{
        NewWebhook, WebhookAnswer, WebhookChange, WebhookDeliveriesAnswer, WebhookReplay, WebhookRotation,
        WebhookTestAnswer, WebhooksAnswer,
    };
    pub use crate::request::parameter::{Kind, Parameter};
    pub use crate::request::parameters;
    pub use crate::request::problem::Problem;
}
