//! How messages lie in frames: JSON as text, or MessagePack behind one byte that says whether it is compressed.
//!
//! A push is written in each format once and shared by all who get it; compressing is part of that.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::frame::FrameKind;
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

/// How messages become payloads of frames. That is done outside of all locks that others wait for.
#[derive(Clone, Debug)]
pub struct Framing {
    format: Format,
    above: usize,
    metrics: Metrics,
}

/// What waits to be framed.
#[derive(Debug)]
pub enum Waiting {
    Reply(Utf8Bytes),
    /// A push, and how many of its messages are through.
    Push(Arc<Push>, usize),
}

impl Framing {
    /// Messages of more than `above` bytes are compressed where the format can.
    pub fn new(format: Format, above: usize, metrics: Metrics) -> Self {
        Self { format, above, metrics }
    }

    /// Takes the next message: its kind of frame and its payload.
    pub fn next_frame(&self, waiting: &mut VecDeque<Waiting>) -> Option<(FrameKind, Bytes)> {
        loop {
            match waiting.front_mut()? {
                Waiting::Reply(text) => {
                    let text = std::mem::take(text);
                    waiting.pop_front();
                    return Some(match self.format {
                        Format::Json => (FrameKind::Text, text.into()),
                        Format::MessagePack => (FrameKind::Binary, binary(&text, self.above)),
                    });
                }
                Waiting::Push(push, through) if *through < push.frames.len() => {
                    let index = *through;
                    *through += 1;
                    return Some(match self.format {
                        Format::Json => (FrameKind::Text, push.frames[index].clone().into()),
                        Format::MessagePack => (FrameKind::Binary, self.packed(push)[index].clone()),
                    });
                }
                Waiting::Push(..) => drop(waiting.pop_front()),
            }
        }
    }

    fn packed<'a>(&self, push: &'a Push) -> &'a [Bytes] {
        push.binary.get_or_init(|| {
            self.metrics.encoded_binary.inc();
            push.frames.iter().map(|text| binary(text, self.above)).collect()
        })
    }
}

impl Batch for VecDeque<Waiting> {
    fn reply(&mut self, text: Utf8Bytes) {
        self.push_back(Waiting::Reply(text));
    }

    fn push(&mut self, push: Arc<Push>) {
        self.push_back(Waiting::Push(push, 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode::Kind;

    fn unpacked(frame: &[u8]) -> serde_json::Value {
        rmp_serde::from_slice(&frame[1..]).unwrap()
    }

    fn framing(metrics: Metrics) -> Framing {
        Framing::new(Format::MessagePack, 1024, metrics)
    }

    fn all(framing: &Framing, waiting: &mut VecDeque<Waiting>) -> Vec<Bytes> {
        std::iter::from_fn(|| framing.next_frame(waiting))
            .map(|(kind, payload)| {
                assert_eq!(kind, FrameKind::Binary);
                payload
            })
            .collect()
    }

    #[test]
    fn a_push_is_packed_once_for_all_who_get_it() {
        let push = Arc::new(Push::plain(&"mine".into(), Kind::Mark, &["{\"n\":1}", "{\"n\":2}"]));
        let metrics = Metrics::default();
        let mut taken = Vec::new();
        for _ in 0..100 {
            let mut waiting = VecDeque::new();
            waiting.push(push.clone());
            taken.push(all(&framing(metrics.clone()), &mut waiting));
        }
        assert_eq!(metrics.encoded_binary.get(), 1);
        let [first, second] = &*taken[0] else { panic!("{taken:?}") };
        assert_eq!((unpacked(first)["n"].as_u64(), unpacked(second)["n"].as_u64()), (Some(1), Some(2)));
        // Shared, not copied.
        assert!(taken.iter().all(|all| all[0].as_ptr() == first.as_ptr()));
    }

    #[test]
    fn order_is_kept_between_replies_and_pushes() {
        let mut waiting = VecDeque::new();
        waiting.reply("{\"n\":0}".into());
        waiting.push(Arc::new(Push::plain(&"mine".into(), Kind::Mark, &["{\"n\":1}", "{\"n\":2}"])));
        waiting.reply("{\"n\":3}".into());
        let all = all(&framing(Metrics::default()), &mut waiting);
        let order: Vec<_> = all.iter().map(|frame| unpacked(frame)["n"].clone()).collect();
        assert_eq!(order, [0, 1, 2, 3]);
    }
}
