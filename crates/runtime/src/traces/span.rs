//! Spans, and the one provider that they go to.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanId, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::TraceContext;
use super::ids;

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

pub(super) fn provider() -> Option<&'static SdkTracerProvider> {
    PROVIDER.get()
}

/// Where spans go from now on, for the rest of the process. Made with [`Ids`](super::Ids). `false` if there is one already.
pub fn install(provider: SdkTracerProvider) -> bool {
    PROVIDER.set(provider).is_ok()
}

/// Something that takes time. Ends when it is dropped. Does nothing while traces are off.
#[derive(Default)]
pub struct Span(Option<Box<Inner>>);

struct Inner {
    part: &'static str,
    span: opentelemetry_sdk::trace::Span,
}

/// Not what is in it: its parts are many.
impl fmt::Debug for Span {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        into.debug_tuple("Span").field(&self.context()).finish()
    }
}

impl Span {
    /// Begins now. `part`: the part of the program that it belongs to. `name`: few values, as of a metric. Without a parent it
    /// begins a trace, which is recorded or not as the ratio says.
    pub fn begin(
        part: &'static str,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: Option<TraceContext>,
    ) -> Self {
        let Some(provider) = provider() else { return Self::default() };
        let builder = SpanBuilder::from_name(name).with_kind(kind);
        let span = provider.tracer(part).build_with_context(builder, &context(parent));
        Self(Some(Box::new(Inner { part, span })))
    }

    /// A part of it, which begins now.
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Self {
        match &self.0 {
            Some(inner) => Self::begin(inner.part, name, SpanKind::Internal, self.context()),
            None => Self::default(),
        }
    }

    /// What others are told of it; `None` while traces are off.
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|inner| TraceContext::of(inner.span.span_context()))
    }

    /// Says something about it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(inner) = &mut self.0 {
            inner.span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// It failed.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(inner) = &mut self.0 {
            inner.span.set_status(Status::error(why));
        }
    }
}

/// Something that has taken time.
#[derive(Debug)]
pub struct Recorded {
    /// The part of the program that it belongs to.
    pub part: &'static str,
    pub name: &'static str,
    /// What it is a part of.
    pub parent: TraceContext,
    /// Its id, where others were told of it before.
    pub id: Option<SpanId>,
    pub began: SystemTime,
    pub ended: SystemTime,
    /// Why it failed, if it did.
    pub error: Option<String>,
    pub attributes: Vec<(&'static str, Value)>,
}

/// Records something that is over. Does nothing while traces are off.
pub fn record(Recorded { part, name, parent, id, began, ended, error, attributes }: Recorded) {
    let Some(provider) = provider() else { return };
    let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value));
    let builder = SpanBuilder::from_name(name)
        .with_kind(SpanKind::Internal)
        .with_start_time(began)
        .with_attributes(attributes.collect::<Vec<_>>());
    let mut span = ids::with_id(id, || provider.tracer(part).build_with_context(builder, &context(Some(parent))));
    if let Some(error) = error {
        span.set_status(Status::error(error));
    }
    // Clocks of several machines, and those that are set: nothing ends before it began.
    span.end_with_timestamp(ended.max(began));
}

fn context(parent: Option<TraceContext>) -> Context {
    let none = Context::new();
    match parent {
        Some(parent) => none.with_remote_span_context(parent.as_parent()),
        None => none,
    }
}
