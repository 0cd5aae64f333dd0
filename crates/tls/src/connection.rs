//! A connection of a gRPC server: it counts until it ends, and ends when it has had no call for long.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tower::{Layer, Service};

use crate::Socket;
use crate::limits::Permit;

/// What every HTTP/2 client sends first (RFC 9113, section 3.4).
pub(crate) const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that has sent its first bytes, which are read from it once more.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    /// What has come of it before it was served, until that is read.
    first: Bytes,
    calls: Calls,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    _permit: Permit,
}

impl Connection {
    pub(crate) fn new(socket: Socket, first: Bytes, permit: Permit, idle: Duration) -> Self {
        let timer = Box::pin(sleep(idle));
        Self { socket, first, calls: Calls::default(), idle, timer, _permit: permit }
    }

    /// Whether there was no call for too long. Otherwise asks again when that may be so.
    fn is_idle(&mut self, context: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let end = self.calls.quiet_since().map_or(now, |since| since) + self.idle;
            if end <= now {
                return true;
            }
            self.timer.as_mut().reset(end);
        }
        false
    }
}

/// The calls of one connection. Cloning shares.
#[derive(Clone, Debug)]
struct Calls(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    calls: usize,
    quiet_since: Instant,
}

impl Default for Calls {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Open { calls: 0, quiet_since: Instant::now() })))
    }
}

impl Calls {
    fn begin(&self) -> Call {
        self.0.lock().calls += 1;
        Call(self.clone())
    }

    /// None while there is a call.
    fn quiet_since(&self) -> Option<Instant> {
        let open = self.0.lock();
        (open.calls == 0).then_some(open.quiet_since)
    }
}

/// A call, until its answer has been sent or given up.
struct Call(Calls);

impl Drop for Call {
    fn drop(&mut self) {
        let mut open = self.0.0.lock();
        open.calls -= 1;
        open.quiet_since = Instant::now();
    }
}

/// What requests carry of their connection.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    pub tcp: TcpConnectInfo,
    calls: Calls,
}

impl Connected for Connection {
    type ConnectInfo = ConnectionInfo;

    fn connect_info(&self) -> ConnectionInfo {
        ConnectionInfo { tcp: self.socket.connect_info(), calls: self.calls.clone() }
    }
}

/// Counts the calls of each connection of [`crate::incoming`]. Without it all of them count as idle.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountCalls;

impl<S> Layer<S> for CountCalls {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting(inner)
    }
}

/// See [`CountCalls`].
#[derive(Clone, Debug)]
pub struct Counting<S>(S);

impl<S, B> Service<Request<B>> for Counting<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = request.extensions().get::<ConnectionInfo>().map(|info| info.calls.begin());
        let answer = self.0.call(request);
        Box::pin(async move {
            // The call lasts as long as its answer does.
            let held = |body: Body| {
                Body::new(body.map_frame(move |frame| {
                    let _ = &call;
                    frame
                }))
            };
            Ok(answer.await?.map(held))
        })
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            let most = this.first.len().min(into.remaining());
            into.put_slice(&this.first.split_to(most));
            return Poll::Ready(Ok(()));
        }
        if this.is_idle(context) {
            tracing::debug!("a connection without calls is closed");
            // As if the client had ended it.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.socket).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
