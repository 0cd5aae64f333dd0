//! What a client sends, as messages. Knows nothing of sockets: bytes go in, messages come out, and now and then a frame that
//! answers one.

use std::io::{Error as IoError, ErrorKind, Read, Result as IoResult, Write};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// tungstenite takes so many bytes at a time and keeps that much for each connection.
const READ_BUFFER: usize = 128;

/// What came from the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbound {
    Text(Utf8Bytes),
    /// A sign of life.
    Alive,
    /// A ping, for which there is an answer, or a pong.
    Control,
    Binary(Bytes),
    TooLarge,
    /// Not what a WebSocket client may send.
    Broken,
    /// A text that is not UTF-8.
    InvalidText,
    /// The connection is over.
    Gone,
}

/// Takes bytes and makes messages of them.
#[derive(Debug)]
pub struct Reader {
    context: WebSocketContext,
    feed: Feed,
}

/// What tungstenite takes for a socket.
#[derive(Debug, Default)]
struct Feed {
    /// Not taken yet, from `taken` on.
    bytes: Vec<u8>,
    taken: usize,
    ended: bool,
    /// Frames that answer pings or a Close.
    answer: Vec<u8>,
}

impl Reader {
    /// Nothing has come yet. Messages are not longer than `max_message` bytes.
    pub fn new(max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), feed: Feed::default() }
    }

    /// Takes what was read; nothing at all is the end of the socket. To be called when there are no more messages.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.feed.bytes.extend_from_slice(bytes);
        self.feed.ended = bytes.is_empty();
    }

    /// The next message; none until more is fed. After [`Inbound::Broken`], [`Inbound::InvalidText`] and [`Inbound::TooLarge`] nothing can be understood any more.
    pub fn next_message(&mut self) -> Option<Inbound> {
        Some(match self.context.read(&mut self.feed) {
            Ok(Message::Text(text)) => Inbound::Text(text),
            Ok(Message::Binary(bytes)) => Inbound::Binary(bytes),
            Ok(Message::Ping(_) | Message::Pong(_)) => Inbound::Control,
            Ok(Message::Close(_) | Message::Frame(_)) => Inbound::Alive,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => Inbound::TooLarge,
            Err(Error::Protocol(_)) if self.feed.ended => Inbound::Gone,
            Err(Error::Protocol(error)) => {
                tracing::debug!(%error, "not a WebSocket message");
                Inbound::Broken
            }
            Err(Error::Utf8(_)) => Inbound::InvalidText,
            Err(_) => Inbound::Gone,
        })
    }

    /// The frame to send for what was read; that of the newest ping, or the one that closes.
    pub fn take_answer(&mut self) -> Option<Vec<u8>> {
        Some(std::mem::take(&mut self.feed.answer)).filter(|answer| !answer.is_empty())
    }
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        let left = &self.bytes[self.taken..];
        if left.is_empty() {
            // Frees what it held: most connections are silent most of the time.
            (self.bytes, self.taken) = (Vec::new(), 0);
            return if self.ended { Ok(0) } else { Err(IoError::from(ErrorKind::WouldBlock)) };
        }
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        Ok(count)
    }
}

impl Write for Feed {
    /// A frame at a time: a newer answer takes the place of one that was not sent yet.
    fn write(&mut self, frame: &[u8]) -> IoResult<usize> {
        self.answer = frame.to_vec();
        Ok(frame.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_tungstenite::tungstenite::WebSocket;

    use super::*;

    const MAX_MESSAGE: usize = 64 << 10;

    /// What a client sends.
    fn bytes(messages: &[Message]) -> Vec<u8> {
        let mut client = WebSocket::from_raw_socket(Cursor::new(Vec::new()), Role::Client, None);
        messages.iter().for_each(|message| client.send(message.clone()).unwrap());
        client.get_ref().get_ref().clone()
    }

    /// What comes of bytes that arrive so many at a time, with the answers between.
    fn read(bytes: &[u8], at_a_time: usize) -> (Vec<Inbound>, Vec<Vec<u8>>) {
        let (mut reader, mut found, mut answers) = (Reader::new(MAX_MESSAGE), Vec::new(), Vec::new());
        for piece in bytes.chunks(at_a_time) {
            reader.feed(piece);
            while let Some(inbound) = reader.next_message() {
                answers.extend(reader.take_answer());
                let over =
                    matches!(inbound, Inbound::Gone | Inbound::Broken | Inbound::InvalidText | Inbound::TooLarge);
                found.push(inbound);
                if over {
                    return (found, answers);
                }
            }
            answers.extend(reader.take_answer());
        }
        (found, answers)
    }

    #[test]
    fn however_bytes_come_the_messages_and_answers_are_the_same() {
        let long = "x".repeat(10_000);
        let sent = [
            Message::text("first"),
            Message::Ping(Bytes::from_static(b"here")),
            Message::text(long.clone()),
            Message::binary(vec![0, 1, 2]),
            Message::Close(None),
        ];
        let inbound = [
            Inbound::Text("first".into()),
            Inbound::Control,
            Inbound::Text(long.into()),
            Inbound::Binary(Bytes::from_static(&[0, 1, 2])),
            Inbound::Alive,
            Inbound::Gone,
        ];
        let bytes = bytes(&sent);
        for at_a_time in [1, 2, 13, 14, 127, 128, 129, 4096, bytes.len()] {
            let (found, answers) = read(&bytes, at_a_time);
            assert_eq!(found, inbound, "{at_a_time} bytes at a time");
            assert_eq!(answers, [b"\x8a\x04here".to_vec(), b"\x88\x00".to_vec()], "{at_a_time} bytes at a time");
        }
    }

    #[test]
    fn what_is_too_long_or_no_frame_is_said_at_once() {
        let long = bytes(&[Message::text("x".repeat(MAX_MESSAGE + 1))]);
        assert_eq!(read(&long[..20], 20).0, [Inbound::TooLarge]);
        // Not masked.
        assert_eq!(read(b"\x81\x02hi", 4).0, [Inbound::Broken]);
        assert_eq!(read(b"GET / HTTP/1.1\r\n", 16).0, [Inbound::Broken]);
    }

    #[test]
    fn the_end_of_a_socket_is_the_end() {
        let mut reader = Reader::new(MAX_MESSAGE);
        assert_eq!(reader.next_message(), None);
        reader.feed(&[]);
        assert_eq!(reader.next_message(), Some(Inbound::Gone));
    }
}
