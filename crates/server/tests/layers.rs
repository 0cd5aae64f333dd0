//! Dependencies between the modules of the server run one way. What needs no gRPC is a crate of its own, `courant-engine`.

use std::path::Path;

/// Lowest first: each imports from those above its line in this list alone.
const LAYERS: [&str; 21] = [
    "event_kind job_folder",
    // What needs nothing of this crate: texts, shares, holds, and what can go wrong with a store.
    "changed_owners credential data_dir ended_attempts expiry fault freed_workers holds lanes progress_outbox share text unused_passwords work_counts",
    "config",
    "audit error nats projections seal",
    "delivery objects shares webhook_store",
    "check",
    "files transfer",
    // The engine, and what services need beside it.
    "services",
    // What runs beside the services: uploads' memory, removals.
    "incoming_body parameters passwords retention",
    // The wire: what is read and written, who calls, how an error looks.
    "auth convert status",
    "sampled",
    // Services.
    "worker",
    "notifications presence",
    "webhooks",
    // Other servers on the same log.
    "peers",
    "jobs",
    "uploads",
    "positions",
    "admin queue scaler",
    // Start, run, stop.
    "server",
    "lib",
];

#[test]
fn dependencies_run_one_way() {
    let found = courant_layers::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &LAYERS);
    assert!(found.is_ok(), "{}", found.unwrap_err());
}
