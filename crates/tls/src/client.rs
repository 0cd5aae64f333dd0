//! For whoever connects: whom to believe, and what to show.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::sign::SingleCertAndKey;

use crate::files::{self, TlsError, read};
use crate::pinned::Pinned;
use crate::provider;
use crate::server::ServerTls;

/// TLS of whoever connects to the server. Also a group of flags: each has an environment variable `COURANT_…`.
#[cfg_attr(feature = "flags", derive(clap::Args), command(next_help_heading = "TLS"))]
#[derive(Clone, Debug, Default)]
pub struct ClientFlags {
    /// Whose certificates to believe the server (https://…), in PEM; default: the authorities of this system
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_CA", value_name = "FILE"))]
    pub ca: Option<PathBuf>,

    /// Certificate chain to show the server if it asks for one (mutual TLS), in PEM
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_CERT", value_name = "FILE", requires = "key"))]
    pub cert: Option<PathBuf>,

    /// Its private key, in PEM
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_KEY", value_name = "FILE", requires = "cert"))]
    pub key: Option<PathBuf>,
}

impl ClientFlags {
    /// The files that are named, each with its flag.
    pub fn files(&self) -> [(&'static str, Option<&Path>); 3] {
        [("--ca", self.ca.as_deref()), ("--cert", self.cert.as_deref()), ("--key", self.key.as_deref())]
    }

    /// What an address needs: TLS for `https://`, none for anything else.
    pub fn load_for(&self, address: &str) -> Result<Option<ClientTls>, TlsError> {
        ClientFiles { ca: self.ca.clone(), identity: self.cert.clone().zip(self.key.clone()) }.load_for(address)
    }
}

/// Where certificates come from.
#[derive(Clone, Debug, Default)]
pub struct ClientFiles {
    /// Authorities to believe; none: those of the system.
    pub ca: Option<PathBuf>,
    /// Chain and key to show.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClientFiles {
    /// What an address needs: TLS for `https://`, none for anything else.
    pub fn load_for(self, address: &str) -> Result<Option<ClientTls>, TlsError> {
        if address.starts_with("https://") {
            return ClientTls::load(self).map(Some);
        }
        match (self.ca, self.identity) {
            (None, None) => Ok(None),
            _ => Err(TlsError::NotHttps { address: address.to_owned() }),
        }
    }

    fn read(&self) -> Result<Vec<Vec<u8>>, TlsError> {
        let (cert, key) = self.identity.as_ref().map(|(cert, key)| (cert, key)).unzip();
        [self.ca.as_ref(), cert, key].into_iter().flatten().map(|path| read(path)).collect()
    }

    fn config(&self, pems: &[Vec<u8>]) -> Result<ClientConfig, TlsError> {
        let provider = provider();
        let mut pems = pems.iter();
        let roots = match &self.ca {
            Some(path) => files::authorities(path, pems.next().map_or(&[], Vec::as_slice))?,
            None => files::system_authorities()?,
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match (&self.identity, pems.next(), pems.next()) {
            (Some((cert, key)), Some(cert_pem), Some(key_pem)) => {
                let identity = files::identity((cert, cert_pem), (key, key_pem), &provider)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// TLS, ready to connect. Cloning shares.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<Trust>);

#[derive(Debug)]
enum Trust {
    Files { files: ClientFiles, last: Mutex<Last> },
    Pinned(ServerTls),
}

/// What was read last.
#[derive(Debug)]
struct Last {
    read: Vec<Vec<u8>>,
    config: Arc<ClientConfig>,
}

impl ClientTls {
    pub fn load(files: ClientFiles) -> Result<Self, TlsError> {
        let read = files.read()?;
        let config = Arc::new(files.config(&read)?);
        Ok(Self(Arc::new(Trust::Files { files, last: Mutex::new(Last { read, config }) })))
    }

    pub(crate) fn of(server: ServerTls) -> Self {
        Self(Arc::new(Trust::Pinned(server)))
    }

    /// When the chain ends that is shown to servers that ask for one, as its file is now. None for what shows none, or shows that
    /// of a listener in the same process.
    pub fn expiry(&self) -> Option<SystemTime> {
        match &*self.0 {
            Trust::Files { files, .. } => files::file_expiry(&files.identity.as_ref()?.0),
            Trust::Pinned(_) => None,
        }
    }

    /// For the next connection: files that have changed are read again. When they cannot be used, the old ones stay.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let (files, last) = match &*self.0 {
            Trust::Pinned(server) => return pinned_config(server).map(Arc::new),
            Trust::Files { files, last } => (files, last),
        };
        let mut last = last.lock();
        match files.read() {
            Ok(read) if read == last.read => {}
            changed => match changed.and_then(|read| Ok(Last { config: Arc::new(files.config(&read)?), read })) {
                Ok(now) => *last = now,
                Err(error) => tracing::warn!(%error, "a changed certificate cannot be used; the old one stays"),
            },
        }
        Ok(last.config.clone())
    }
}

fn pinned_config(server: &ServerTls) -> Result<ClientConfig, TlsError> {
    let (identity, provider) = (server.identity(), provider());
    let only = Pinned { certificate: identity.cert[0].clone(), provider: provider.clone() };
    let shown: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(identity));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(only))
        .with_client_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
