//! How messages lie in frames: JSON as text, or MessagePack behind one byte that says whether it is compressed.
//!
//! A push is written in each format once and shared by all who get it; compressing is part of that.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::metrics::Metrics;
use crate::outbox::Batch;
use crate::wire::encode::Push;
use crate::wire::packed::binary;

/// The format of the messages on a connection.
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
                    let index = *through;
                    *through += 1;
                    return Some(match self.format {
                        Format::Json => Message::Text(push.frames[index].clone()),
                        Format::MessagePack => {
                            let all = push.binary.get_or_init(|| {
                                self.metrics.encoded_binary.inc();
                                push.frames.iter().map(|text| binary(text, self.above)).collect()
                            });
                            Message::Binary(all[index].clone())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode::Kind;

    fn unpacked(frame: &[u8]) -> serde_json::Value {
        rmp_serde::from_slice(&frame[1..]).unwrap()
    }

    fn frames() -> Frames {
        Frames::new(Format::MessagePack, 1024, Metrics::default())
    }

    #[test]
    fn a_push_is_packed_once_for_all_who_get_it() {
        let push = Arc::new(Push::plain(&"mine".into(), Kind::Mark, &["{\"n\":1}", "{\"n\":2}"]));
        let metrics = Metrics::default();
        let mut taken = Vec::new();
        for _ in 0..100 {
            let mut frames = Frames::new(Format::MessagePack, 1024, metrics.clone());
            frames.push(push.clone());
            taken.push([frames.next(), frames.next(), frames.next()]);
        }
        assert_eq!(metrics.encoded_binary.get(), 1);
        let [Some(Message::Binary(first)), Some(Message::Binary(second)), None] = &taken[0] else {
            panic!("{taken:?}")
        };
        assert_eq!((unpacked(first)["n"].as_u64(), unpacked(second)["n"].as_u64()), (Some(1), Some(2)));
        // Shared, not copied.
        assert!(
            taken.iter().all(|all| matches!(&all[0], Some(Message::Binary(found)) if found.as_ptr() == first.as_ptr()))
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
}
