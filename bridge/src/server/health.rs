//! Checks the health of the server, again and again. The one place readiness comes from.

use std::time::Duration;

use courant_runtime::Shutdown;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::Server;

/// The health of the server, as the bridge knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
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

/// What a server says of itself until it is asked to stop.
const STAYING: &str = "courant.staying";

/// Between checks while the server is unavailable, unless the usual interval is shorter: those who wait for it should not wait long.
const UNAVAILABLE_INTERVAL: Duration = Duration::from_millis(200);

/// Checks for ever. Starts from [`Health::Unavailable`]: what was not seen is not promised.
pub async fn watch(server: Server, interval: Duration, health: watch::Sender<Health>, shutdown: Shutdown) {
    let (mut pause, mut gone) = (Duration::ZERO, None::<Instant>);
    loop {
        tokio::time::sleep(pause).await;
        let found = tokio::time::timeout(server.call, check(&server)).await.unwrap_or(Health::Unavailable);
        match found {
            // Requests wait for it meanwhile.
            Health::Unavailable if gone.get_or_insert_with(Instant::now).elapsed() < server.wait => {
                pause = interval.min(UNAVAILABLE_INTERVAL);
                continue;
            }
            Health::Unavailable => {}
            Health::Serving | Health::Degraded(_) => gone = None,
        }
        pause = if found == Health::Unavailable { interval.min(UNAVAILABLE_INTERVAL) } else { interval };
        let changed = health.send_if_modified(|known| std::mem::replace(known, found) != found);
        match (changed, found) {
            (true, Health::Serving) => tracing::info!("server available"),
            (true, Health::Degraded(missing)) => tracing::warn!(missing, "server degraded"),
            // Both may have been stopped together.
            (true, Health::Unavailable) if shutdown.is_draining() => tracing::debug!("server unavailable"),
            (true, Health::Unavailable) => tracing::warn!("server unavailable"),
            (false, _) => {}
        }
    }
}

async fn check(server: &Server) -> Health {
    // A server that stops says that it does not serve, and does until it closes its port: then there is another one, or it is
    // back in a moment.
    match ask(server, "").await {
        Answer::Serves => {}
        Answer::DoesNotServe if ask(server, STAYING).await == Answer::DoesNotServe => {}
        _ => return Health::Unavailable,
    }
    for (part, missing) in PARTS {
        match ask(server, part).await {
            Answer::Serves | Answer::NotKnown => {}
            Answer::DoesNotServe => return Health::Degraded(missing),
            Answer::None => return Health::Unavailable,
        }
    }
    Health::Serving
}

/// What a server says of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Serves,
    DoesNotServe,
    NotKnown,
    /// It does not answer.
    None,
}

async fn ask(server: &Server, service: &str) -> Answer {
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(server.system.clone()).check(request).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Answer::Serves,
        Ok(_) => Answer::DoesNotServe,
        Err(status) if status.code() == tonic::Code::NotFound => Answer::NotKnown,
        Err(status) => {
            tracing::debug!(%status, service, "health check failed");
            Answer::None
        }
    }
}
