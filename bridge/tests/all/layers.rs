//! Dependencies between the modules of the bridge run one way.

use std::path::Path;

/// Lowest first: each imports from those above its line in this list alone.
const LAYERS: [&str; 18] = [
    // What clients read and write, and what can go wrong.
    "wire rate metrics",
    "api_error",
    // Shares and limits.
    "ledger",
    "config",
    "drain",
    "audit",
    // The client of the server.
    "server",
    // The queue in front of a client, and what fills it.
    "outbox",
    "topic",
    // Who is connected.
    "presence",
    "connection sockets",
    // Where topics' updates come from.
    "monitoring upstream",
    "app",
    // Requests of clients.
    "request",
    "ws events",
    "http flags",
    "serve",
    "lib",
];

#[test]
fn dependencies_run_one_way() {
    let found = courant_layers::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &LAYERS);
    assert!(found.is_ok(), "{}", found.unwrap_err());
}
