//! Limits that a single user or address of a benchmark would meet, raised.

/// Of the server.
pub const SERVER: &[&str] = &[
    "--quota-waiting",
    "0",
    "--quota-submits-per-minute",
    "0",
    "--quota-bytes-per-day",
    "0",
    "--owner-share",
    "1",
    "--streams-per-user",
    "1000000",
    "--max-user-streams",
    "10000000",
    // One connection of a bridge has a stream for each topic.
    "--max-streams",
    "100000",
];

/// Of the bridge.
pub const BRIDGE: &[&str] = &[
    "--max-connections",
    "19000",
    "--max-connections-per-user",
    "19000",
    "--max-connections-per-address",
    "19000",
    "--max-http-connections-per-address",
    "19000",
    "--max-attempts-per-minute",
    "10000000",
    "--max-requests-per-second",
    "1000000",
    "--max-per-user-per-second",
    "1000000",
    "--max-topics-per-user",
    "100000",
    "--max-streams-per-user",
    "100000",
    // The most there may be.
    "--max-upstream-streams",
    "90000",
    // A thousand browsers of one user: each may have what one has otherwise.
    "--outbox-bytes-per-user",
    "1073741824",
];
