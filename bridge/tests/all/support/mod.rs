//! A bridge on port 0 in front of the server, with its log in memory.
#![allow(dead_code, reason = "each story file uses its own part")]

pub mod client;
pub mod program;
pub mod proxy;
pub mod real;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use courant_auth::{Role, Secret, Signer, Verifier};
use courant_bridge::Config;
use courant_runtime::Shutdown;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use client::Client;
pub use real::RealServer;

/// Longer than anything a story waits for, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

fn secret() -> Secret {
    Secret::new([7u8; 32]).unwrap()
}

/// A token of that user.
pub fn token(user: &str) -> String {
    token_for(user, &[], Duration::from_secs(3600))
}

/// A token with roles.
pub fn token_for(user: &str, roles: &[Role], ttl: Duration) -> String {
    Signer::hs256(&secret()).sign(user, roles, ttl).unwrap()
}

pub fn verifier() -> Verifier {
    Verifier::hs256(&secret())
}

/// A running bridge with its server.
pub struct Stage {
    pub server: RealServer,
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    pub bridge: JoinHandle<Result<(), courant_bridge::Error>>,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        Self::before(RealServer::start().await, adjust).await
    }

    /// Another bridge before the same server.
    pub async fn beside(&self) -> Self {
        Self::before(self.server.clone(), |_| {}).await
    }

    /// A bridge before a server that is there, once it says that it can serve.
    pub async fn before(server: RealServer, adjust: impl FnOnce(&mut Config)) -> Self {
        let stage = Self::not_ready(server, adjust).await;
        stage.ready(200).await;
        stage
    }

    /// A bridge that may never be ready.
    pub async fn not_ready(server: RealServer, adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(
            server.url(),
            verifier(),
            Arc::new(|| token_for("the-bridge", &[Role::Bridge], Duration::from_secs(60))),
        );
        config.console = courant_console::file;
        config.times.health = Duration::from_millis(20);
        config.times.backoff = Duration::from_millis(50);
        config.times.drain_spread = Duration::from_millis(100);
        config.times.lame_duck = Duration::ZERO;
        adjust(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let bridge = tokio::spawn(courant_bridge::run(listener, config, shutdown.clone()));
        Self { server, address, shutdown, bridge }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A connection that has sent its token.
    pub async fn client(&self, user: &str) -> Client {
        self.signed_in(Client::connect(self.address).await, user).await
    }

    /// The same, with a small buffer in the kernel.
    pub async fn client_that_buffers_little(&self, user: &str) -> Client {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let socket = socket.connect(self.address).await.unwrap();
        self.signed_in(Client::over(socket, self.address, &[]).await.unwrap(), user).await
    }

    pub async fn metrics(&self) -> String {
        let admin = token_for("root", &[Role::Admin], Duration::from_secs(60));
        let request = reqwest::Client::new().get(self.url("/metrics")).bearer_auth(admin);
        request.send().await.unwrap().text().await.unwrap()
    }

    /// Waits until a number is what it should be.
    pub async fn metrics_show(&self, line: &str) {
        let line = format!("courant_bridge_{line}\n");
        let shown = async { while !self.metrics().await.contains(&line) {} };
        assert!(tokio::time::timeout(PATIENCE, shown).await.is_ok(), "never {line}{}", self.metrics().await);
    }

    /// A connection of an admin.
    pub async fn admin(&self) -> Client {
        let mut client = Client::connect(self.address).await;
        let token = token_for("root", &[Role::Admin], Duration::from_secs(3600));
        client.ask(serde_json::json!({"id": 0, "type": "auth", "token": token})).await;
        client
    }

    async fn signed_in(&self, mut client: Client, user: &str) -> Client {
        client.send(serde_json::json!({"id": 0, "type": "auth", "token": token(user)})).await;
        let connected = client.next().await;
        assert_eq!((connected["type"].as_str(), connected["user"].as_str()), (Some("connected"), Some(user)));
        client
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&self, expected: u16) {
        let all = async {
            while reqwest::get(self.url("/readyz")).await.unwrap().status() != expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("readiness did not change");
    }
}
