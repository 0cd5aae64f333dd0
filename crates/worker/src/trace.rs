//! Where the time of an attempt goes, in the trace of its job.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use courant_proto::v1::Assignment;
use courant_runtime::request::{self, Context};
use courant_runtime::traces::{Span, SpanKind, TraceContext};

/// The part of a program that the spans belong to.
const PART: &str = "courant-worker";
/// Spans of one attempt. What is more is left out: a document may have a hundred thousand pages.
const MOST: u32 = 1000;

/// The trace of an attempt.
#[derive(Debug, Default)]
pub(crate) struct AttemptTrace {
    /// The span of the attempt here; `None` where the trace is not recorded.
    within: Option<TraceContext>,
    spans: AtomicU32,
}

impl AttemptTrace {
    /// Begins the span of the attempt here.
    pub(crate) fn begin(assignment: &Assignment) -> (Span, Arc<Self>) {
        let Some(parent) = TraceContext::parse(&assignment.traceparent).filter(TraceContext::is_sampled) else {
            return Default::default();
        };
        let name = if assignment.pages.is_some() { "process part" } else { "process" };
        let mut span = Span::begin(PART, name, SpanKind::Consumer, Some(parent));
        if let Some(attempt) = &assignment.attempt {
            span.set("courant.job", attempt.job_id.clone());
            span.set("courant.attempt", i64::from(attempt.attempt));
        }
        if let Some(pages) = &assignment.pages {
            span.set("courant.pages", format!("{}-{}", pages.first, pages.last));
        }
        let trace = Self { within: span.context(), spans: AtomicU32::new(0) };
        (span, Arc::new(trace))
    }

    /// A step of what the task is at, which begins now; nothing where the trace is not recorded, or has enough of them.
    pub(crate) fn step(&self, name: &'static str) -> Span {
        let current = request::with_current(|context| context.trace).flatten();
        self.step_within(self.within.and(current).or(self.within), name)
    }

    /// The same as a part of another step.
    pub(crate) fn step_within(&self, step: Option<TraceContext>, name: &'static str) -> Span {
        match step {
            Some(within) if self.spans.fetch_add(1, Ordering::Relaxed) < MOST => {
                Span::begin(PART, name, SpanKind::Internal, Some(within))
            }
            _ => Span::default(),
        }
    }

    /// How many steps were left out.
    pub(crate) fn left_out(&self) -> u32 {
        self.spans.load(Ordering::Relaxed).saturating_sub(MOST)
    }

    /// What the work belongs to: its log lines say so, and its calls carry it.
    pub(crate) fn context(&self, job: &str) -> Context {
        Context { request: None, job: Some(job.into()), trace: self.within }
    }
}

/// Work whose steps and calls are parts of this one.
pub fn within<F: Future>(span: &Span, work: F) -> impl Future<Output = F::Output> {
    let mut context = request::current().unwrap_or_default();
    context.trace = span.context().or(context.trace);
    request::scope(context, work)
}
