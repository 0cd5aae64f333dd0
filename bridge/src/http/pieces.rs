//! The pieces of a document between a request and a call of the server.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

/// Pieces on their way to the server. When they are in flight, the browser's upload waits.
pub const IN_FLIGHT: usize = 4;

enum Item {
    Chunk(Bytes),
    End,
}

/// Where the pieces go in.
pub struct PieceSender(mpsc::Sender<Item>);

/// Where they come out, for a call. Ends only when that was said; a sender that is dropped leaves it open, so that half a document is
/// never taken for a whole one.
pub struct Pieces(mpsc::Receiver<Item>);

pub fn pipe() -> (PieceSender, Pieces) {
    let (sender, pieces) = mpsc::channel(IN_FLIGHT);
    (PieceSender(sender), Pieces(pieces))
}

impl PieceSender {
    /// `false` when nobody takes it any more: the server has answered already.
    pub async fn send(&self, chunk: Bytes) -> bool {
        self.0.send(Item::Chunk(chunk)).await.is_ok()
    }

    /// It was all.
    pub async fn end(&self) {
        // When nobody takes it any more, the server has answered already.
        let _ = self.0.send(Item::End).await;
    }
}

impl Stream for Pieces {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match ready!(self.0.poll_recv(context)) {
            Some(Item::Chunk(chunk)) => Poll::Ready(Some(chunk)),
            Some(Item::End) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
