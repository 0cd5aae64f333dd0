//! The browser's WebSocket, with everything that was heard on it.

use anyhow::{Context as _, bail, ensure};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::within;

/// A WebSocket and all it has been told.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Every message, in order.
    pub heard: Vec<Value>,
    last_id: u64,
}

impl Socket {
    /// Opens a connection; nobody has signed in yet.
    pub async fn open(address: &str) -> anyhow::Result<Self> {
        let mut request = format!("ws://{address}/ws").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "courant.v1.json".parse()?);
        let (stream, _) = within("a WebSocket to open", async { Ok(connect_async(request).await?) }).await?;
        Ok(Self { stream, heard: Vec::new(), last_id: 0 })
    }

    /// Sends `auth` and insists on `connected`.
    pub async fn sign_in(&mut self, token: &str) -> anyhow::Result<()> {
        let reply = self.ask(json!({"type": "auth", "token": token})).await?;
        ensure!(reply["type"] == "connected", "{reply}");
        Ok(())
    }

    /// Subscribes with everything that happens, and insists that it works.
    pub async fn subscribe(&mut self, topic: &str, after: Option<&str>) -> anyhow::Result<Value> {
        let reply = self.ask(json!({"type": "subscribe", "topic": topic, "after": after, "minIntervalMs": 0})).await?;
        ensure!(reply["type"] == "subscribed", "{reply}");
        Ok(reply)
    }

    /// Sends a command and gives back its reply; what else comes meanwhile is kept in `heard`.
    pub async fn ask(&mut self, mut command: Value) -> anyhow::Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        command["id"] = id.into();
        self.stream.send(Message::text(command.to_string())).await?;
        self.until(|message| message["id"] == id).await
    }

    /// Reads until a message of which this holds.
    pub async fn until(&mut self, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        loop {
            let message = self.next().await?.context("the WebSocket closed before it happened")?;
            if holds(&message) {
                return Ok(message);
            }
        }
    }

    /// The next message; none when the connection has closed.
    pub async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            let frame = within("the next WebSocket message", async { Ok(self.stream.next().await) }).await?;
            match frame {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text)?;
                    self.heard.push(message.clone());
                    return Ok(Some(message));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
                Some(Ok(other)) => bail!("an unexpected frame: {other:?}"),
            }
        }
    }

    /// Reads until the connection closes; gives back the code of `closing`.
    pub async fn closed(&mut self) -> anyhow::Result<u64> {
        while self.next().await?.is_some() {}
        let closing = self.heard.iter().rev().find(|message| message["type"] == "closing");
        closing.and_then(|message| message["code"].as_u64()).context("closed without `closing`")
    }

    /// The last cursor heard: where to continue.
    pub fn cursor(&self) -> Option<String> {
        self.heard.iter().rev().find_map(|message| message["cursor"].as_str()).map(str::to_owned)
    }

    /// The revisions of the durable events of a job, in order. A page's zones belong to its `page-completed`.
    pub fn revisions(&self, job_id: &str) -> Vec<i64> {
        let durable = |message: &&Value| message["cursor"].is_string() && message["jobId"] == job_id;
        self.heard.iter().filter(durable).filter_map(|message| message["revision"].as_i64()).collect()
    }
}
