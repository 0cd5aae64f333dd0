//! A network that breaks when it is told to: connections to a node go through it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes on bytes until they are cut off. Ends with it.
pub struct Proxy {
    pub port: u16,
    cuts: watch::Sender<u64>,
    mute: Arc<AtomicBool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let ((cuts, cut), mute) = (watch::channel(0), Arc::new(AtomicBool::new(false)));
        let muted = mute.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut cut, muted) = (cut.clone(), muted.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = pass(client, port, &muted) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port: own, cuts, mute, accepting }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Cuts all connections off, wherever their bytes are; new ones may be made.
    pub fn cut(&self) {
        self.mute.store(false, Ordering::Relaxed);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets nothing of the server through any more, and all of the client, until connections are cut off.
    pub fn mute(&self) {
        self.mute.store(true, Ordering::Relaxed);
    }
}

/// Until one of both ends it.
async fn pass(client: TcpStream, port: u16, muted: &AtomicBool) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let back = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = from_server.read(&mut bytes).await?;
            if count == 0 {
                return Ok(());
            }
            if !muted.load(Ordering::Relaxed) {
                to_client.write_all(&bytes[..count]).await?;
            }
        }
    };
    tokio::select! {
        sent = tokio::io::copy(&mut from_client, &mut to_server) => sent.map(drop),
        ended = back => ended,
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}
