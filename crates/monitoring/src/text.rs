//! The two text formats: OpenMetrics, which the library writes, and Prometheus' own, which is made from it.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// In which format an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    OpenMetrics,
    Prometheus,
}

impl TextFormat {
    /// What the header `Accept` asks for. Prometheus' own format is what everything reads.
    pub(crate) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    pub(crate) fn write(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, registry)?;
        Ok(match self {
            Self::OpenMetrics => text,
            Self::Prometheus => as_prometheus(&text),
        })
    }
}

/// Counters are described under their whole name, and what the older format does not know is left out.
fn as_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    let mut push = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    for line in open_metrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap_or((typed, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                push(&format!("# HELP {name}{suffix} {help}"));
            }
            push(&format!("# TYPE {name}{suffix} {kind}"));
        } else if !line.starts_with('#') {
            push(line);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_describes_counters_by_their_whole_name() {
        let open = "# HELP a_b Things done.\n# TYPE a_b counter\na_b_total 3\n# HELP c Now.\n# TYPE c gauge\n# UNIT c x\nc 1\n# EOF\n";
        let expected = "# HELP a_b_total Things done.\n# TYPE a_b_total counter\na_b_total 3\n# HELP c Now.\n# TYPE c gauge\nc 1\n";
        assert_eq!(as_prometheus(open), expected);
    }

    #[test]
    fn the_newer_format_has_to_be_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(TextFormat::accepted(prometheus), TextFormat::OpenMetrics);
        for other in ["", "*/*", "text/plain"] {
            assert_eq!(TextFormat::accepted(other), TextFormat::Prometheus, "{other}");
        }
    }
}
