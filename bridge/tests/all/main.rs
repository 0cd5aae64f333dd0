//! What the bridge does, from outside: over real sockets, before the server itself or one that says what a story needs.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod events;
mod http;
mod http2;
mod invalid_input;
mod layers;
mod open_files;
mod origins;
mod presence;
mod protocol;
mod sessions;
mod states;
mod stopping;
mod support;
mod topics;
mod two_bridges;
mod updates;
mod uploads;
mod violations;
