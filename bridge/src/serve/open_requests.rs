//! The requests of one HTTP/2 connection, until their answers are written: when there was none for long, and which client
//! takes nothing of its answer. With HTTP/1.1 the kernel's and hyper's timeouts do; here a connection has many answers, and
//! one that is not taken must not end the others.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// The requests of one connection, shared by its clones.
#[derive(Clone)]
pub(super) struct OpenRequests(Arc<Shared>);

struct Shared {
    requests: Mutex<Requests>,
    /// The last request has ended.
    emptied: Notify,
}

struct Requests {
    next: u64,
    open: HashMap<u64, Arc<Mutex<Answer>>>,
    idle_since: Instant,
}

/// The answer to a request, as far as it is not written.
struct Answer {
    /// Empty until it is there; none when it was given up.
    body: Option<Body>,
    /// Since when the client has not taken what was written last. None while we have nothing to write.
    unread_since: Option<Instant>,
}

/// A request until its answer is written or given up. Dropping it ends it.
pub(super) struct OpenRequest {
    requests: OpenRequests,
    number: u64,
    answer: Arc<Mutex<Answer>>,
}

impl OpenRequests {
    pub(super) fn new() -> Self {
        let requests = Requests { next: 0, open: HashMap::new(), idle_since: Instant::now() };
        Self(Arc::new(Shared { requests: Mutex::new(requests), emptied: Notify::new() }))
    }

    pub(super) fn begin(&self) -> OpenRequest {
        let answer = Answer { body: Some(Body::empty()), unread_since: None };
        let answer = Arc::new(Mutex::new(answer));
        let mut requests = self.0.requests.lock();
        let number = requests.next;
        requests.next += 1;
        requests.open.insert(number, answer.clone());
        drop(requests);
        OpenRequest { requests: self.clone(), number, answer }
    }

    /// Whether there has been a request.
    pub(super) fn any(&self) -> bool {
        self.0.requests.lock().next > 0
    }

    /// Waits until there was no request for so long.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            let since = {
                let requests = self.0.requests.lock();
                requests.open.is_empty().then_some(requests.idle_since)
            };
            match since.map(|since| since + time) {
                Some(end) if end <= Instant::now() => return,
                Some(end) => sleep_until(end).await,
                None => self.0.emptied.notified().await,
            }
        }
    }

    /// Gives up answers of which the client has taken nothing for so long, or up to twice that. For ever; cancel-safe.
    pub(super) async fn end_stuck(&self, time: Duration) -> Infallible {
        loop {
            sleep(time).await;
            let open: Vec<_> =
                self.0.requests.lock().open.iter().map(|(number, open)| (*number, open.clone())).collect();
            for (number, answer) in open {
                let given_up = answer.lock().give_up(time);
                if given_up.is_some() {
                    tracing::debug!("an answer is given up: the client takes nothing of it");
                    self.end(number);
                }
            }
        }
    }

    fn end(&self, number: u64) {
        let mut requests = self.0.requests.lock();
        if requests.open.remove(&number).is_some() && requests.open.is_empty() {
            requests.idle_since = Instant::now();
            self.0.emptied.notify_one();
        }
    }
}

impl Answer {
    /// What holds the answer's share of everything, if the client has taken nothing for so long.
    fn give_up(&mut self, time: Duration) -> Option<Body> {
        self.unread_since.take_if(|since| since.elapsed() >= time).and_then(|_| self.body.take())
    }
}

impl OpenRequest {
    /// The request lasts until the answer is written.
    pub(super) fn answer(self, answer: Response) -> Response {
        answer.map(|body| {
            self.answer.lock().body = Some(body);
            Body::new(self)
        })
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.requests.end(self.number);
    }
}

/// The body of the answer. Asking for more means that the client has taken what there was.
impl HttpBody for OpenRequest {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut answer = self.answer.lock();
        answer.unread_since = None;
        let Some(body) = &mut answer.body else {
            return Poll::Ready(Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut)))));
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        answer.unread_since = frame.is_some().then(Instant::now);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.answer.lock().body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.lock().body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const TIME: Duration = Duration::from_secs(60);

    fn answer(requests: &OpenRequests, body: Body) -> Body {
        requests.begin().answer(Response::new(body)).into_body()
    }

    fn poll(body: &mut Body) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_after_its_last_answer() {
        let requests = OpenRequests::new();
        let begun = Instant::now();
        let (first, second) = (answer(&requests, "1".into()), requests.begin());
        let idle = requests.idle_for(TIME);
        tokio::join!(idle, async {
            sleep(2 * TIME).await;
            drop(second);
            sleep(2 * TIME).await;
            drop(first);
        });
        assert_eq!(begun.elapsed(), 5 * TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_is_given_up_and_others_go_on() {
        let requests = OpenRequests::new();
        let (sender, pieces) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(1);
        let held = sender.clone();
        let mut stalled = answer(&requests, Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(pieces)));
        let mut waits = answer(&requests, Body::from_stream(futures::stream::pending::<io::Result<Bytes>>()));
        sender.try_send(Ok("piece".into())).unwrap();
        assert!(matches!(poll(&mut stalled), Poll::Ready(Some(Ok(_)))) && poll(&mut waits).is_pending());
        let begun = Instant::now();
        tokio::select! {
            never = requests.end_stuck(TIME) => match never {},
            () = held.closed() => {}
        }
        assert!(begun.elapsed() >= TIME && begun.elapsed() <= 2 * TIME);
        assert!(matches!(poll(&mut stalled), Poll::Ready(Some(Err(_)))));
        assert!(poll(&mut waits).is_pending());
        assert_eq!(requests.0.requests.lock().open.len(), 1);
        drop(waits);
        requests.idle_for(TIME).await;
    }
}
