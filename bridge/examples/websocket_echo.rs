//! Echoes messages by the WebSocket stack and the settings of the bridge, to be judged by others (`tests/setup/autobahn`).
//! Prints the port it took.

use courant_bridge::websocket_settings;
use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async_with_config;

/// The longest message of the suite has 16 MiB.
const MAX_MESSAGE: usize = 16 << 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = echo(socket).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn echo(socket: TcpStream) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = accept_async_with_config(socket, Some(websocket_settings(MAX_MESSAGE))).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
