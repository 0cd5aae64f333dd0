//! A receiver of webhooks: verifies what arrives, and answers as it is told to, also badly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Flags with which servers send to this machine, and soon again.
pub const FLAGS: [&str; 9] = [
    "--webhook-http",
    "--webhook-allow",
    "127.0.0.0/8",
    "--webhook-retry-base",
    "100ms",
    "--webhook-retry-max",
    "1s",
    "--webhook-timeout",
    "2s",
];

/// An event that arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The last part of the URL that it was sent to.
    pub to: String,
    /// The `webhook-id`.
    pub id: String,
    timestamp: String,
    signature: String,
    body: Bytes,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// A status, and when to come again, in seconds.
    Later(u16, u64),
    Redirect,
    /// Nothing, for so long.
    Hang(Duration),
    /// 200, and a body that breaks.
    Die,
}

impl Answer {
    /// Whether the sender may take the event for received.
    pub fn is_received(self) -> bool {
        matches!(self, Self::Status(200..=299) | Self::Die)
    }
}

type Answers = Arc<dyn Fn(&Arrived) -> Answer + Send + Sync>;

/// Listens for as long as it lives.
pub struct Receiver {
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// `answer` sees each event before it is answered.
    pub async fn start(answer: impl Fn(&Arrived) -> Answer + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answers: Answers = Arc::new(answer);
        let router = Router::new().route("/{to}", post(arrive)).with_state(answers);
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("the receiver of webhooks ended: {error}");
            }
        });
        Ok(Self { address, serving })
    }

    pub fn url(&self, to: &str) -> String {
        format!("http://{}/{to}", self.address)
    }
}

async fn arrive(State(answer): State<Answers>, Path(to): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let id = header("webhook-id");
    let arrived =
        Arrived { to, id, timestamp: header("webhook-timestamp"), signature: header("webhook-signature"), body };
    let status = |number| StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match answer(&arrived) {
        Answer::Status(number) => status(number).into_response(),
        Answer::Later(number, seconds) => (status(number), [("retry-after", seconds.to_string())]).into_response(),
        Answer::Redirect => (StatusCode::FOUND, [("location", "http://127.0.0.1:9/")]).into_response(),
        Answer::Hang(time) => {
            tokio::time::sleep(time).await;
            StatusCode::GATEWAY_TIMEOUT.into_response()
        }
        Answer::Die => {
            let parts = [Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("it dies"))];
            Body::from_stream(futures::stream::iter(parts)).into_response()
        }
    }
}

impl Arrived {
    pub fn event(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// Whether one of its signatures is of this secret (`whsec_…`).
    pub fn is_signed_by(&self, secret: &str) -> anyhow::Result<bool> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").context("a secret begins so")?)?;
        let signed = [format!("{}.{}.", self.id, self.timestamp).as_bytes(), &self.body].concat();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed);
        let ours = format!("v1,{}", STANDARD.encode(tag));
        Ok(self.signature.split(' ').any(|one| one == ours))
    }
}
