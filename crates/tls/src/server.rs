//! For whoever listens: which certificate is shown, and who may come in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::client::ClientTls;
use crate::files::{self, TlsError, read};
use crate::pinned::PinnedOr;
use crate::socket::HTTP_2;
use crate::{Socket, provider};

/// The first byte of every TLS connection: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 22;
/// What somebody reads who speaks plain HTTP where TLS is spoken.
const TLS_REQUIRED: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 40\r\n\
    connection: close\r\n\r\nTLS is spoken here: begin with https://\n";
/// The name in ALPN.
const HTTP_1_1: &[u8] = b"http/1.1";
/// Shorter makes no sense.
const SHORTEST: Duration = Duration::from_millis(100);

/// TLS of whoever listens. Also a group of flags: each has an environment variable `COURANT_…`.
#[cfg_attr(feature = "flags", derive(clap::Args), command(next_help_heading = "TLS"))]
#[derive(Clone, Debug)]
pub struct ServerFlags {
    /// Certificate chain to show, in PEM; without it, TLS is not spoken. Read again when it changes
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_TLS_CERT", value_name = "FILE", requires = "tls_key"))]
    pub tls_cert: Option<PathBuf>,

    /// Its private key, in PEM
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_TLS_KEY", value_name = "FILE", requires = "tls_cert"))]
    pub tls_key: Option<PathBuf>,

    /// How long a TLS handshake may take
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_TLS_HANDSHAKE_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration))]
    pub tls_handshake_timeout: Duration,

    /// How often certificate files are looked at for changes
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_TLS_RELOAD", default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration))]
    pub tls_reload: Duration,
}

impl ServerFlags {
    /// The files that are named, each with its flag.
    pub fn files(&self) -> [(&'static str, Option<&Path>); 2] {
        [("--tls-cert", self.tls_cert.as_deref()), ("--tls-key", self.tls_key.as_deref())]
    }

    /// Reads the files. None when TLS is not wanted. With `client_ca` only those get in who have a certificate of it.
    pub fn load(&self, client_ca: Option<PathBuf>) -> Result<Option<ServerTls>, TlsError> {
        let (Some(cert), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) else { return Ok(None) };
        for (name, time) in [("--tls-handshake-timeout", self.tls_handshake_timeout), ("--tls-reload", self.tls_reload)]
        {
            if time < SHORTEST {
                return Err(TlsError::TooShort(name));
            }
        }
        let tls = ServerTls::load(ServerFiles { cert, key, client_ca })?;
        Ok(Some(ServerTls { handshake: self.tls_handshake_timeout, reload: self.tls_reload, ..tls }))
    }
}

/// Where certificates come from.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// The chain to show.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Whose certificates clients must have, if they must have one.
    pub client_ca: Option<PathBuf>,
}

/// What is spoken under TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http2,
    /// For those who cannot be answered otherwise.
    Http1,
    /// Browsers: HTTP/2 where they know it, HTTP/1.1 for their WebSockets. [`Socket::is_http2`] says which.
    Http1OrHttp2,
}

impl Protocol {
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http2 => vec![HTTP_2.to_vec()],
            Self::Http1 => vec![HTTP_1_1.to_vec()],
            Self::Http1OrHttp2 => vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()],
        }
    }
}

/// TLS, ready to accept. Cloning shares.
#[derive(Clone, Debug)]
pub struct ServerTls {
    shown: Arc<Shown>,
    handshake: Duration,
    reload: Duration,
}

#[derive(Debug)]
struct Shown {
    files: ServerFiles,
    now: RwLock<Now>,
}

/// What was read last.
#[derive(Clone, Debug)]
struct Now {
    /// As in the files, to see whether they have changed.
    read: Vec<Vec<u8>>,
    identity: Arc<CertifiedKey>,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    pub fn load(files: ServerFiles) -> Result<Self, TlsError> {
        let now = Now::build(&files, Now::read(&files)?)?;
        let shown = Arc::new(Shown { files, now: RwLock::new(now) });
        Ok(Self { shown, handshake: Duration::from_secs(10), reload: Duration::from_secs(30) })
    }

    /// Looks at the files from time to time, for ever: a background task, for a supervisor to keep. Connections that are open
    /// keep what they have; files that cannot be used are told of, and the old ones stay.
    pub fn keep_fresh(&self) -> impl Future<Output = ()> + Send + use<> {
        keep_fresh(self.shown.clone(), self.reload)
    }

    /// Shakes hands. Whoever takes too long for it is let go; who does not speak TLS is told so.
    pub async fn accept(&self, mut socket: TcpStream, protocol: Protocol) -> std::io::Result<Socket> {
        let shake = async {
            let mut first = [0];
            if socket.peek(&mut first).await? == 1 && first[0] != HANDSHAKE_RECORD {
                if protocol != Protocol::Http2 {
                    socket.write_all(TLS_REQUIRED).await?;
                    close_with_error(socket).await?;
                }
                return Err(std::io::Error::other("not TLS"));
            }
            let mut config = ServerConfig::clone(&self.shown.now.read().config);
            config.alpn_protocols = protocol.alpn();
            match TlsAcceptor::from(Arc::new(config)).accept(socket).into_fallible().await {
                Ok(socket) => Ok(Socket::Tls(Box::new(socket.into()))),
                Err((error, socket)) => {
                    // The reason has been sent as an alert.
                    close_with_error(socket).await?;
                    Err(error)
                }
            }
        };
        tokio::time::timeout(self.handshake, shake).await?
    }

    /// TLS for clients with the same certificate, such as parts of one process: they trust this one only, and present it.
    pub fn as_client(&self) -> ClientTls {
        ClientTls::of(self.clone())
    }

    pub(crate) fn identity(&self) -> Arc<CertifiedKey> {
        self.shown.now.read().identity.clone()
    }

    /// When the chain that is shown ends: the first of its certificates that does.
    pub fn expiry(&self) -> Option<SystemTime> {
        files::chain_expiry(&self.identity().cert)
    }

    /// Where the certificate and its key are.
    pub fn files(&self) -> &ServerFiles {
        &self.shown.files
    }
}

impl Now {
    fn read(files: &ServerFiles) -> Result<Vec<Vec<u8>>, TlsError> {
        [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(|path| read(path))
            .collect()
    }

    fn build(files: &ServerFiles, read: Vec<Vec<u8>>) -> Result<Self, TlsError> {
        let provider = provider();
        let identity = files::identity((&files.cert, &read[0]), (&files.key, &read[1]), &provider)?;
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match (&files.client_ca, read.get(2)) {
            (Some(path), Some(pem)) => {
                let roots = Arc::new(files::authorities(path, pem)?);
                let others = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
                builder.with_client_cert_verifier(Arc::new(PinnedOr { own: identity.cert[0].clone(), others }))
            }
            _ => builder.with_no_client_auth(),
        };
        let config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.clone())));
        Ok(Self { read, identity, config: Arc::new(config) })
    }
}

/// Reads to the end: closing a socket with unread bytes makes the kernel reset it, and what was said last would be lost.
async fn close_with_error(mut socket: TcpStream) -> std::io::Result<()> {
    socket.shutdown().await?;
    let mut scratch = [0; 4096];
    while socket.read(&mut scratch).await? > 0 {}
    Ok(())
}

async fn keep_fresh(shown: Arc<Shown>, every: Duration) {
    let mut refused = None;
    loop {
        tokio::time::sleep(every).await;
        // A few small files: not worth a thread.
        let read = Now::read(&shown.files);
        if read.as_ref().is_ok_and(|read| *read == shown.now.read().read) {
            refused = None;
            continue;
        }
        match read.and_then(|read| Now::build(&shown.files, read)) {
            Ok(now) => {
                *shown.now.write() = now;
                refused = None;
                tracing::info!(cert = %shown.files.cert.display(), "new certificate");
            }
            // Said once: a certificate and its key are rarely replaced in the same moment.
            Err(error) => {
                let error = error.to_string();
                if refused.as_ref() != Some(&error) {
                    tracing::warn!(%error, "a changed certificate cannot be used; the old one stays");
                }
                refused = Some(error);
            }
        }
    }
}
