//! Health, as probes see it.

use tonic::Streaming;
use tonic::transport::Endpoint;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::within;

/// A program's health, as a probe that follows it sees it.
pub struct Health(Streaming<HealthCheckResponse>);

impl Health {
    /// Begins to follow the health of the program at `127.0.0.1:port`.
    pub async fn follow(address: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        let request = HealthCheckRequest { service: String::new() };
        Ok(Self(HealthClient::new(channel).watch(request).await?.into_inner()))
    }

    /// Waits until it serves, or until it does not.
    pub async fn becomes(&mut self, serving: bool) -> anyhow::Result<()> {
        let what = format!("the health to be serving: {serving}");
        within(&what, async {
            while let Some(told) = self.0.message().await? {
                if (told.status == tonic_health::pb::health_check_response::ServingStatus::Serving as i32) == serving {
                    return Ok(());
                }
            }
            anyhow::bail!("the health watch ended")
        })
        .await
    }
}
