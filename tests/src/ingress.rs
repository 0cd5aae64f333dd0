//! nginx or HAProxy in front of bridges and servers, configured by the very files that users copy.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::within;

const NGINX: &str = include_str!("../../deploy/ingress/nginx.conf");
const HAPROXY: &str = include_str!("../../deploy/ingress/haproxy.cfg");

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Nginx,
    Haproxy,
}

/// A bridge or a server behind the ingress.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// `127.0.0.1:port`.
    pub address: String,
    /// The port of its readiness; that of the address for bridges.
    pub ready_port: u16,
}

impl Upstream {
    /// One that says at this address whether it is ready.
    pub fn new(address: &str) -> anyhow::Result<Self> {
        let port = address.rsplit_once(':').context("an address with a port")?.1;
        Ok(Self { address: address.to_owned(), ready_port: port.parse()? })
    }
}

/// A running ingress. Dropping it stops it.
pub struct Ingress {
    child: Child,
    folder: TempDir,
    /// `127.0.0.1:port` for browsers.
    pub http: String,
    /// `127.0.0.1:port` for services over gRPC.
    pub grpc: String,
}

impl Ingress {
    /// In front of these; for browsers on this port or any.
    pub async fn start(kind: Kind, http_port: u16, bridges: &[Upstream], servers: &[Upstream]) -> anyhow::Result<Self> {
        let (name, package) = match kind {
            Kind::Nginx => ("nginx", "nginx-light"),
            Kind::Haproxy => ("haproxy", "haproxy"),
        };
        let program =
            find(name).with_context(|| format!("there is no {name}; on Debian: sudo apt-get install {package}"))?;
        let (http, grpc) = (free_port(http_port)?, free_port(0)?);
        let folder = TempDir::with_prefix("courant-ingress-")?;
        let configuration = folder.path().join("configuration");
        let home = folder.path().display().to_string();
        let text = match kind {
            Kind::Nginx => nginx(&home, http, grpc, bridges, servers),
            Kind::Haproxy => haproxy(http, grpc, bridges, servers),
        };
        std::fs::write(&configuration, text)?;
        let errors = std::fs::File::create(folder.path().join("error.log"))?;
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => command.arg("-c").arg(&configuration).arg("-e").arg(folder.path().join("error.log")),
            Kind::Haproxy => command.arg("-db").arg("-f").arg(&configuration),
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).kill_on_drop(true).spawn()?;
        let mut ingress = Self { child, folder, http: format!("127.0.0.1:{http}"), grpc: format!("127.0.0.1:{grpc}") };
        ingress.listens().await.with_context(|| name)?;
        Ok(ingress)
    }

    async fn listens(&mut self) -> anyhow::Result<()> {
        within("the ingress to listen", async {
            while TcpStream::connect(&self.http).await.is_err() {
                if self.child.try_wait()?.is_some() {
                    bail!("it ended: {}", self.errors());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        })
        .await
    }

    /// What it complained of.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        // The worker processes of nginx end with it only if it is asked.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            crate::up::signal(pid, libc::SIGTERM);
        }
    }
}

/// Debian keeps them where only root's path looks.
fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn free_port(port: u16) -> anyhow::Result<u16> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let free = free.with_context(|| format!("port {port} cannot be used; choose another with --port"))?;
    Ok(free.local_addr()?.port())
}

fn nginx(home: &str, http: u16, grpc: u16, bridges: &[Upstream], servers: &[Upstream]) -> String {
    let ours = with_upstreams(NGINX, bridges, servers)
        .replace("listen 80;", &format!("listen 127.0.0.1:{http};"))
        .replace("listen 50051 http2;", &format!("listen 127.0.0.1:{grpc} http2;"));
    format!(
        "daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\n\
           access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;\n\
           fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n\
           {ours}\n\
         }}\n"
    )
}

fn haproxy(http: u16, grpc: u16, bridges: &[Upstream], servers: &[Upstream]) -> String {
    with_upstreams(HAPROXY, bridges, servers)
        .replace("maxconn 20000", "maxconn 2000")
        .replace("bind :80", &format!("bind 127.0.0.1:{http}"))
        .replace("bind :50051", &format!("bind 127.0.0.1:{grpc}"))
}

/// The configuration with these instead of the examples.
fn with_upstreams(text: &str, bridges: &[Upstream], servers: &[Upstream]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let example = line.trim_start();
        if let Some(rest) = example.strip_prefix("server bridge-") {
            lines.extend(instead(line, rest, "bridge-1", "8080", bridges));
        } else if let Some(rest) = example.strip_prefix("server server-") {
            lines.extend(instead(line, rest, "server-1", "50051", servers));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n") + "\n"
}

/// All upstreams, written as the first of the examples is; nothing instead of the others.
fn instead(line: &str, rest: &str, first: &str, port: &str, upstreams: &[Upstream]) -> Vec<String> {
    if !rest.starts_with('1') {
        return Vec::new();
    }
    // As the example says for a single server.
    let alone = first == "server-1" && upstreams.len() == 1;
    let line = line.split_once(" check ").filter(|_| alone).map_or(line, |(before, _)| before);
    let written = |(index, upstream): (usize, &Upstream)| {
        line.replace(&format!("{first}:{port}"), &upstream.address)
            .replace(first, &format!("{}{}", first.trim_end_matches('1'), index + 1))
            .replace("port 9464", &format!("port {}", upstream.ready_port))
    };
    upstreams.iter().enumerate().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_replaced_by_what_there_is() {
        let at = |port: u16| Upstream { address: format!("127.0.0.1:{port}"), ready_port: port + 1 };
        let (bridges, servers) = ([at(1), at(2), at(3)], [at(7), at(17)]);
        let nginx = nginx("/tmp", 10, 11, &bridges, &servers);
        assert!(nginx.contains("server 127.0.0.1:3 max_fails=1") && nginx.contains("server 127.0.0.1:7 max_fails=1"));
        assert!(!nginx.contains("bridge-") && !nginx.contains("server server-"), "{nginx}");
        let haproxy = haproxy(10, 11, &bridges, &servers);
        assert!(haproxy.contains("server bridge-3 127.0.0.1:3 check\n"), "{haproxy}");
        assert!(haproxy.contains("server server-1 127.0.0.1:7 proto h2 check check-proto h1 port 8\n"), "{haproxy}");
        let alone = super::haproxy(10, 11, &bridges, &servers[..1]);
        assert!(alone.contains("server server-1 127.0.0.1:7 proto h2\n"), "{alone}");
        assert!(!haproxy.contains(":8080") && !haproxy.contains("bind :"), "{haproxy}");
    }
}
