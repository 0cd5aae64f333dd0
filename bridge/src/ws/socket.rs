//! Reading and writing one socket, both whenever either can go on. Writes everything that is ready and flushes once.
//!
//! A client that does not read blocks only its own writing: reading and the session's clocks go on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use courant_tls::Socket;
use futures::{Sink, Stream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::format::Frames;
use super::paced::Paced;
use crate::outbox::close_reason::CloseReason;
use crate::outbox::{Outbox, Taken};

/// tungstenite zero-fills this at the first read, so it is most of the memory of an idle connection.
const READ_BUFFER: usize = 1 << 10;
/// Gathered before it is written in the middle of a batch.
const WRITE_BUFFER: usize = 16 << 10;
/// A single message is never larger: pages of the largest size are sent zone by zone.
const MAX_WRITE_BUFFER: usize = 16 << 20;

/// How tungstenite is used here. The echo that is judged by the Autobahn test suite has the same.
pub fn settings(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// What came from the client.
#[derive(Debug)]
pub enum Inbound {
    Text(Utf8Bytes),
    /// A sign of life.
    Alive,
    /// A ping, which is answered already, or a pong.
    Control,
    Binary(Bytes),
    TooLarge,
    /// Not what a WebSocket client may send.
    Broken,
    /// The connection is over.
    Gone,
}

/// One socket with its outbox.
pub struct FramedSocket {
    socket: WebSocketStream<Paced>,
    outbox: Arc<Outbox>,
    frames: Frames,
    ping: bool,
    flush: Flush,
    closed: bool,
    discarding: bool,
}

/// Whether something is written that may still be in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    Due,
    Done,
}

impl FramedSocket {
    /// Takes over a socket after the handshake, with what was read past it.
    pub async fn new(socket: Socket, read: Bytes, outbox: Arc<Outbox>, frames: Frames, max_message: usize) -> Self {
        let config = settings(max_message);
        let socket = Paced::new(socket, max_message);
        let socket = WebSocketStream::from_partially_read(socket, read.to_vec(), Role::Server, Some(config)).await;
        Self { socket, outbox, frames, ping: false, flush: Flush::Done, closed: false, discarding: false }
    }

    /// Sends a protocol ping as soon as it can be written.
    pub fn ping(&mut self) {
        self.ping = true;
    }

    /// The next thing from the client; writes what waits meanwhile. Cancel-safe.
    pub async fn next(&mut self) -> Inbound {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Inbound> {
        if let Err(error) = self.poll_write(context) {
            tracing::debug!(%error, "write failed");
            return Poll::Ready(Inbound::Gone);
        }
        if self.discarding {
            return self.poll_discard(context).map(|()| Inbound::Gone);
        }
        let found = inbound(ready!(Pin::new(&mut self.socket).poll_next(context)));
        self.discarding = matches!(found, Inbound::TooLarge | Inbound::Broken);
        Poll::Ready(found)
    }

    /// After a broken message nothing more can be understood. It is still read: closing a socket with unread bytes
    /// makes the kernel reset it, and our last words would be lost.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(self.socket.get_mut()).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Writes until nothing waits or the client does not read. Returns in both cases; errors end the connection.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        loop {
            match Pin::new(&mut self.socket).poll_ready(context)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) if self.closed => return self.poll_flush(context),
                Poll::Ready(()) => {}
            }
            if std::mem::take(&mut self.ping) {
                self.send(Message::Ping(Bytes::new()))?;
            } else if let Some(frame) = self.frames.next() {
                self.send(frame)?;
            } else {
                match self.outbox.take(&mut self.frames, context) {
                    Taken::Some => {}
                    Taken::Nothing => return self.poll_flush(context),
                    Taken::End(close_reason) => {
                        self.closed = true;
                        self.send(Message::Close(Some(close_frame(&close_reason))))?;
                    }
                }
            }
        }
    }

    fn send(&mut self, message: Message) -> Result<(), Error> {
        self.flush = Flush::Due;
        Pin::new(&mut self.socket).start_send(message)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        if self.flush == Flush::Due && Pin::new(&mut self.socket).poll_flush(context)?.is_ready() {
            self.flush = Flush::Done;
        }
        Ok(())
    }
}

fn close_frame(close_reason: &CloseReason) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(close_reason.code),
        reason: Utf8Bytes::from_static(close_reason.error.code.name()),
    }
}

fn inbound(message: Option<Result<Message, Error>>) -> Inbound {
    match message {
        Some(Ok(Message::Text(text))) => Inbound::Text(text),
        Some(Ok(Message::Binary(bytes))) => Inbound::Binary(bytes),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Inbound::Control,
        Some(Ok(Message::Close(_) | Message::Frame(_))) => Inbound::Alive,
        Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => Inbound::TooLarge,
        Some(Err(Error::Protocol(error))) => {
            tracing::debug!(%error, "not a WebSocket message");
            Inbound::Broken
        }
        Some(Err(Error::Utf8(_))) => Inbound::Broken,
        Some(Err(_)) | None => Inbound::Gone,
    }
}
