//! One socket, and what is on the way into it. Its session reads; the [flusher](crate::outbox::flusher) writes, at once for all
//! connections that have something waiting. While a client does not read, its session goes on writing as the socket takes more.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes};
use courant_tls::Socket;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::format::{Framing, Waiting};
use super::frame::{self, FrameKind};
use crate::outbox::flusher::{Writer, Written};
use crate::outbox::{Outbox, Taken};

/// Gathered before it is written.
const WRITE_BYTES: usize = 32 << 10;
/// A longer payload is written from where it lies, shared by all who get it; a shorter one is copied among others.
const LONG_PAYLOAD: usize = 8 << 10;
/// Written to one socket before others get a turn.
const TURN_BYTES: usize = 256 << 10;

thread_local! {
    /// Where frames are gathered; empty between writes.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    waiting: VecDeque<Waiting>,
}

/// A socket with its outbox.
pub struct SharedSocket {
    outbox: Arc<Outbox>,
    framing: Framing,
    inner: Mutex<Inner>,
    /// Woken when there is something to do that the flusher cannot.
    session: AtomicWaker,
}

struct Inner {
    socket: Socket,
    /// Taken from the outbox, not in frames yet. Holds something only while the client does not read.
    waiting: VecDeque<Waiting>,
    /// Bytes that the socket did not take, and the payload after them.
    unsent: [Bytes; 2],
    /// A pong, or the answer to a Close; it begins with the next frame.
    answer: Option<Vec<u8>>,
    ping: bool,
    unflushed: bool,
    /// The socket takes nothing, or the flusher has used up its share of the thread, which tokio shows in the same way: the session
    /// waits until the socket takes more, and writes.
    blocked: bool,
    state: State,
}

/// How far the writing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// There was a Close, the last frame.
    Closed,
    /// The socket is broken.
    Failed,
}

impl SharedSocket {
    pub fn new(socket: Socket, outbox: Arc<Outbox>, framing: Framing) -> Self {
        let inner = Inner {
            socket,
            waiting: VecDeque::new(),
            unsent: [Bytes::new(), Bytes::new()],
            answer: None,
            ping: false,
            unflushed: false,
            blocked: false,
            state: State::Open,
        };
        Self { outbox, framing, inner: Mutex::new(inner), session: AtomicWaker::new() }
    }

    /// Asks for a ping to be written. Wakes nobody.
    pub fn set_ping(&self) {
        self.inner.lock().ping = true;
    }

    /// Asks for an answer to be written. One that waits already gives way.
    pub fn set_answer(&self, frame: Vec<u8>) {
        self.inner.lock().answer = Some(frame);
    }

    /// Goes on writing for a client that did not read, once it does. Registers the session for when that is needed.
    pub fn poll_blocked(&self, context: &mut Context<'_>, flusher: &Waker) -> Result<()> {
        self.session.register(context.waker());
        let mut inner = self.inner.lock();
        if std::mem::take(&mut inner.blocked) && self.write(&mut inner, context, flusher) == Written::More {
            flusher.wake_by_ref();
        }
        if inner.state == State::Failed { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Reads what has come, for the session alone.
    pub fn poll_read(&self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner.lock().socket).poll_read(context, into)
    }

    fn write(&self, inner: &mut Inner, socket: &mut Context<'_>, flusher: &Waker) -> Written {
        let turn = SCRATCH.with_borrow_mut(|scratch| {
            inner.lend(&mut scratch.waiting);
            let turn = self.poll_turn(inner, socket, flusher, &mut scratch.bytes);
            inner.give_back(&mut scratch.waiting);
            scratch.bytes.clear();
            scratch.bytes.shrink_to(2 * WRITE_BYTES);
            turn
        });
        match turn {
            Poll::Ready(Ok(written)) => written,
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "write failed");
                inner.state = State::Failed;
                Written::Blocked
            }
            Poll::Pending => {
                inner.blocked = true;
                Written::Blocked
            }
        }
    }

    fn poll_turn(
        &self,
        inner: &mut Inner,
        socket: &mut Context<'_>,
        flusher: &Waker,
        bytes: &mut Vec<u8>,
    ) -> Poll<Result<Written>> {
        let mut total = 0;
        loop {
            ready!(inner.poll_unsent(socket))?;
            if total >= TURN_BYTES {
                return Poll::Ready(Ok(Written::More));
            }
            bytes.clear();
            inner.unsent[1] = self.gather(inner, flusher, bytes);
            if bytes.is_empty() {
                return inner.poll_flush(socket).map_ok(|()| Written::All);
            }
            total += bytes.len() + inner.unsent[1].len();
            let written = inner.poll_write(socket, bytes)?;
            if written < bytes.len() {
                inner.unsent[0] = Bytes::copy_from_slice(&bytes[written..]);
            }
        }
    }

    /// Puts frames together; the payload of the last one is returned if it is long.
    fn gather(&self, inner: &mut Inner, flusher: &Waker, bytes: &mut Vec<u8>) -> Bytes {
        if inner.state == State::Closed {
            return Bytes::new();
        }
        if let Some(answer) = inner.answer.take() {
            bytes.extend_from_slice(&answer);
            if answer.first() == Some(&(FrameKind::Close as u8)) {
                inner.close();
                return Bytes::new();
            }
        }
        if std::mem::take(&mut inner.ping) {
            frame::append(bytes, FrameKind::Ping, &[]);
        }
        while bytes.len() < WRITE_BYTES {
            if let Some((kind, payload)) = self.framing.next_frame(&mut inner.waiting) {
                frame::append_header(bytes, kind, payload.len());
                if payload.len() >= LONG_PAYLOAD {
                    return payload;
                }
                bytes.extend_from_slice(&payload);
                continue;
            }
            match self.outbox.take(&mut inner.waiting, &Context::from_waker(flusher)) {
                Taken::Some => {}
                Taken::Nothing => break,
                Taken::End(reason) => {
                    frame::append_close(bytes, &reason);
                    inner.close();
                    break;
                }
            }
        }
        Bytes::new()
    }
}

impl Writer for SharedSocket {
    fn flush(&self, flusher: &Waker) -> Written {
        let mut inner = self.inner.lock();
        if inner.blocked || inner.state == State::Failed {
            return Written::Blocked;
        }
        let written = self.write(&mut inner, &mut Context::from_waker(Waker::noop()), flusher);
        if written == Written::Blocked {
            self.session.wake();
        }
        written
    }
}

impl Inner {
    /// Takes a queue with room, to be given back when it is empty: few connections need one of their own.
    fn lend(&mut self, queue: &mut VecDeque<Waiting>) {
        if self.waiting.is_empty() {
            self.waiting = std::mem::take(queue);
        }
    }

    fn give_back(&mut self, queue: &mut VecDeque<Waiting>) {
        if self.waiting.is_empty() {
            *queue = std::mem::take(&mut self.waiting);
        }
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.waiting.clear();
    }

    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        for unsent in &mut self.unsent {
            while !unsent.is_empty() {
                match ready!(Pin::new(&mut self.socket).poll_write(context, unsent))? {
                    0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    written => unsent.advance(written),
                }
            }
            *unsent = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    /// How many of the bytes the socket has taken.
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() {
            match Pin::new(&mut self.socket).poll_write(context, &bytes[taken..]) {
                Poll::Ready(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
                Poll::Ready(written) => taken += written?,
                Poll::Pending => break,
            }
        }
        self.unflushed = true;
        Ok(taken)
    }

    /// Hands on what TLS still holds.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
