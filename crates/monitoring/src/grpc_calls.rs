//! Counts the calls of a gRPC server by method and code, with how long they take.
//!
//! Methods are those of the compiled descriptors; whatever else is called is `other`. A call lasts until its answer has been
//! sent whole, or was given up, which counts as cancelled. Their log lines and spans name what they belong to.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use courant_runtime::request;
use courant_runtime::stats::{Counter, Histogram, LATENCIES};
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::grpc_context::TracedCall;
use crate::samples::Samples;

/// The names of the codes, in the order of their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const OTHER: &str = "other";
/// The package of our services.
const OURS: &str = "courant.v1";

/// What was called. Cloning shares.
#[derive(Clone, Debug)]
pub struct GrpcCalls(Arc<Methods>);

#[derive(Debug)]
struct Methods {
    by_path: HashMap<String, Arc<Method>>,
    other: Arc<Method>,
}

#[derive(Debug)]
struct Method {
    /// `courant.v1.JobService/GetJob`.
    name: String,
    /// A call and its answer are one message each. Only then it says something how long it takes.
    is_unary: bool,
    /// Its answer is one message, and it is ours.
    begins_traces: bool,
    codes: [Counter; CODES.len()],
    took: Histogram,
    open: AtomicI64,
}

impl Method {
    fn new(name: String, is_unary: bool, begins_traces: bool) -> Arc<Self> {
        let (codes, took) = (Default::default(), Histogram::of_seconds(LATENCIES));
        Arc::new(Self { name, is_unary, begins_traces, codes, took, open: AtomicI64::new(0) })
    }
}

impl Default for GrpcCalls {
    /// Of all services that are described.
    fn default() -> Self {
        let files = FileDescriptorSet::decode(courant_proto::DESCRIPTORS).unwrap_or_default().file;
        let mut by_path = HashMap::new();
        for file in &files {
            for service in &file.service {
                for method in &service.method {
                    let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    let is_unary = !method.client_streaming() && !method.server_streaming();
                    let begins_traces = !method.server_streaming() && file.package() == OURS;
                    by_path.insert(format!("/{name}"), Method::new(name, is_unary, begins_traces));
                }
            }
        }
        Self(Arc::new(Methods { by_path, other: Method::new(OTHER.to_owned(), false, false) }))
    }
}

impl GrpcCalls {
    /// The layer that counts them.
    pub fn layer(&self) -> CountGrpcCalls {
        CountGrpcCalls(self.clone())
    }

    fn begin<B>(&self, request: &Request<B>) -> Call {
        let found = self.0.by_path.get(request.uri().path());
        let method = found.unwrap_or(&self.0.other).clone();
        method.open.fetch_add(1, Ordering::Relaxed);
        let name = found.map(|method| &*method.name);
        let traced = TracedCall::begin(request.headers(), name, method.begins_traces);
        Call { method, begun: Instant::now(), code: None, traced }
    }

    fn methods(&self) -> Vec<&Method> {
        let mut all: Vec<&Method> = self.0.by_path.values().chain([&self.0.other]).map(|method| &**method).collect();
        all.sort_unstable_by_key(|method| &method.name);
        all
    }

    /// Codes that a method never had are left out, but for `OK`.
    pub fn write(&self, samples: &mut Samples<'_>) -> fmt::Result {
        let methods = self.methods();
        let of_method = |method: &&'_ Method| -> Vec<(usize, u64)> {
            let counts = method.codes.iter().map(Counter::get).enumerate();
            counts.filter(|(code, count)| *code == 0 || *count > 0).collect()
        };
        let counted: Vec<_> = methods
            .iter()
            .flat_map(|method| of_method(method).into_iter().map(|(code, count)| ([&*method.name, CODES[code]], count)))
            .collect();
        samples.counters(
            "courant_grpc_requests",
            "Calls that have ended, by method and code.",
            ["method", "code"],
            counted,
        )?;
        let open = methods.iter().map(|method| ([&*method.name], method.open.load(Ordering::Relaxed).max(0) as f64));
        samples.gauges(
            "courant_grpc_requests_open",
            "Calls under way, streams among them, by method.",
            ["method"],
            open,
        )?;
        let unary = methods.iter().filter(|method| method.is_unary);
        let took = unary.map(|method| ([&*method.name], &method.took));
        let help = "How long calls took that are no streams, by method.";
        samples.histograms("courant_grpc_request_duration_seconds", help, ["method"], took)
    }
}

/// See [`GrpcCalls::layer`].
#[derive(Clone, Debug)]
pub struct CountGrpcCalls(GrpcCalls);

impl<S> Layer<S> for CountGrpcCalls {
    type Service = CallCounting<S>;

    fn layer(&self, inner: S) -> CallCounting<S> {
        CallCounting { calls: self.0.clone(), inner }
    }
}

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub struct CallCounting<S> {
    calls: GrpcCalls,
    inner: S,
}

impl<S, B> Service<Request<B>> for CallCounting<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut call = self.calls.begin(&request);
        let context = call.traced.context.clone();
        let answer = request::sync_scope(context.clone(), || self.inner.call(request));
        Box::pin(request::scope(context, async move {
            let mut answer = answer.await?;
            // An answer without messages has its status here.
            call.take_code(answer.headers());
            call.traced.answer(answer.headers_mut());
            Ok(answer.map(|inner| Body::new(Counted { inner, call })))
        }))
    }
}

/// A call under way. It is counted when it is dropped.
#[derive(Debug)]
struct Call {
    method: Arc<Method>,
    begun: Instant,
    code: Option<Code>,
    traced: TracedCall,
}

impl Call {
    fn take_code(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.code = Some(status.code());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        self.method.open.fetch_sub(1, Ordering::Relaxed);
        self.method.codes[code as usize].inc();
        if self.method.is_unary {
            self.method.took.observe(self.begun.elapsed());
        }
    }
}

/// An answer, with its call.
struct Counted {
    inner: Body,
    call: Call,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            this.call.take_code(trailers);
            this.call.traced.end(this.call.code.unwrap_or(Code::Unknown));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_described_and_all_else_is_one() {
        let calls = GrpcCalls::default();
        for path in ["/courant.v1.JobService/GetJob", "/grpc.health.v1.Health/List"] {
            let mut call = calls.begin(&Request::get(path).body(()).unwrap());
            call.code = Some(Code::NotFound);
            drop(call);
            assert_eq!(calls.0.by_path[path].codes[Code::NotFound as usize].get(), 1, "{path}");
        }
        for number in 0..3 {
            drop(calls.begin(&Request::get(format!("/made.up.Service/M{number}")).body(()).unwrap()));
        }
        assert_eq!(calls.0.other.codes[Code::Cancelled as usize].get(), 3, "given up");
        assert!(calls.methods().iter().all(|method| method.open.load(Ordering::Relaxed) == 0));
        assert_eq!(calls.0.by_path["/courant.v1.JobService/GetJob"].took.counted().count, 1);
    }
}
