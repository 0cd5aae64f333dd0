//! Sends a request again that the server has not seen: a connection that a stopping server closes may be chosen for it in the very
//! moment in which that is heard of.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

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
    let body = SharedBody::new(body);
    let request = || Request::from_parts(parts.clone(), Body::new(body.clone()));
    for _ in 1..TIMES {
        match channel.clone().oneshot(request()).await {
            Err(error) if was_not_sent(&error) && !body.is_read() => {
                tracing::debug!(%error, "sending a request again that the server has not seen");
            }
            answered => return answered,
        }
    }
    channel.oneshot(request()).await
}

/// Whether the server cannot have seen it.
fn was_not_sent(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let dropped = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
        let reason = error.downcast_ref::<h2::Error>().and_then(h2::Error::reason);
        if dropped || reason == Some(h2::Reason::REFUSED_STREAM) {
            return true;
        }
        source = error.source();
    }
    false
}

/// A body that can be taken back for as long as nothing of it was read.
#[derive(Clone)]
struct SharedBody(Arc<Shared>);

struct Shared {
    body: Mutex<UnsyncBoxBody<Bytes, Status>>,
    read: AtomicBool,
}

impl SharedBody {
    fn new(body: Body) -> Self {
        Self(Arc::new(Shared { body: Mutex::new(UnsyncBoxBody::new(body)), read: AtomicBool::new(false) }))
    }

    fn is_read(&self) -> bool {
        self.0.read.load(Ordering::Relaxed)
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.read.store(true, Ordering::Relaxed);
        Pin::new(&mut *self.0.body.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.body.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.body.lock().size_hint()
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

    #[tokio::test]
    async fn what_was_refused_unseen_is_sent_again_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener));
        let channel = Endpoint::from_shared(address.clone()).unwrap().connect_lazy();
        let body = Body::new(Full::new(Bytes::from_static(b"once")).map_err(|never| match never {}));
        let request = Request::post(address).body(body).unwrap();
        let answer = Resend::new(channel).oneshot(request).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "once");
    }
}
