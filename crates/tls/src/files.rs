//! Reading certificates and keys, and saying what is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::VerifierBuilderError;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore};
use x509_cert::der::Decode as _;

/// A certificate that ends sooner is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// No certificate in it.
    #[error("{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", .0.display())]
    NoCertificate(PathBuf),
    /// No key in it.
    #[error("{} holds no private key in PEM form (PKCS#8, PKCS#1 or SEC1, without a password)", .0.display())]
    NoKey(PathBuf),
    /// The key belongs to another certificate.
    #[error("the private key {} does not belong to the certificate {}", key.display(), cert.display())]
    Mismatch { cert: PathBuf, key: PathBuf },
    /// Its time is over.
    #[error("the certificate {} was valid until {until}; renew it", path.display())]
    Expired { path: PathBuf, until: humantime::Rfc3339Timestamp },
    /// Its time has not come.
    #[error("the certificate {} is valid from {from} on; is this machine's clock right?", path.display())]
    TooEarly { path: PathBuf, from: humantime::Rfc3339Timestamp },
    /// Something in a file cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    /// There is nobody to believe.
    #[error("this system has no certificate authorities; name one (--ca)")]
    NoRoots,
    /// The two do not go together.
    #[error("{address}: a certificate authority or certificate was given, so it must begin with https://")]
    NotHttps { address: String },
    /// A time that cannot work.
    #[error("{0} must be at least 100ms")]
    TooShort(&'static str),
    /// A protocol version or provider that rustls does not have.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authorities cannot be used to judge by.
    #[error("the certificate authorities cannot be used: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// A chain and its key, checked against each other and the clock.
pub(crate) fn identity(
    (cert, cert_pem): (&Path, &[u8]),
    (key, key_pem): (&Path, &[u8]),
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(cert, cert_pem)?;
    check_time(cert, &chain[0], SystemTime::now())?;
    let private = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::NoKey(key.to_owned()))?;
    let unusable =
        |path: &Path, error: rustls::Error| TlsError::Unusable { path: path.to_owned(), reason: error.to_string() };
    let signing = provider.key_provider.load_private_key(private).map_err(|error| unusable(key, error))?;
    let identity = CertifiedKey::new(chain, signing);
    match identity.keys_match() {
        Ok(()) => Ok(Arc::new(identity)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned() })
        }
        Err(error) => Err(unusable(cert, error)),
    }
}

pub(crate) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| TlsError::NoCertificate(path.to_owned()))
}

pub(crate) fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::Unusable { path: path.to_owned(), reason: error.to_string() })?;
    }
    Ok(roots)
}

/// The authorities this system believes.
pub(crate) fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

/// When the first certificate of a chain ends; none for what cannot be read.
pub(crate) fn chain_expiry(chain: &[CertificateDer<'_>]) -> Option<SystemTime> {
    let ends = chain.iter().filter_map(|one| x509_cert::Certificate::from_der(one).ok());
    ends.map(|one| one.tbs_certificate.validity.not_after.to_system_time()).min()
}

/// When the chain in a PEM file ends: the first of its certificates that does. None for a file that has none or cannot be read.
pub fn file_expiry(path: &Path) -> Option<SystemTime> {
    chain_expiry(&certificates(path, &read(path).ok()?).ok()?)
}

fn check_time(path: &Path, certificate: &CertificateDer<'_>, now: SystemTime) -> Result<(), TlsError> {
    let parsed = x509_cert::Certificate::from_der(certificate)
        .map_err(|error| TlsError::Unusable { path: path.to_owned(), reason: error.to_string() })?;
    let validity = parsed.tbs_certificate.validity;
    let (from, until) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());
    if now < from {
        return Err(TlsError::TooEarly { path: path.to_owned(), from: humantime::format_rfc3339_seconds(from) });
    }
    if now > until {
        return Err(TlsError::Expired { path: path.to_owned(), until: humantime::format_rfc3339_seconds(until) });
    }
    if now + SOON > until {
        let until = humantime::format_rfc3339_seconds(until);
        tracing::warn!(file = %path.display(), %until, "a certificate ends soon; renew it");
    }
    Ok(())
}
