//! The flags that programs have for what they show to operators.

use std::io;
use std::net::SocketAddr;

use courant_runtime::command_line::Problems;
use courant_runtime::logging::{self, FilterError, Format};
use courant_runtime::{ListenError, Shutdown};

use crate::endpoint::Endpoint;
use crate::monitor::Monitor;
use crate::trace_export::{self, TraceSettings};

/// Where a program shows itself to operators.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Monitoring")]
pub struct MonitoringFlags {
    /// Address for operators alone, over plain HTTP and without a token: /metrics for Prometheus, and the probes /livez,
    /// /readyz and /startupz; default: none
    #[arg(long, env = "COURANT_METRICS_ADDR", value_name = "ADDR:PORT")]
    pub metrics_addr: Option<SocketAddr>,
}

impl MonitoringFlags {
    /// Answers on the address, if there is one, until what is given back is dropped.
    pub async fn serve(&self, monitor: &Monitor) -> Result<Option<Endpoint>, ListenError> {
        match self.metrics_addr {
            Some(address) => monitor.serve(address).await.map(Some),
            None => Ok(None),
        }
    }
}

/// What a program that runs until it is stopped says of itself: logs, and traces. The same flags for all.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Logs and traces")]
pub struct TelemetryFlags {
    /// How log lines look on standard error
    #[arg(long, env = "COURANT_LOG_FORMAT", value_enum, default_value_t = Format::Text)]
    pub log_format: Format,
    /// What is logged: error, warn, info, debug or trace, also per module (warn,courant_server=debug) [default: info]
    #[arg(long, env = "COURANT_LOG", value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// Collector to which traces are sent, by OTLP as protobuf over HTTP: http://collector:4318 [default: none, no traces]
    #[arg(long, env = "COURANT_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Of the traces that begin in this program, the share that is recorded, 0 to 1. Those that callers began are recorded as
    /// their traceparent says
    #[arg(long, env = "COURANT_TRACE_RATIO", default_value_t = 1.0, value_name = "SHARE", value_parser = ratio)]
    pub trace_ratio: f64,
}

impl TelemetryFlags {
    /// Runs a program of this name and version to its end, as [`courant_runtime::run`]. What is left of its traces is sent
    /// then, for two seconds at most.
    pub fn run<T, E: From<io::Error> + From<FilterError>>(
        &self,
        (name, version): (&'static str, &'static str),
        program: impl AsyncFnOnce(Shutdown) -> Result<T, E>,
    ) -> Result<T, E> {
        let filter = match &self.log_filter {
            Some(text) => logging::filter(text)?,
            None => logging::default_filter(),
        };
        let traces = self.traces().map(|settings| trace_export::start(&settings, name, version)).transpose();
        let traces = traces.map_err(io::Error::other)?;
        let ended = courant_runtime::run(filter, self.log_format, program);
        if let Some(traces) = traces {
            traces.stop();
        }
        ended
    }

    /// What would keep the program from starting.
    pub fn check(&self, problems: &mut Problems) {
        problems.check("--log-filter", self.log_filter.as_deref().map(logging::filter).transpose());
        problems.check("--otlp-endpoint", self.traces().map(|traces| traces.check()).transpose());
    }

    fn traces(&self) -> Option<TraceSettings> {
        let endpoint = self.otlp_endpoint.clone().filter(|endpoint| !endpoint.is_empty())?;
        Some(TraceSettings { endpoint, ratio: self.trace_ratio })
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_from_0_to_1() {
        for good in ["0", "0.01", "1"] {
            assert!(ratio(good).is_ok(), "{good}");
        }
        for wrong in ["-0.1", "1.1", "NaN", "all"] {
            assert!(ratio(wrong).is_err(), "{wrong}");
        }
    }
}
