//! Echoes messages the way the bridge reads and writes them, to be judged by others (`tests/setup/autobahn`).
//! Prints the port it took.

use courant_bridge::frames::{FrameKind, Inbound, Reader, append};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;

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

/// Clients wait for the answer to the handshake, so nothing is read past it.
async fn echo(socket: TcpStream) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = accept_async(socket).await?.into_inner();
    let mut reader = Reader::new(MAX_MESSAGE);
    let mut bytes = vec![0; 64 << 10];
    loop {
        let inbound = reader.next_message();
        let mut frames = reader.take_answer().unwrap_or_default();
        match &inbound {
            Some(Inbound::Text(text)) => append(&mut frames, FrameKind::Text, text.as_bytes()),
            Some(Inbound::Binary(bytes)) => append(&mut frames, FrameKind::Binary, bytes),
            Some(
                Inbound::Alive
                | Inbound::Control
                | Inbound::TooLarge
                | Inbound::Broken
                | Inbound::InvalidText
                | Inbound::Gone,
            )
            | None => {}
        }
        socket.write_all(&frames).await?;
        match inbound {
            Some(Inbound::TooLarge | Inbound::Broken | Inbound::InvalidText | Inbound::Gone) => return Ok(()),
            Some(_) => {}
            None => {
                let read = socket.read(&mut bytes).await?;
                reader.feed(&bytes[..read]);
            }
        }
    }
}
