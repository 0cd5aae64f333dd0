//! What a call of a gRPC server belongs to: the request of its caller, and a span of its own in the trace of that.
//!
//! Whoever brings no trace begins one with a call that is no watch; those last for hours.

use courant_runtime::request::{Context, REQUEST_ID};
use courant_runtime::traces::{self, Span, SpanKind};
use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

/// The part of a program that the spans belong to.
const PART: &str = "courant-server";

/// A call with its span, which ends with it.
#[derive(Debug)]
pub struct TracedCall {
    pub context: Context,
    span: Span,
}

impl TracedCall {
    /// `method`: its name, if it is one of ours. `may_begin`: whether it begins a trace where the caller has none.
    pub fn begin(headers: &HeaderMap, method: Option<&str>, may_begin: bool) -> Self {
        let mut context = Context::of_request(|name| headers.get(name)?.to_str().ok());
        let mut span = Span::default();
        if let Some(method) = method.filter(|_| traces::is_on() && (may_begin || context.trace.is_some())) {
            span = Span::begin(PART, method.to_owned(), SpanKind::Server, context.trace);
            span.set("rpc.system", "grpc");
            if let Some(request) = &context.request {
                span.set("courant.request", request.to_string());
            }
            context.trace = span.context();
        }
        Self { context, span }
    }

    /// The head of the answer: it names the request. An answer without messages has its status there.
    pub fn answer(&mut self, headers: &mut HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.end(status.code());
        }
        let id = self.context.request.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(id)) = id {
            headers.insert(REQUEST_ID, id);
        }
    }

    /// How it ended.
    pub fn end(&mut self, code: Code) {
        self.span.set("rpc.grpc.status_code", code as i64);
        if code != Code::Ok {
            self.span.fail(code.description());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_request() {
        let asked =
            HeaderMap::from_iter([(http::HeaderName::from_static(REQUEST_ID), HeaderValue::from_static("r-1"))]);
        let mut call = TracedCall::begin(&asked, Some("courant.v1.JobService/GetJob"), true);
        let mut answered = HeaderMap::new();
        call.answer(&mut answered);
        assert_eq!(answered[REQUEST_ID], "r-1");
        assert_eq!(call.span.context(), None, "traces are off");
    }
}
