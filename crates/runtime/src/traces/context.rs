//! What goes from one program to the next: the trace and the span that a next one is a child of (W3C Trace Context).

use std::fmt;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The header and the metadata that carry it.
pub const TRACEPARENT: &str = "traceparent";

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const BYTES: usize = 55;

/// A span of another program, or of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`. `None` if it is none: then it is as if it were missing, as W3C asks for.
    pub fn parse(text: &str) -> Option<Self> {
        let version = text.get(..2).filter(|version| is_hex(version) && *version != "ff")?;
        let whole = match version {
            "00" => text.len() == BYTES,
            // Later versions may have more behind it.
            _ => text.len() == BYTES || text.as_bytes().get(BYTES) == Some(&b'-'),
        };
        let (trace, span, flags) = (text.get(3..35)?, text.get(36..52)?, text.get(53..BYTES)?);
        let divided = [2, 35, 52].iter().all(|at| text.as_bytes()[*at] == b'-');
        if !whole || !divided || ![trace, span, flags].into_iter().all(is_hex) {
            return None;
        }
        let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self { trace, span, sampled })
    }

    /// Whether its spans are recorded.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    pub fn trace_id(&self) -> TraceId {
        self.trace
    }

    pub fn span_id(&self) -> SpanId {
        self.span
    }

    /// Another span of the same trace.
    pub fn with_span(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    pub(super) fn of(span: &SpanContext) -> Self {
        Self { trace: span.trace_id(), span: span.span_id(), sampled: span.is_sampled() }
    }

    pub(super) fn as_parent(self) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        SpanContext::new(self.trace, self.span, flags, true, TraceState::NONE)
    }
}

/// As a `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, into: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(into, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_was_read_is_written_the_same() {
        let context = TraceContext::parse(EXAMPLE).unwrap();
        assert!(context.is_sampled());
        assert_eq!(context.to_string(), EXAMPLE);
        let unsampled = EXAMPLE.replace("-01", "-00");
        assert_eq!(TraceContext::parse(&unsampled).unwrap().to_string(), unsampled);
    }

    #[test]
    fn a_later_version_may_have_more() {
        let later = EXAMPLE.replacen("00", "01", 1);
        assert!(TraceContext::parse(&later).is_some());
        assert!(TraceContext::parse(&format!("{later}-more")).is_some());
        assert!(TraceContext::parse(&format!("{later}more")).is_none());
    }

    #[test]
    fn what_is_none_is_none() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
