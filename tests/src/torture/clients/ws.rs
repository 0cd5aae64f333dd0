//! A browser: one WebSocket with one subscription.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::super::record::Scope;
use super::steps::Step;
use super::{User, browser};

/// A subscription.
pub struct Watch {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What was told before the watch was asked for it.
    told: VecDeque<Value>,
}

impl Watch {
    /// Connects, signs in and subscribes. The error is a code, empty when the connection was lost.
    pub async fn open(
        address: SocketAddr,
        user: &User,
        scope: &Scope,
        cursor: &str,
        interval: Duration,
    ) -> Result<Self, String> {
        let mut request = format!("ws://{address}/ws").into_client_request().map_err(|_| String::new())?;
        request.headers_mut().insert("sec-websocket-protocol", "courant.v1.json".parse().map_err(|_| String::new())?);
        let (stream, _) = connect_async(request).await.map_err(|_| String::new())?;
        let mut watch = Self { stream, told: VecDeque::new() };
        watch.ask(json!({"id": 1, "type": "auth", "token": user.token})).await?;
        let after = (!cursor.is_empty()).then_some(cursor);
        let interval = u64::try_from(interval.as_millis()).unwrap_or(0);
        let subscribe = json!({"id": 2, "type": "subscribe", "topic": browser::topic(scope), "after": after, "minIntervalMs": interval});
        let reply = watch.ask(subscribe).await?;
        watch.told.extend(browser::gap(&reply));
        watch.told.rotate_right(usize::from(!reply["reason"].is_null()));
        Ok(watch)
    }

    async fn ask(&mut self, command: Value) -> Result<Value, String> {
        self.stream.send(Message::text(command.to_string())).await.map_err(|_| String::new())?;
        loop {
            let message = self.message().await.ok_or_else(String::new)?;
            if message["id"] != command["id"] {
                self.told.push_back(message);
                continue;
            }
            return match message["code"].as_str() {
                Some(code) => Err(code.to_owned()),
                None => Ok(message),
            };
        }
    }

    async fn message(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// The next step; none when the connection is gone.
    pub async fn next(&mut self) -> Option<(String, Step)> {
        let message = match self.told.pop_front() {
            Some(message) => message,
            None => self.message().await?,
        };
        browser::step(&message)
    }
}
