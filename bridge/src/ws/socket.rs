//! One WebSocket as its session sees it: what comes from the client, and what of its own there is to send.
//!
//! A client that does not read blocks only its own writing: reading and the session's clocks go on.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use courant_tls::Socket;
use tokio::io::ReadBuf;

use super::format::Framing;
use super::pace::Pace;
use super::reader::{Inbound, Reader};
use super::shared_socket::SharedSocket;
use crate::outbox::Outbox;
use crate::outbox::flusher::{Flushers, Writer};

/// Bytes that are read from a socket at a time.
const READ_BYTES: usize = 4 << 10;

/// One socket with its outbox.
pub struct FramedSocket {
    socket: Arc<SharedSocket>,
    /// Makes the flusher write.
    flusher: Waker,
    reader: Reader,
    pace: Pace,
    discarding: bool,
}

impl FramedSocket {
    /// Takes over a socket after the handshake, with what was read past it.
    pub fn new(
        socket: Socket,
        read: Bytes,
        outbox: Arc<Outbox>,
        framing: Framing,
        max_message: usize,
        flushers: &Flushers,
    ) -> Self {
        let socket = Arc::new(SharedSocket::new(socket, outbox, framing));
        let shared: Arc<dyn Writer> = socket.clone();
        let flusher = flushers.add(Arc::downgrade(&shared));
        // Something may wait already.
        flusher.wake_by_ref();
        let mut reader = Reader::new(max_message);
        if !read.is_empty() {
            reader.feed(&read);
        }
        Self { socket, flusher, reader, pace: Pace::new(max_message), discarding: false }
    }

    /// Sends a protocol ping as soon as it can be written.
    pub fn ping(&mut self) {
        self.socket.set_ping();
        self.flusher.wake_by_ref();
    }

    /// The next thing from the client. Cancel-safe.
    pub async fn next(&mut self) -> Inbound {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Inbound> {
        if let Err(error) = self.socket.poll_blocked(context, &self.flusher) {
            tracing::debug!(%error, "write failed");
            return Poll::Ready(Inbound::Gone);
        }
        if self.discarding {
            return self.poll_discard(context).map(|()| Inbound::Gone);
        }
        loop {
            let found = self.reader.next_message();
            if let Some(answer) = self.reader.take_answer() {
                self.socket.set_answer(answer);
                self.flusher.wake_by_ref();
            }
            match found {
                Some(found) => {
                    self.discarding = matches!(found, Inbound::TooLarge | Inbound::Broken | Inbound::InvalidText);
                    if found == Inbound::Gone {
                        // The answer to a Close goes out before the socket is dropped.
                        self.socket.flush(&self.flusher);
                    }
                    return Poll::Ready(found);
                }
                None => ready!(self.poll_read(context)),
            }
        }
    }

    /// Gives the reader what has come.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; READ_BYTES];
        let read = ready!(self.poll_bytes(context, &mut scratch));
        self.reader.feed(&scratch[..read]);
        Poll::Ready(())
    }

    /// After a broken message nothing more can be understood. It is still read: closing a socket with unread bytes
    /// makes the kernel reset it, and our last words would be lost.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; READ_BYTES];
        while ready!(self.poll_bytes(context, &mut scratch)) > 0 {}
        Poll::Ready(())
    }

    /// Reads, no faster than a client may send. Nothing is the end: it was closed, or is broken.
    fn poll_bytes(&mut self, context: &mut Context<'_>, scratch: &mut [u8]) -> Poll<usize> {
        ready!(self.pace.poll_ready(context));
        let mut buffer = ReadBuf::new(scratch);
        let read = match ready!(self.socket.poll_read(context, &mut buffer)) {
            Ok(()) => buffer.filled().len(),
            Err(error) => {
                tracing::debug!(%error, "read failed");
                0
            }
        };
        self.pace.spend(read);
        Poll::Ready(read)
    }
}
