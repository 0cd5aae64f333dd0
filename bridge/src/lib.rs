//! The browser edge of Courant: WebSocket rooms over the server's watches, uploads and downloads, and the console.
//!
//! Speaks `PROTOCOL.md` to browsers and `courant.v1` to the server. Keeps no state that matters: any number of bridges may
//! stand side by side, and each may be killed at any time.

pub mod app;
pub mod audit;
pub mod backoff;
pub mod config;
pub mod connection;
pub mod events;
pub mod fault;
pub mod flags;
pub mod http;
pub mod ledger;
pub mod metrics;
pub mod outbox;
pub mod presence;
pub mod rate;
pub mod request;
pub mod serve;
pub mod server;
pub mod sockets;
pub mod topic;
pub mod upstream;
pub mod wire;
pub mod ws;

pub use config::{Config, ConfigError, Limits, Times, TokenSource};
pub use flags::Flags;
pub use serve::{Error, raise_open_files, run};
