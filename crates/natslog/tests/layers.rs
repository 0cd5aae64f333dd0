//! Dependencies between the modules run one way.

use std::path::Path;

/// Lowest first: each imports from those above its line in this list alone.
const LAYERS: [&str; 11] = [
    "options message peers subjects",
    "settings connect reached",
    "durability testing",
    // What the stream said so far.
    "view",
    // The stream.
    "server",
    "tail publish",
    "load",
    "follow append",
    "read blobs notes watchdog",
    "source",
    "lib",
];

#[test]
fn dependencies_run_one_way() {
    let found = courant_layers::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &LAYERS);
    assert!(found.is_ok(), "{}", found.unwrap_err());
}
