//! Dependencies between the modules of the server run one way, and the engine's part knows no wire.

use std::path::{Path, PathBuf};

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
    // The one way to change a job.
    "engine",
    // What runs on an engine: uploads' memory, quotas in use, removals, watches. Up to here nothing knows gRPC.
    "arrival passwords reservation retention unwatched watch",
    // The wire: what is read and written, who calls, how an error looks.
    WIRE,
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

/// The lowest layer that knows gRPC and the types of the wire.
const WIRE: &str = "auth convert status";
/// Crates of the wire.
const WIRE_CRATES: [&str; 6] = ["tonic", "tonic_types", "tonic_health", "courant_proto", "prost", "prost_types"];
/// Files below [`WIRE`] that know it all the same.
const KNOWN: [&str; 1] = [
    // Reads times of filters (RFC 3339) as the wire's own are read.
    "filter/field.rs",
];

#[test]
fn dependencies_run_one_way() {
    let found = courant_layers::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &LAYERS);
    assert!(found.is_ok(), "{}", found.unwrap_err());
}

#[test]
fn what_lies_below_the_wire_does_not_know_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let below = LAYERS.iter().take_while(|layer| **layer != WIRE).flat_map(|layer| layer.split_whitespace());
    let mut waiting: Vec<PathBuf> =
        below.flat_map(|module| [src.join(module), src.join(format!("{module}.rs"))]).collect();
    let (mut knowing, mut seen) = (Vec::new(), 0);
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            seen += 1;
            if WIRE_CRATES.iter().any(|wire| text.contains(&format!("{wire}::"))) {
                knowing.push(path.strip_prefix(&src).unwrap().display().to_string());
            }
        }
    }
    knowing.sort();
    assert!(seen > 50, "{seen} files were looked at");
    assert_eq!(knowing, KNOWN);
}
