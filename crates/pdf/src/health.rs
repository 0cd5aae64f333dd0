//! The worker's own health, for probes: `grpc.health.v1` on an address of its own.
//!
//! Serving means that the worker can be given jobs now. A worker that is cut off, hears nothing, is drained or is
//! stopping is not, though its process lives and finishes what it has. Ask it whether a worker is *ready*; to restart one
//! that is not would only lose it its jobs.

use courant_worker::{Status, StatusBoard};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;

/// Serves the health of a worker until told to stop; the name of the service is empty.
pub async fn serve(
    listener: TcpListener,
    board: StatusBoard,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (reporter, service) = tonic_health::server::health_reporter();
    let mut status = board.watch();
    let now = serving(*status.borrow_and_update());
    reporter.set_service_status("", now).await;
    let router = tonic::transport::Server::builder().add_service(service);
    let told = async {
        while status.changed().await.is_ok() {
            let now = serving(*status.borrow_and_update());
            reporter.set_service_status("", now).await;
        }
        // The board is ours too, so this is not reached before the end.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))) => served,
        () = told => Ok(()),
        () = stop.cancelled() => Ok(()),
    }
}

fn serving(status: Status) -> ServingStatus {
    if status.is_ready() { ServingStatus::Serving } else { ServingStatus::NotServing }
}
