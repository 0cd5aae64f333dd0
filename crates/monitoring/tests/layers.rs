//! Dependencies between the modules run one way.

use std::path::Path;

/// Lowest first: each imports from those above its line in this list alone.
const LAYERS: [&str; 7] = [
    "grpc_context samples text trace_export",
    "certificates grpc_calls health process",
    "probes",
    "monitor",
    "endpoint",
    "flags",
    "lib",
];

#[test]
fn dependencies_run_one_way() {
    let found = courant_layers::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &LAYERS);
    assert!(found.is_ok(), "{}", found.unwrap_err());
}
