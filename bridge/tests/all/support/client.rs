//! A WebSocket client that speaks JSON values.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::PATIENCE;

pub struct Client {
    pub socket: WebSocketStream<TcpStream>,
    pub subprotocol: Option<String>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[]).await.unwrap()
    }

    pub async fn connect_with(address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        Self::over(TcpStream::connect(address).await.unwrap(), address, headers).await
    }

    pub async fn over(socket: TcpStream, address: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/ws").into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        // tungstenite refuses answers without the subprotocol it offered; a plain handshake shows what the bridge says.
        let (socket, response) = tokio_tungstenite::client_async(request, socket).await?;
        let subprotocol =
            response.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap().to_owned());
        Ok(Self { socket, subprotocol })
    }

    pub async fn send(&mut self, value: Value) {
        self.send_text(&value.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message, as text or as the close code.
    pub async fn receive(&mut self) -> Result<String, u16> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("nothing came");
            match message.expect("the connection is over").expect("the connection broke") {
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(frame) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }

    pub async fn next(&mut self) -> Value {
        let text = self.receive().await.unwrap_or_else(|code| panic!("closed with {code}"));
        serde_json::from_str(&text).unwrap()
    }

    /// Sends a command and returns its reply, passing over pushes.
    pub async fn ask(&mut self, command: Value) -> Value {
        let id = command["id"].clone();
        self.send(command).await;
        loop {
            let message = self.next().await;
            if message["id"] == id {
                return message;
            }
        }
    }

    /// Reads up to the next message of that type.
    pub async fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let message = self.next().await;
            let done = message["type"] == kind;
            all.push(message);
            if done {
                return all;
            }
        }
    }

    /// Reads to the end; returns the messages and the close code.
    pub async fn read_to_end(&mut self) -> (Vec<Value>, u16) {
        let mut all = Vec::new();
        loop {
            match self.receive().await {
                Ok(text) => all.push(serde_json::from_str(&text).unwrap()),
                Err(code) => return (all, code),
            }
        }
    }

    /// Subscribes and reads up to `live`.
    pub async fn follow(&mut self, topic: &str, after: Option<&str>) -> Vec<Value> {
        let mut command = json!({"id": 1, "type": "subscribe", "topic": topic, "minIntervalMs": 0});
        if let Some(after) = after {
            command["after"] = after.into();
        }
        self.send(command).await;
        self.until("live").await
    }
}

/// The types of messages, in order.
pub fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}
