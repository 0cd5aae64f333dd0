//! Dependencies between the modules of the engine run one way, and the engine knows no wire.

use std::path::Path;

/// Lowest first: each imports from those above its line in this list alone.
const LAYERS: [&str; 12] = [
    // What needs nothing of this crate.
    "clock cursor rfc3339 spans stats",
    // What the log says, in memory: jobs, queues, lists.
    "filter view",
    "config projection",
    // What is made of the log's entries beside the view.
    "affinity batches estimate metrics quota unwatched_index",
    // A job as readers see it, and who is sent what.
    "snapshot",
    "error hub",
    // What a job's state allows.
    "transitions",
    // The one way to change a job.
    "engine",
    "attempt testing",
    "dispatch large parts retry",
    // What runs on an engine.
    "reservation unwatched watch",
    "lib",
];

/// What begins the names of crates that know a wire: gRPC, HTTP, sockets' TLS.
const WIRE: [&str; 9] =
    ["axum", "courant-auth", "courant-proto", "courant-tls", "http", "hyper", "prost", "reqwest", "tonic"];

#[test]
fn dependencies_run_one_way() {
    let found = courant_layers::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &LAYERS);
    assert!(found.is_ok(), "{}", found.unwrap_err());
}

/// The manifest says what the compiler lets the engine use. Those of the log and the runtime, which are all it needs of this
/// workspace, are looked at as well.
#[test]
fn the_engine_knows_no_wire() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["engine", "joblog", "runtime"] {
        let manifest = std::fs::read_to_string(crates.join(name).join("Cargo.toml")).unwrap();
        let (_, rest) = manifest.split_once("\n[dependencies]\n").unwrap();
        let dependencies = rest.split("\n[").next().unwrap();
        let names: Vec<&str> = dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).collect();
        assert!(names.len() > 5, "{name}: {names:?}");
        let mut ours = names.iter().filter(|name| name.starts_with("courant-"));
        assert!(ours.all(|ours| ["courant-joblog", "courant-runtime"].contains(ours)), "{name}: {names:?}");
        let wire: Vec<_> = names.iter().filter(|name| WIRE.iter().any(|wire| name.starts_with(wire))).collect();
        assert!(wire.is_empty(), "{name}: {wire:?}");
    }
}
