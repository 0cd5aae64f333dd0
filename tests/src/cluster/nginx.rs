//! nginx in front of the bridges.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::within;

/// A running nginx. Dropping it kills it.
pub(super) struct Nginx {
    child: Child,
    folder: TempDir,
    /// `127.0.0.1:port`.
    pub(super) address: String,
}

impl Nginx {
    /// In front of bridges at these addresses, on this port or any.
    pub(super) async fn start(port: u16, bridges: &[&str]) -> anyhow::Result<Self> {
        let program = find().context("there is no nginx; on Debian: sudo apt-get install nginx-light")?;
        let port = free_port(port)?;
        let folder = TempDir::with_prefix("courant-nginx-")?;
        let configuration = folder.path().join("nginx.conf");
        std::fs::write(&configuration, configure(&folder.path().display().to_string(), port, bridges))?;
        let errors = folder.path().join("error.log");
        let mut command = Command::new(program);
        command.arg("-c").arg(&configuration).arg("-e").arg(&errors).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let mut nginx = Self { child, folder, address: format!("127.0.0.1:{port}") };
        nginx.listens().await?;
        Ok(nginx)
    }

    async fn listens(&mut self) -> anyhow::Result<()> {
        within("nginx to listen", async {
            while TcpStream::connect(&self.address).await.is_err() {
                if self.child.try_wait()?.is_some() {
                    bail!("nginx ended: {}", std::fs::read_to_string(self.folder.path().join("error.log"))?);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        })
        .await
    }
}

/// Debian keeps it where only root's path looks.
fn find() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|path| path.is_file())
}

fn free_port(port: u16) -> anyhow::Result<u16> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let free = free.with_context(|| format!("port {port} cannot be used; choose another with --port"))?;
    Ok(free.local_addr()?.port())
}

/// WebSockets, event streams and uploads pass without being held back; a bridge that is gone is left out.
fn configure(folder: &str, port: u16, bridges: &[&str]) -> String {
    let upstreams: Vec<String> =
        bridges.iter().map(|bridge| format!("server {bridge} max_fails=1 fail_timeout=2s;")).collect();
    format!(
        "daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n\
           access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
           fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n\
           map $http_upgrade $upgrading {{ default upgrade; '' ''; }}\n\
           upstream bridges {{ {} }}\n\
           server {{\n\
             listen 127.0.0.1:{port}; client_max_body_size 0;\n\
             location / {{\n\
               proxy_pass http://bridges; proxy_http_version 1.1; proxy_set_header Host $http_host;\n\
               proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrading;\n\
               proxy_buffering off; proxy_request_buffering off; proxy_connect_timeout 2s; proxy_read_timeout 75s;\n\
             }}\n\
           }}\n\
         }}\n",
        upstreams.join(" ")
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker processes end with it only if it is asked.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            crate::up::signal(pid, libc::SIGTERM);
        }
    }
}
