//! Answers to those who find no place: a few system calls each, without a task, however many come.
//!
//! A connection is answered when its request is there, or a moment later: some clients take an answer that comes before
//! their request for a fault. After that it lingers: a socket that is closed with unread bytes is reset, and the answer
//! would be lost. Those who wait and linger are bounded in number and time; over the number the oldest are closed first, so
//! that the newest still get their answer.

use std::collections::VecDeque;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// How long a request may take before it is answered unread.
pub(super) const UNASKED: Duration = Duration::from_millis(50);
/// How long an answered connection has to read it.
pub(super) const LINGER: Duration = Duration::from_secs(2);
/// What is read and thrown away of one request at a time.
const SCRATCH_BYTES: usize = 4096;
/// Reads in a row: more than 64 KiB is an upload, which is not read to its end for a refusal.
const READS: usize = 16;

/// Connections that wait for their answer or have it. Belongs to the loop that accepts.
pub(super) struct Refusals {
    waiting: VecDeque<Refused>,
    lingering: VecDeque<Refused>,
    /// How many connections both queues may hold together.
    most: usize,
}

struct Refused {
    socket: OwnedFd,
    answer: Bytes,
    due: Instant,
}

/// What was found to read.
#[derive(PartialEq, Eq)]
enum Read {
    Something,
    NothingYet,
    /// The client has closed, or is gone.
    End,
}

impl Refusals {
    pub(super) fn new(most: usize) -> Self {
        Self { waiting: VecDeque::new(), lingering: VecDeque::new(), most: most.max(1) }
    }

    /// Answers with these bytes, now or in a moment, and closes later.
    pub(super) fn refuse(&mut self, socket: TcpStream, answer: Bytes) {
        self.make_room();
        // The runtime need not watch it.
        let socket = match socket.into_std() {
            Ok(socket) => OwnedFd::from(socket),
            Err(error) => return tracing::debug!(%error, "refusal could not be sent"),
        };
        let refused = Refused { socket, answer, due: Instant::now() + UNASKED };
        match refused.read() {
            Read::Something => self.answer(refused),
            Read::NothingYet => self.waiting.push_back(refused),
            Read::End => {}
        }
    }

    /// Waits until something is to be done by [`Self::proceed`]. Cancel-safe.
    pub(super) async fn due(&self) {
        let first = self.waiting.front().into_iter().chain(self.lingering.front()).map(|refused| refused.due).min();
        match first {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
    }

    /// Answers those who have waited and closes those who have lingered long enough.
    pub(super) fn proceed(&mut self) {
        let now = Instant::now();
        let is_due = |refused: &mut Refused| refused.due <= now;
        while let Some(refused) = self.waiting.pop_front_if(is_due) {
            self.answer(refused);
        }
        while let Some(refused) = self.lingering.pop_front_if(is_due) {
            refused.close();
        }
    }

    /// Answers and closes all: their file descriptors are needed, or the listener is gone.
    pub(super) fn close_all(&mut self) {
        while let Some(refused) = self.waiting.pop_front() {
            self.answer(refused);
        }
        self.lingering.drain(..).for_each(Refused::close);
    }

    fn answer(&mut self, mut refused: Refused) {
        if refused.send() {
            refused.due = Instant::now() + LINGER;
            self.lingering.push_back(refused);
        }
    }

    fn make_room(&mut self) {
        while self.waiting.len() + self.lingering.len() >= self.most {
            if let Some(oldest) = self.lingering.pop_front() {
                oldest.close();
            } else if let Some(oldest) = self.waiting.pop_front() {
                self.answer(oldest);
            }
        }
    }
}

impl Refused {
    /// Whether there is somebody to read it. The buffer of a new socket takes the answer whole.
    fn send(&self) -> bool {
        let sent = send(&self.socket, &self.answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        match sent.and_then(|_| shutdown(&self.socket, Shutdown::Write)) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "refusal could not be sent");
                false
            }
        }
    }

    fn read(&self) -> Read {
        let mut scratch = [0; SCRATCH_BYTES];
        let mut found = Read::NothingYet;
        for _ in 0..READS {
            match recv(&self.socket, &mut scratch[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) if found == Read::Something => break,
                Ok((0, _)) => return Read::End,
                Ok(_) => found = Read::Something,
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(_) => return Read::End,
            }
        }
        found
    }

    fn close(self) {
        self.read();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const ANSWER: Bytes = Bytes::from_static(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");

    async fn connected(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    async fn read(client: &mut TcpStream) -> Vec<u8> {
        let mut text = Vec::new();
        client.read_to_end(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn over_the_number_the_oldest_are_closed_first_and_everybody_has_the_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut refusals, mut clients) = (Refusals::new(4), Vec::new());
        for _ in 0..20 {
            let (client, socket) = connected(&listener).await;
            refusals.refuse(socket, ANSWER);
            assert!(refusals.waiting.len() + refusals.lingering.len() <= 4);
            clients.push(client);
        }
        refusals.close_all();
        for client in &mut clients {
            assert_eq!(read(client).await, ANSWER);
        }
        assert!(refusals.waiting.is_empty() && refusals.lingering.is_empty());
    }

    #[tokio::test]
    async fn a_request_is_answered_at_once_and_silence_in_a_moment() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut refusals = Refusals::new(100);
        let (mut asks, socket) = connected(&listener).await;
        asks.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        socket.readable().await.unwrap();
        refusals.refuse(socket, ANSWER);
        assert_eq!((refusals.waiting.len(), refusals.lingering.len()), (0, 1));
        assert_eq!(read(&mut asks).await, ANSWER);
        let (mut silent, socket) = connected(&listener).await;
        refusals.refuse(socket, ANSWER);
        assert_eq!((refusals.waiting.len(), refusals.lingering.len()), (1, 1));
        refusals.due().await;
        refusals.proceed();
        assert_eq!((refusals.waiting.len(), refusals.lingering.len()), (0, 2));
        assert_eq!(read(&mut silent).await, ANSWER);
        let (gone, socket) = connected(&listener).await;
        drop(gone);
        socket.readable().await.unwrap();
        refusals.refuse(socket, ANSWER);
        assert_eq!((refusals.waiting.len(), refusals.lingering.len()), (0, 2));
    }
}
