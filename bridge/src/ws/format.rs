//! How messages lie in frames: JSON as text, or MessagePack behind one byte that says whether it is compressed.
//!
//! A push is written in each format once and shared by all who get it; compressing is part of that.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::connection::outbox::Batch;
use crate::metrics::Metrics;
use crate::wire::encode::Push;

/// What follows is MessagePack.
pub const PLAIN: u8 = 0;
/// What follows is MessagePack, compressed as raw DEFLATE (RFC 1951).
pub const DEFLATED: u8 = 1;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `courant.v1.json`
    Json,
    /// `courant.v1.msgpack`
    MessagePack,
}

/// What waits to be framed. Framing is done outside of all locks.
#[derive(Debug)]
pub struct Frames {
    format: Format,
    above: usize,
    metrics: Metrics,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
enum Waiting {
    Reply(Utf8Bytes),
    /// A push, and how many of its messages are through.
    Push(Arc<Push>, usize),
}

impl Frames {
    /// None yet. Messages of more than `above` bytes are compressed where the format can.
    pub fn new(format: Format, above: usize, metrics: Metrics) -> Self {
        Self { format, above, metrics, waiting: VecDeque::new() }
    }
}

impl Iterator for Frames {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        loop {
            match self.waiting.front_mut()? {
                Waiting::Reply(text) => {
                    let text = std::mem::take(text);
                    self.waiting.pop_front();
                    return Some(match self.format {
                        Format::Json => Message::Text(text),
                        Format::MessagePack => Message::Binary(binary(&text, self.above)),
                    });
                }
                Waiting::Push(push, through) if *through < push.frames.len() => {
                    let place = *through;
                    *through += 1;
                    return Some(match self.format {
                        Format::Json => Message::Text(push.frames[place].clone()),
                        Format::MessagePack => {
                            let all = push.binary.get_or_init(|| {
                                self.metrics.encoded_binary.inc();
                                push.frames.iter().map(|text| binary(text, self.above)).collect()
                            });
                            Message::Binary(all[place].clone())
                        }
                    });
                }
                Waiting::Push(..) => drop(self.waiting.pop_front()),
            }
        }
    }
}

impl Batch for Frames {
    fn reply(&mut self, text: Utf8Bytes) {
        self.waiting.push_back(Waiting::Reply(text));
    }

    fn push(&mut self, push: Arc<Push>) {
        self.waiting.push_back(Waiting::Push(push, 0));
    }
}

/// The same message as MessagePack in its frame. Made of the JSON, so that the two cannot say different things.
pub fn binary(json: &str, above: usize) -> Bytes {
    match packed(json) {
        Ok(packed) if packed.len() > above => deflated(&packed).unwrap_or_else(|| framed(PLAIN, &packed)).into(),
        Ok(packed) => framed(PLAIN, &packed).into(),
        Err(error) => {
            tracing::error!(%error, "a message could not be packed");
            Bytes::from_static(&[PLAIN, 0x80])
        }
    }
}

fn packed(json: &str) -> anyhow::Result<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_str(json)?;
    Ok(rmp_serde::to_vec_named(&value)?)
}

fn framed(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], content].concat()
}

/// None when it does not become smaller.
fn deflated(packed: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(vec![DEFLATED], Compression::default());
    encoder.write_all(packed).ok()?;
    encoder.finish().ok().filter(|small| small.len() <= packed.len())
}

/// What a client's binary frame holds. Clients do not compress: what they say is short, and what they could make it
/// grow to is not.
pub fn unframed(frame: &[u8]) -> Result<&[u8], &'static str> {
    match frame.split_first() {
        Some((&PLAIN, packed)) => Ok(packed),
        Some((&DEFLATED, _)) => Err("compressed messages are not taken; begin with a byte 0"),
        Some(_) | None => Err("a binary message begins with a byte 0, MessagePack follows"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::wire::encode::Kind;

    fn unpacked(frame: &[u8]) -> serde_json::Value {
        let mut plain = Vec::new();
        let packed = match frame[0] {
            DEFLATED => {
                flate2::read::DeflateDecoder::new(&frame[1..]).read_to_end(&mut plain).unwrap();
                plain.as_slice()
            }
            _ => &frame[1..],
        };
        rmp_serde::from_slice(packed).unwrap()
    }

    fn frames() -> Frames {
        Frames::new(Format::MessagePack, 1024, Metrics::default())
    }

    #[test]
    fn what_is_packed_says_the_same() {
        for json in [
            r#"{"type":"pong","id":9007199254740991}"#,
            r#"{"a":null,"b":[true,-1,0.5,100.0],"c":{"é":"\u0000\ud83d\ude00"}}"#,
        ] {
            let frame = binary(json, 1024);
            assert_eq!(frame[0], PLAIN);
            assert_eq!(unpacked(&frame), serde_json::from_str::<serde_json::Value>(json).unwrap());
        }
        // Whole percents stay numbers with a point where they were such.
        assert_eq!(unpacked(&binary("[100.0]", 9)).to_string(), "[100.0]");
    }

    #[test]
    fn only_long_messages_are_compressed_and_only_if_it_helps() {
        let words = format!("[\"{}\"]", "courant ".repeat(1000));
        let frame = binary(&words, 1024);
        assert!(frame[0] == DEFLATED && frame.len() < 200, "{}", frame.len());
        assert_eq!(unpacked(&frame), serde_json::from_str::<serde_json::Value>(&words).unwrap());
        assert_eq!(binary(&words, 100_000)[0], PLAIN);
        let noise: String = (0..3000).map(|_| printable()).collect();
        let frame = binary(&format!("[\"{noise}\"]"), 1024);
        assert_eq!(unpacked(&frame), serde_json::json!([noise]));
    }

    fn printable() -> char {
        let mut byte = [0];
        getrandom::fill(&mut byte).unwrap();
        char::from(b'!' + byte[0] % 94).to_string().replace(['"', '\\'], "x").remove(0)
    }

    #[test]
    fn a_push_is_packed_once_for_all_who_get_it() {
        let push = Arc::new(Push::plain(&"mine".into(), Kind::Mark, &["{\"n\":1}", "{\"n\":2}"]));
        let metrics = Metrics::default();
        let mut said = Vec::new();
        for _ in 0..100 {
            let mut frames = Frames::new(Format::MessagePack, 1024, metrics.clone());
            frames.push(push.clone());
            said.push([frames.next(), frames.next(), frames.next()]);
        }
        assert_eq!(metrics.encoded_binary.get(), 1);
        let [Some(Message::Binary(first)), Some(Message::Binary(second)), None] = &said[0] else { panic!("{said:?}") };
        assert_eq!((unpacked(first)["n"].as_u64(), unpacked(second)["n"].as_u64()), (Some(1), Some(2)));
        // Shared, not copied.
        assert!(
            said.iter().all(|all| matches!(&all[0], Some(Message::Binary(found)) if found.as_ptr() == first.as_ptr()))
        );
    }

    #[test]
    fn order_is_kept_between_replies_and_pushes() {
        let mut frames = frames();
        frames.reply("{\"n\":0}".into());
        frames.push(Arc::new(Push::plain(&"mine".into(), Kind::Mark, &["{\"n\":1}", "{\"n\":2}"])));
        frames.reply("{\"n\":3}".into());
        let order: Vec<_> = frames.map(|frame| unpacked(&frame.into_data())["n"].clone()).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }

    #[test]
    fn clients_say_plainly_what_they_say() {
        assert_eq!(unframed(&[PLAIN, 0x80]), Ok(&[0x80][..]));
        for bad in [&[][..], &[DEFLATED, 3, 0], &[2], &[0x80]] {
            assert!(unframed(bad).is_err(), "{bad:?}");
        }
    }
}
