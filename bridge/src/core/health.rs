//! Whether the core serves, looked at again and again. The one place readiness comes from.

use std::time::Duration;

use tokio::sync::watch;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Core;

/// What is known of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Serving,
    /// It does not answer, or says it does not serve.
    Away,
}

/// While the core is away it is looked for this often, if the beat is slower: those who wait for it should not wait long.
const AWAY_BEAT: Duration = Duration::from_millis(200);

/// Looks for ever. Starts from [`Health::Away`]: what has not been seen is not promised.
pub async fn watch(core: Core, beat: Duration, told: watch::Sender<Health>) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::time::sleep(pause).await;
        let found = tokio::time::timeout(core.call, look(&core)).await.unwrap_or(Health::Away);
        pause = if found == Health::Serving { beat } else { beat.min(AWAY_BEAT) };
        let changed = told.send_if_modified(|known| std::mem::replace(known, found) != found);
        match (changed, found) {
            (true, Health::Serving) => tracing::info!("the core serves"),
            (true, Health::Away) => tracing::warn!("the core is away"),
            (false, _) => {}
        }
    }
}

async fn look(core: &Core) -> Health {
    let answer = HealthClient::new(core.system.clone()).check(HealthCheckRequest::default()).await;
    match answer {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Health::Serving,
        Ok(_) => Health::Away,
        Err(status) => {
            tracing::debug!(%status, "health check failed");
            Health::Away
        }
    }
}
