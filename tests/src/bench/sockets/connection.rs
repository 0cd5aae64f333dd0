//! One connection of a browser: opened, greeted, and then read as raw bytes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::endpoint::{Endpoint, Greeting};
use super::frames::{self, CLOSE, PING, PONG, Partial, TEXT};
use super::recorder::{Recorder, Shared};
use super::stamp::{self, position};

/// The longest a connection may take until it is ready.
const OPENING: Duration = Duration::from_secs(30);
/// A key of a handshake and its answer, from RFC 6455. That it never changes is no matter to a server.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Client addresses in use, 127.0.0.2 and on: one has some 28,000 ports, and of those that were closed each is kept for a minute.
const ADDRESSES: u8 = 16;
/// The most bytes of an answer to the handshake.
const MOST_HEAD: usize = 16 << 10;

/// An open connection.
pub struct Connection {
    stream: TcpStream,
    partial: Partial,
    /// The newest cursor, where the endpoint has cursors: where to continue.
    pub cursor: Option<String>,
    /// Whether the server said that it continues from a cursor.
    pub resumed: bool,
}

/// What a read left to do.
#[derive(Default)]
struct Read {
    answers: Vec<u8>,
    ready: bool,
    closed: Option<String>,
}

impl Read {
    /// A message before the connection is ready.
    fn begin(&mut self, end: &Endpoint, payload: &[u8]) {
        self.ready = end.ready.as_ref().is_none_or(|ready| position(payload, ready).is_some());
        if end.refusals.iter().any(|refusal| position(payload, refusal).is_some()) {
            self.closed.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
        }
    }
}

impl Connection {
    /// Opens the connection with this number and waits until it is ready.
    pub async fn open(end: &Endpoint, greeting: &Greeting, number: usize, shared: &Shared) -> anyhow::Result<Self> {
        let opening = Self::open_in_time(end, greeting, number, shared);
        match tokio::time::timeout(OPENING, opening).await {
            Ok(opened) => opened,
            Err(_) => bail!("not ready within {OPENING:?}"),
        }
    }

    async fn open_in_time(end: &Endpoint, greeting: &Greeting, number: usize, shared: &Shared) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        let last = 2 + u8::try_from(number % usize::from(ADDRESSES))?;
        if let Some(bytes) = end.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0))?;
        let mut stream = socket.connect(end.address).await?;
        stream.set_nodelay(true)?;
        let more = upgrade(&mut stream, end, &greeting.path).await?;
        let mut connection = Self { stream, partial: Partial::default(), cursor: None, resumed: false };
        let mut first = Vec::new();
        greeting.messages.iter().for_each(|message| frames::write(TEXT, message.as_bytes(), &mut first));
        connection.stream.write_all(&first).await?;
        let mut read = Read { ready: end.ready.is_none(), ..Read::default() };
        connection.take(&more, end, &mut shared.lock(), &mut read)?;
        while !read.ready {
            connection.answer(&mut read).await?;
            connection.read(end, shared, &mut read).await?;
            if let Some(reason) = &read.closed {
                bail!("{reason}");
            }
        }
        connection.answer(&mut read).await?;
        Ok(connection)
    }

    /// Reads until the server closes; gives back why it did.
    pub async fn until_closed(&mut self, end: &Endpoint, shared: &Shared) -> String {
        let mut read = Read { ready: true, ..Read::default() };
        loop {
            let done = match self.read(end, shared, &mut read).await {
                Ok(()) => self.answer(&mut read).await,
                Err(error) => Err(error),
            };
            match (done, read.closed.take()) {
                (_, Some(reason)) => return reason,
                (Err(error), None) => return format!("{error:#}"),
                (Ok(()), None) => {}
            }
        }
    }

    /// Reads what is there, as soon as there is something.
    async fn read(&mut self, end: &Endpoint, shared: &Shared, read: &mut Read) -> anyhow::Result<()> {
        std::future::poll_fn(|context| {
            let mut recorder = shared.lock();
            let mut buffer = std::mem::take(&mut recorder.buffer);
            let mut space = ReadBuf::new(&mut buffer);
            let polled = Pin::new(&mut self.stream).poll_read(context, &mut space);
            let taken = match polled {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(())) if space.filled().is_empty() => {
                    read.closed.get_or_insert_with(|| "it ended without a close frame".to_owned());
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Ok(())) => Poll::Ready(self.take(space.filled(), end, &mut recorder, read)),
            };
            recorder.buffer = buffer;
            taken
        })
        .await
    }

    /// Takes down what bytes complete.
    fn take(&mut self, bytes: &[u8], end: &Endpoint, recorder: &mut Recorder, read: &mut Read) -> anyhow::Result<()> {
        let Self { partial, cursor, resumed, .. } = self;
        let now = stamp::now();
        partial.read(bytes, |opcode, payload| match opcode {
            PING => frames::write(PONG, payload, &mut read.answers),
            PONG => {}
            CLOSE => {
                read.closed.get_or_insert_with(|| close_reason(payload));
            }
            _ => {
                recorder.message(payload, now);
                if !read.ready {
                    read.begin(end, payload);
                }
                if let Some((_, answer)) = end.replies.iter().find(|(asked, _)| asked == payload) {
                    frames::write(TEXT, answer, &mut read.answers);
                }
                if end.cursors {
                    *resumed |= position(payload, br#""mode":"resumed""#).is_some();
                    *cursor = text_after(payload, br#""cursor":""#).or_else(|| cursor.take());
                }
            }
        })
    }

    async fn answer(&mut self, read: &mut Read) -> anyhow::Result<()> {
        if !read.answers.is_empty() {
            self.stream.write_all(&read.answers).await?;
            read.answers.clear();
        }
        Ok(())
    }
}

/// The code and the text of a close frame.
fn close_reason(payload: &[u8]) -> String {
    match payload {
        [a, b, text @ ..] => {
            format!("close frame {} {}", u16::from_be_bytes([*a, *b]), String::from_utf8_lossy(text)).trim().to_owned()
        }
        _ => "close frame without a code".to_owned(),
    }
}

/// What stands between this and the next quotation mark.
fn text_after(payload: &[u8], before: &[u8]) -> Option<String> {
    let rest = &payload[position(payload, before)? + before.len()..];
    let length = rest.iter().position(|byte| *byte == b'"')?;
    Some(String::from_utf8_lossy(&rest[..length]).into_owned())
}

/// The handshake; gives back what came behind its answer.
async fn upgrade(stream: &mut TcpStream, end: &Endpoint, path: &str) -> anyhow::Result<Vec<u8>> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{}\r\n",
        end.address, end.headers
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    let head = loop {
        ensure!(answer.len() < MOST_HEAD, "the answer to the handshake has more than {MOST_HEAD} bytes");
        ensure!(stream.read_buf(&mut answer).await? > 0, "the server closed before it answered the handshake");
        if let Some(at) = position(&answer, b"\r\n\r\n") {
            break at + 4;
        }
    };
    let more = answer.split_off(head);
    let head = String::from_utf8_lossy(&answer);
    let status = head.lines().next().context("an empty answer")?;
    ensure!(status.starts_with("HTTP/1.1 101") && head.contains(ACCEPT), "the handshake was answered with {status:?}");
    Ok(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_what_stands_between_its_quotation_marks() {
        let found = |text: &str| text_after(text.as_bytes(), br#""cursor":""#);
        assert_eq!(found(r#"{"type":"live","cursor":"Y3Vy","x":"y"}"#).as_deref(), Some("Y3Vy"));
        assert_eq!(found(r#"{"type":"subscribed","cursor":null}"#), None);
        assert_eq!(found(r#"{"cursor":"cut"#), None);
    }

    #[test]
    fn why_a_server_closed_is_said_with_its_code() {
        assert_eq!(close_reason(b"\x11\x9cTOO_SLOW"), "close frame 4508 TOO_SLOW");
        assert_eq!(close_reason(b"\x03\xe8"), "close frame 1000");
        assert_eq!(close_reason(b""), "close frame without a code");
    }
}
