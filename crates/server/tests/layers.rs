//! Dependencies between the modules of the server run one way.

use std::path::Path;

/// Lowest first: each imports from those above its line in this list alone.
const LAYERS: [&str; 21] = [
    // What needs nothing of this crate: times, texts, shares, holds, and what can go wrong with a store.
    "clock cursor credential data_dir fault filter holds share text",
    // What the log says, in memory: jobs, queues, lists.
    "view",
    "config estimate metrics",
    // A job as readers see it, and who is sent what.
    "quota seal snapshot",
    "hub indexes",
    "error",
    "objects shares transitions",
    // The one way to change a job. Up to here nothing knows gRPC or the wire.
    "engine",
    // What runs on an engine and knows no wire: uploads' memory, quotas in use, removals.
    "arrival passwords reservation retention unwatched watch",
    // The wire: what is read and written, who calls, how an error looks.
    "auth convert status",
    "sampled",
    // Services.
    "jobs",
    "uploads",
    "worker",
    "places",
    "queue",
    "admin",
    "notices",
    "presence",
    // Start, run, stop.
    "server",
    "lib",
];

#[test]
fn dependencies_run_one_way() {
    let found = courant_layers::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &LAYERS);
    assert!(found.is_ok(), "{}", found.unwrap_err());
}
