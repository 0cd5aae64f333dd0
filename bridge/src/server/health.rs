//! Whether the server serves, looked at again and again. The one place readiness comes from.

use std::time::Duration;

use tokio::sync::watch;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Server;

/// What is known of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    Serving,
    /// It serves what can be read; this part of it does not work.
    Degraded(&'static str),
    /// It does not answer, or says it does not serve.
    Unavailable,
}

/// Parts of the server with a health of their own, and what is missing without them. A server that does not have a part does
/// not know its name.
const PARTS: [(&str, &str); 2] = [
    ("courant.log", "the disk of the server's log is full"),
    ("courant.store", "the store of documents and results does not answer"),
];

/// While the server is away it is looked for this often, if the beat is slower: those who wait for it should not wait long.
const UNAVAILABLE_INTERVAL: Duration = Duration::from_millis(200);

/// Looks for ever. Starts from [`Health::Unavailable`]: what has not been seen is not promised.
pub async fn watch(server: Server, beat: Duration, told: watch::Sender<Health>) {
    let mut pause = Duration::ZERO;
    loop {
        tokio::time::sleep(pause).await;
        let found = tokio::time::timeout(server.call, look(&server)).await.unwrap_or(Health::Unavailable);
        pause = if found == Health::Unavailable { beat.min(UNAVAILABLE_INTERVAL) } else { beat };
        let changed = told.send_if_modified(|known| std::mem::replace(known, found) != found);
        match (changed, found) {
            (true, Health::Serving) => tracing::info!("the server serves"),
            (true, Health::Degraded(missing)) => tracing::warn!(missing, "the server works in part"),
            (true, Health::Unavailable) => tracing::warn!("the server is away"),
            (false, _) => {}
        }
    }
}

async fn look(server: &Server) -> Health {
    if !serves(server, "").await {
        return Health::Unavailable;
    }
    for (part, missing) in PARTS {
        if !serves(server, part).await {
            return Health::Degraded(missing);
        }
    }
    Health::Serving
}

async fn serves(server: &Server, service: &str) -> bool {
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(server.system.clone()).check(request).await {
        Ok(answer) => answer.get_ref().status() == ServingStatus::Serving,
        Err(status) if status.code() == tonic::Code::NotFound && !service.is_empty() => true,
        Err(status) => {
            tracing::debug!(%status, service, "health check failed");
            false
        }
    }
}
