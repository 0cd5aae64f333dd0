//! Courant as it is measured: server and bridge in one program, or each in its own, on the server's core.

use std::net::SocketAddr;
use std::time::Duration;

use courant_auth::{Role, Secret, Signer};
use tempfile::TempDir;

use super::pinned::{Pinned, Program, free_address};
use super::usage::Processes;
use crate::bench::{Options, flags, server};
use crate::program::courant;
use crate::{Up, up::HOUR};

/// How the programs are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// `courant up`.
    Joint,
    /// `courant-server` and `courant-bridge`.
    Split,
}

/// A running server with a bridge.
pub struct Courant {
    /// `127.0.0.1:port` of the gRPC endpoint.
    pub grpc: String,
    /// Where browsers connect.
    pub http: SocketAddr,
    signer: Signer,
    programs: Programs,
}

enum Programs {
    Joint(Box<Up>),
    Split(Box<Split>),
}

struct Split {
    server: Pinned,
    bridge: Pinned,
    again: Program,
    /// The data, gone with it.
    _home: TempDir,
}

impl Courant {
    pub async fn start(options: &Options, arrangement: Arrangement) -> anyhow::Result<Self> {
        match arrangement {
            Arrangement::Joint => {
                let up = server(options, 0).await?;
                let signer = Signer::hs256(&Secret::load(&up.data().join("secret"))?);
                let (grpc, http) = (up.grpc.clone(), up.http.parse()?);
                Ok(Self { grpc, http, signer, programs: Programs::Joint(Box::new(up)) })
            }
            Arrangement::Split => Self::split(options).await,
        }
    }

    async fn split(options: &Options) -> anyhow::Result<Self> {
        let home = TempDir::with_prefix("courant-bench-")?;
        let secret = home.path().join("secret");
        let signer = Signer::hs256(&Secret::load_or_create(&secret)?);
        let (grpc, http) = (free_address()?, free_address()?);
        let secret = secret.display().to_string();
        let program = |name: &str, address, arguments: &[&str], limits: &[&str]| {
            let common = ["--secret-file", &secret, "--lame-duck", "0s"];
            let all = arguments.iter().chain(limits).chain(&common);
            anyhow::Ok(Program {
                core: options.server_core,
                path: courant()?.with_file_name(name),
                arguments: all.map(|argument| (*argument).to_owned()).collect(),
                // One of the two says it for the server, the other for the bridge.
                environment: vec![("RUST_LOG", "warn".to_owned()), ("COURANT_LOG", "warn".to_owned())],
                addresses: vec![address],
                log: home.path().join(format!("{name}.log")),
            })
        };
        let data = home.path().join("data").display().to_string();
        let listen = grpc.to_string();
        let arguments = ["--data-dir", &data, "--grpc", &listen];
        let server = program("courant-server", grpc, &arguments, flags::SERVER)?.start().await?;
        let (listen, to) = (http.to_string(), format!("http://{grpc}"));
        let again = program("courant-bridge", http, &["--listen", &listen, "--server", &to], flags::BRIDGE)?;
        let bridge = again.start().await?;
        let split = Split { server, bridge, again, _home: home };
        Ok(Self { grpc: grpc.to_string(), http, signer, programs: Programs::Split(Box::new(split)) })
    }

    /// `server` and `bridge`; together as `server` where they are one program.
    pub fn processes(&self) -> Processes {
        match &self.programs {
            Programs::Joint(up) => Processes(vec![("server", up.group())]),
            Programs::Split(split) => Processes(vec![("server", split.server.group), ("bridge", split.bridge.group)]),
        }
    }

    /// `kill -9` of the bridge, where it is a program of its own.
    pub async fn kill_bridge(&mut self) -> anyhow::Result<()> {
        match &mut self.programs {
            Programs::Joint(_) => anyhow::bail!("the bridge is part of `courant up` and cannot be killed alone"),
            Programs::Split(split) => split.bridge.kill().await,
        }
    }

    /// Starts it again at the same address, and waits until it listens.
    pub async fn start_bridge(&mut self) -> anyhow::Result<()> {
        if let Programs::Split(split) = &mut self.programs {
            split.bridge = split.again.start().await?;
        }
        Ok(())
    }

    pub fn token(&self, user: &str, roles: &[Role]) -> anyhow::Result<String> {
        const LIFE: Duration = Duration::from_secs(6 * HOUR.as_secs());
        Ok(self.signer.sign(user, roles, LIFE)?)
    }
}
