//! Ids of spans. Random, but for spans that others have to name before they are recorded: an attempt at a job is recorded by
//! the server that sees its end, which need not be the one that gave it out, and its worker is told of it at the beginning.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};
use xxhash_rust::xxh3::xxh3_64_with_seed;

thread_local! {
    /// The id of the span that is made next on this thread.
    static NEXT: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// What a provider has to make ids with.
#[derive(Debug, Default)]
pub struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        self.0.new_trace_id()
    }

    fn new_span_id(&self) -> SpanId {
        NEXT.take().unwrap_or_else(|| self.0.new_span_id())
    }
}

/// Makes a span that has this id.
pub(super) fn with_id<T>(id: Option<SpanId>, make: impl FnOnce() -> T) -> T {
    NEXT.set(id);
    let made = make();
    NEXT.set(None);
    made
}

/// The id that a thing with this name and number has on every server, in every version.
pub fn derived_span_id(name: &str, number: u64) -> SpanId {
    // No span has the id 0.
    SpanId::from(xxh3_64_with_seed(name.as_bytes(), number).max(1))
}
