//! What one isolated child does, in the trace of the job.
//!
//! The child has no way to a collector, and is not believed: its spans are made here, from when its messages arrive.

use courant_worker::{Span, Task};

use crate::process::ChildFailure;
use crate::protocol::ChildMessage;

pub(super) struct ChildSpans<'a> {
    task: &'a Task,
    /// From its start to its end.
    child: Span,
    /// What it does now: opening, looking at a sample, reading or drawing a page. Nothing while it waits.
    now: Option<Span>,
    /// Whether it looks at a sample of the pages: that is one step.
    surveying: bool,
}

impl<'a> ChildSpans<'a> {
    pub(super) fn new(task: &'a Task) -> Self {
        Self { task, child: Span::default(), now: None, surveying: false }
    }

    /// A child was started, after the one before has ended.
    pub(super) fn child(&mut self) {
        (self.now, self.surveying) = (None, false);
        self.child = self.task.span("child");
    }

    /// It was told to do something.
    pub(super) fn begin(&mut self, name: &'static str) {
        self.surveying = name == "survey";
        self.now = self.step(name);
    }

    /// It has done that.
    pub(super) fn end(&mut self) {
        (self.now, self.surveying) = (None, false);
    }

    pub(super) fn on_message(&mut self, said: &ChildMessage) {
        let (name, page) = match said {
            _ if self.surveying => return,
            ChildMessage::Reading { page } => ("read page", page),
            ChildMessage::Drawing { page } => ("draw page", page),
            ChildMessage::Page { .. } | ChildMessage::Picture { .. } | ChildMessage::Done => {
                self.now = None;
                return;
            }
            _ => return,
        };
        // What was done before ends where the next begins.
        self.now = None;
        self.now = self.step(name);
        if let Some(span) = &mut self.now {
            span.set("courant.page", i64::from(*page));
        }
    }

    pub(super) fn failed(&mut self, error: &ChildFailure) {
        if let Some(mut span) = self.now.take() {
            span.fail(error.to_string());
        }
        self.child.fail(error.to_string());
        (self.child, self.surveying) = (Span::default(), false);
    }

    /// A step of the child; counted with those of its task, so that there are not more than are kept.
    fn step(&self, name: &'static str) -> Option<Span> {
        self.child.context()?;
        Some(self.task.span_within(&self.child, name))
    }
}
