//! What a program shows as a whole.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use prometheus_client::registry::Registry;

use crate::certificates::Certificates;
use crate::health::HealthBoard;
use crate::probes::Probes;
use crate::process::Program;
use crate::samples::{Samples, Source};
use crate::text::TextFormat;

/// Collects the metrics and the state of a program's parts. Cloning shares.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: RwLock<Registry>,
    probes: Probes,
    certificates: Arc<Certificates>,
}

impl Monitor {
    /// For a program of this name and version. It has the metrics of its process, and has not started yet.
    pub fn new(name: &'static str, version: &'static str) -> Self {
        let monitor = Self(Arc::new(Inner {
            registry: RwLock::default(),
            probes: Probes::new(HealthBoard::default()),
            certificates: Arc::default(),
        }));
        let program = Program { name, version };
        monitor.add(move |samples| program.write(samples));
        let probes = monitor.probes().clone();
        monitor.add(move |samples| probes.write(samples));
        let certificates = monitor.0.certificates.clone();
        monitor.add(move |samples| certificates.write(samples));
        monitor
    }

    /// From now on a part writes its metrics on each scrape. What it asks then must be quick and must not wait.
    pub fn add(&self, write: impl Fn(&mut Samples<'_>) -> fmt::Result + Send + Sync + 'static) {
        self.register(|registry| registry.register_collector(Box::new(Source(write))));
    }

    /// The same for metrics of the library's own kind.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.0.registry.write());
    }

    /// From now on shows when a certificate ends, by what it is for: `grpc` and `http` are shown to whoever connects, `to_server` and
    /// `to_nats` where this program connects. Asked on each scrape; none is not shown.
    pub fn add_certificate(&self, of: &'static str, ends: impl Fn() -> Option<SystemTime> + Send + Sync + 'static) {
        self.0.certificates.add(of, ends);
    }

    /// Whether the program has started, lives and can serve.
    pub fn probes(&self) -> &Probes {
        &self.0.probes
    }

    /// The same by service, for the health protocol of gRPC.
    pub fn health(&self) -> &HealthBoard {
        self.0.probes.board()
    }

    pub(crate) fn text(&self, format: TextFormat) -> Result<String, fmt::Error> {
        format.write(&self.0.registry.read())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use courant_runtime::stats::Histogram;

    use super::*;

    #[test]
    fn what_parts_add_is_written_in_both_formats() {
        let monitor = Monitor::new("test", "1.2.3");
        let waits = Histogram::of_seconds(&[0.5]);
        waits.observe(Duration::from_millis(250));
        waits.observe(Duration::from_secs(2));
        monitor.add_certificate("grpc", || Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)));
        monitor.add_certificate("to_nats", || None);
        monitor.add(move |samples| {
            samples.counters("courant_things", "Things.", ["kind"], [(["a"], 2), (["c"], 0)])?;
            samples.histogram("courant_wait_seconds", "Waits.", &waits)
        });
        let open = monitor.text(TextFormat::OpenMetrics).unwrap();
        let older = monitor.text(TextFormat::Prometheus).unwrap();
        for text in [&open, &older] {
            for line in [
                r#"courant_build_info{program="test",version="1.2.3"} 1.0"#,
                r#"courant_things_total{kind="a"} 2"#,
                r#"courant_things_total{kind="c"} 0"#,
                r#"courant_wait_seconds_bucket{le="0.5"} 1"#,
                r#"courant_wait_seconds_bucket{le="+Inf"} 2"#,
                "courant_wait_seconds_sum 2.25",
                "courant_wait_seconds_count 2",
                "courant_started 0.0",
                r#"courant_tls_certificate_expiry_timestamp_seconds{certificate="grpc"} 4000000000.0"#,
            ] {
                assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
            }
        }
        assert!(open.ends_with("# EOF\n") && !older.contains("EOF"));
    }
}
