//! What a piece of work belongs to: the request of a caller, the job, the trace. It is in every log line that is written
//! meanwhile, and goes with every call to another program.
//!
//! A program sets it where a request comes in; it holds for the task that answers, and for tasks that are told to keep it.

use std::sync::Arc;

use crate::hex;
use crate::traces::{self, TraceContext};

/// The header and the metadata with a request's id.
pub const REQUEST_ID: &str = "x-request-id";
pub use crate::traces::TRACEPARENT;

/// The longest id that is taken over from a caller, in bytes.
const MAX_ID: usize = 128;

tokio::task_local! {
    static CURRENT: Context;
}

/// What the work at hand belongs to. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The request's id: the caller's own, or made here.
    pub request: Option<Arc<str>>,
    /// The job's id.
    pub job: Option<Arc<str>>,
    /// The span that what comes is a part of.
    pub trace: Option<TraceContext>,
}

impl Context {
    /// Of a request with these headers. `header` gives the value of one.
    pub fn of_request<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let trace = header(TRACEPARENT).and_then(TraceContext::parse);
        let own = header(REQUEST_ID).filter(|id| is_id(id)).map(Arc::from);
        let made = || match trace {
            Some(trace) => trace.trace_id().to_string().into(),
            None => hex(&fastrand::u128(..).to_be_bytes()).into(),
        };
        Self { request: Some(own.unwrap_or_else(made)), job: None, trace: trace.filter(|_| traces::is_on()) }
    }

    /// The `traceparent` for calls to others.
    pub fn traceparent(&self) -> Option<String> {
        self.trace.map(|trace| trace.to_string())
    }
}

/// An id that can stand in a header and in a log line.
fn is_id(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=');
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(plain)
}

/// What the task at hand belongs to, if that is known.
pub fn current() -> Option<Context> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The same for who only looks.
pub fn with_current<T>(look: impl FnOnce(&Context) -> T) -> Option<T> {
    CURRENT.try_with(look).ok()
}

/// Work that belongs to something.
pub fn scope<F: Future>(context: Context, work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(context, work)
}

/// The same of work that does not wait.
pub fn sync_scope<T>(context: Context, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(context, work)
}

/// Work for a task of its own, which belongs to what this one does.
pub fn kept<F: Future>(work: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(current().unwrap_or_default(), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(headers: &[(&str, &str)]) -> String {
        let header = |wanted: &str| headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        Context::of_request(header).request.unwrap().to_string()
    }

    #[test]
    fn an_id_is_the_callers_or_its_traces_or_made() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(id(&[(REQUEST_ID, "abc-1")]), "abc-1");
        assert_eq!(id(&[(TRACEPARENT, parent)]), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(id(&[(REQUEST_ID, "abc-1"), (TRACEPARENT, parent)]), "abc-1");
        assert_eq!(id(&[]).len(), 32);
        assert_ne!(id(&[]), id(&[]));
    }

    #[test]
    fn an_id_that_cannot_stand_in_a_line_is_replaced() {
        for bad in ["", "a b", "a\"b", "a\u{1b}[2J", &"x".repeat(129)] {
            assert_ne!(id(&[(REQUEST_ID, bad)]), bad);
        }
    }

    #[tokio::test]
    async fn a_task_that_keeps_it_has_it() {
        let context = Context { request: Some("r".into()), ..Context::default() };
        let read = || async { current().and_then(|context| context.request) };
        let (kept, lost) = scope(context, async {
            let (keeps, loses) = (tokio::spawn(kept(read())), tokio::spawn(read()));
            (keeps.await.unwrap(), loses.await.unwrap())
        })
        .await;
        assert_eq!((kept.as_deref(), lost), (Some("r"), None));
    }
}
