//! Traces: where the time of a request or a job went. What is recorded goes to the one provider of the process, which
//! `courant-monitoring` makes for programs that were started with the address of a collector. Without one a span costs a look
//! at a static.

mod context;
mod ids;
mod span;

pub use context::{TRACEPARENT, TraceContext};
pub use ids::{Ids, derived_span_id};
pub use opentelemetry::trace::{SpanId, SpanKind};
pub use span::{Recorded, Span, install, record};

/// Whether spans are recorded in this process.
pub fn is_on() -> bool {
    span::provider().is_some()
}
