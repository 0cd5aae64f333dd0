//! A bridge under TLS, and clients that verify it and say which HTTP they speak.

use std::net::SocketAddr;
use std::sync::Arc;

use courant_tls::{ServerFiles, ServerTls};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub const HTTP_2: &[u8] = b"h2";
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// A certificate of localhost.
pub struct Certificate {
    der: CertificateDer<'static>,
    folder: tempfile::TempDir,
}

impl Certificate {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { der: made.cert.der().clone(), folder }
    }

    pub fn server(&self) -> ServerTls {
        let path = |name| self.folder.path().join(name);
        ServerTls::load(ServerFiles { cert: path("cert.pem"), key: path("key.pem"), client_ca: None }).unwrap()
    }

    /// A connection that offers these protocols.
    pub async fn connect(&self, address: SocketAddr, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        self.shake(TcpStream::connect(address).await.unwrap(), protocols).await
    }

    /// The same from another address than everybody else's.
    pub async fn connect_from_elsewhere(&self, address: SocketAddr, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        self.shake(socket.connect(address).await.unwrap(), protocols).await
    }

    async fn shake(&self, socket: TcpStream, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
    }
}

/// What both sides agreed on.
pub fn agreed(socket: &TlsStream<TcpStream>) -> Option<&[u8]> {
    socket.get_ref().1.alpn_protocol()
}
