//! A way to the server that can be cut and closed.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Hands connections on to an address.
#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Whether new connections are handed on.
    open: bool,
    /// Ends those there are.
    cut: CancellationToken,
}

impl Proxy {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { open: true, cut: CancellationToken::new() }));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (open, cut) = {
                    let state = shared.lock();
                    (state.open, state.cut.clone())
                };
                if !open {
                    continue;
                }
                tokio::spawn(cut.run_until_cancelled_owned(async move {
                    if let Ok(mut server) = TcpStream::connect(server).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                }));
            }
        });
        Self { address, state }
    }

    /// Ends all connections; new ones are handed on.
    pub fn cut(&self) {
        let mut state = self.state.lock();
        std::mem::replace(&mut state.cut, CancellationToken::new()).cancel();
    }

    /// Ends all connections, and new ones until it is opened again.
    pub fn close(&self) {
        self.state.lock().open = false;
        self.cut();
    }

    pub fn open(&self) {
        self.state.lock().open = true;
    }
}
