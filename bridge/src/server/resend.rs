//! Sends a request again that the server has not seen: a connection that a stopping server closes may be chosen for it in the very
//! moment in which that is heard of.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tower::{Service, ServiceExt};

/// How often in all: each time the next server, or this one again, may just be stopping too.
const TIMES: usize = 4;

/// A channel whose requests are sent again when it is sure that the server has not seen them.
#[derive(Clone, Debug)]
pub struct Resend(Channel);

impl Resend {
    pub(super) fn new(channel: Channel) -> Self {
        Self(channel)
    }
}

impl Service<Request<Body>> for Resend {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    /// The channel is waited for with each request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(send(self.0.clone(), request))
    }
}

async fn send(channel: Channel, request: Request<Body>) -> Result<Response<Body>, Error> {
    let (parts, body) = request.into_parts();
    let body = ReplayedBody::new(body);
    let request = || Request::from_parts(parts.clone(), Body::new(body.again()));
    for _ in 1..TIMES {
        match channel.clone().oneshot(request()).await {
            Err(error) if was_not_seen(&error) && body.is_whole() => {
                tracing::debug!(%error, "sending a request again that the server has not seen");
            }
            answered => return answered,
        }
    }
    channel.oneshot(request()).await
}

/// Whether the server cannot have seen it: it was dropped before it was sent, its stream was refused, or is beyond those that a
/// server that closes the connection takes (RFC 9113, 6.8 and 8.7).
fn was_not_seen(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let is_dropped = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
        let is_refused = error.downcast_ref::<h2::Error>().is_some_and(|error| match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => true,
            Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
            _ => false,
        });
        if is_dropped || is_refused {
            return true;
        }
        source = error.source();
    }
    false
}

/// A body that can be read again from its beginning, until more than [`KEPT_BYTES`] of it were read.
struct ReplayedBody {
    shared: Arc<Mutex<Kept>>,
    /// Which of the kept pieces comes next.
    next: usize,
}

/// A request that is no stream is smaller by far.
const KEPT_BYTES: usize = 16 << 10;

struct Kept {
    body: UnsyncBoxBody<Bytes, Status>,
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Something was read that was not kept.
    is_cut: bool,
    is_over: bool,
}

impl ReplayedBody {
    fn new(body: Body) -> Self {
        let body = UnsyncBoxBody::new(body);
        let kept = Kept { body, pieces: Vec::new(), bytes: 0, is_cut: false, is_over: false };
        Self { shared: Arc::new(Mutex::new(kept)), next: 0 }
    }

    /// The same from its beginning.
    fn again(&self) -> Self {
        Self { shared: self.shared.clone(), next: 0 }
    }

    fn is_whole(&self) -> bool {
        !self.shared.lock().is_cut
    }
}

impl Kept {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &polled {
            Some(Ok(frame)) => match frame.data_ref().filter(|data| self.bytes + data.len() <= KEPT_BYTES) {
                Some(data) if !self.is_cut => {
                    self.bytes += data.len();
                    self.pieces.push(data.clone());
                }
                _ => self.is_cut = true,
            },
            Some(Err(_)) => self.is_cut = true,
            None => self.is_over = true,
        }
        Poll::Ready(polled)
    }
}

impl HttpBody for ReplayedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let shared = self.shared.clone();
        let mut kept = shared.lock();
        if let Some(piece) = kept.pieces.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let polled = ready!(kept.poll(context));
        self.next = kept.pieces.len();
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        let kept = self.shared.lock();
        self.next >= kept.pieces.len() && (kept.is_over || kept.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.shared.lock();
        if kept.bytes == 0 { kept.body.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpListener;
    use tonic::transport::Endpoint;

    use super::*;

    /// Refuses what comes on the first two connections, as a server that stops; answers with what came on the third.
    async fn serve(listener: TcpListener) {
        for number in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            if number < 2 {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                let (_, mut respond) = connection.accept().await.unwrap().unwrap();
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                connection.graceful_shutdown();
                while connection.accept().await.is_some() {}
                continue;
            }
            let repeat = hyper::service::service_fn(async |request: Request<hyper::body::Incoming>| {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(socket), repeat));
        }
    }

    fn request(address: &str, text: &'static [u8]) -> Request<Body> {
        let body = Body::new(Full::new(Bytes::from_static(text)).map_err(|never| match never {}));
        Request::post(address).body(body).unwrap()
    }

    #[tokio::test]
    async fn what_was_refused_unseen_is_sent_again_whole_and_nothing_that_was_not_kept() {
        static LARGE: [u8; KEPT_BYTES + 1] = [b'x'; KEPT_BYTES + 1];
        for (text, arrives) in [(&b"once"[..], true), (&LARGE[..], false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(serve(listener));
            let channel = Endpoint::from_shared(address.clone()).unwrap().connect_lazy();
            match Resend::new(channel).oneshot(request(&address, text)).await {
                Ok(answer) => assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), text),
                Err(error) => assert!(!arrives, "{error:?}"),
            }
        }
    }
}
