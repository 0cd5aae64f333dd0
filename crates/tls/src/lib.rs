//! TLS by rustls, for whoever listens and whoever connects: certificates from PEM files, renewed while running. Also which of several
//! servers a client is connected to.
//!
//! One provider (aws-lc-rs), TLS 1.2 and 1.3, no OpenSSL. Knows files and sockets; nothing of jobs or HTTP.

pub mod client;
pub mod connection;
pub mod connector;
pub mod files;
pub mod incoming;
pub mod limits;
mod pinned;
pub mod server;
pub mod servers;
pub mod socket;

pub use client::{ClientFiles, ClientFlags, ClientTls};
pub use connection::{Connection, ConnectionInfo, CountCalls};
pub use files::{TlsError, file_expiry};
pub use incoming::incoming;
pub use limits::{ConnectionLimits, Network, network};
pub use server::{Protocol, ServerFiles, ServerFlags, ServerTls};
pub use servers::{AddressError, Servers};
pub use socket::Socket;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
