//! The flag that programs have for it.

use std::net::SocketAddr;

use courant_runtime::ListenError;

use crate::endpoint::Endpoint;
use crate::monitor::Monitor;

/// Where a program shows itself to operators.
#[derive(clap::Args, Clone, Debug, Default)]
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
