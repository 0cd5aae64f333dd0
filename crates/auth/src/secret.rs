//! The shared secret of HS256 tokens, as a file that only its owner may read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The least length of a secret in bytes: the size of the hash (RFC 7518, section 3.2).
pub const MIN_BYTES: usize = 32;
/// More than this is not a secret but a mistaken path.
const MAX_BYTES: u64 = 4096;
/// What the mode of a secret file may allow.
const OWNER: u32 = 0o700;
/// The same of a file that root owns and somebody else reads.
const OWNER_AND_READING_GROUP: u32 = 0o740;

/// A secret. Not shown by `Debug`.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("cannot use the secret file {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// Others may read the file.
    #[error("the secret file {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
    /// The secret can be guessed.
    #[error("the secret has {bytes} bytes; at least {MIN_BYTES} are needed (try: openssl rand -hex 32)")]
    Short { bytes: usize },
}

impl Secret {
    /// Takes bytes as a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, SecretError> {
        let bytes = bytes.into();
        if bytes.len() < MIN_BYTES { Err(SecretError::Short { bytes: bytes.len() }) } else { Ok(Self(bytes)) }
    }

    /// Reads a secret file; white space at its ends does not count.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let io = |source| SecretError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        check_private(path, &file.metadata().map_err(io)?)?;
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text).map_err(io)?;
        Self::new(text.trim_ascii())
    }

    /// Reads a secret file, or makes one with 256 random bits and mode 0600. Safe against two starters at once.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        let io = |source| SecretError::Io { path: path.to_owned(), source };
        if path.exists() {
            return Self::load(path);
        }
        let mut random = [0u8; 32];
        getrandom::fill(&mut random).map_err(|error| io(std::io::Error::other(error.to_string())))?;
        let text = courant_runtime::hex(&random);
        // Written aside and linked into place, so that nobody ever reads half a secret.
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft).map_err(io)?;
        match linked {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io(error)),
            _ => Self::load(path),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Refuses a file that others may read. One that root gave us may be read by a group: that is how Kubernetes mounts secrets for
/// whoever is not root (`fsGroup`), and how access control lists look that systemd gives credentials.
fn check_private(path: &Path, file: &Metadata) -> Result<(), SecretError> {
    let mode = file.permissions().mode() & 0o777;
    let given_by_root = file.uid() == 0 && !rustix::process::geteuid().is_root();
    let allowed = if given_by_root { OWNER_AND_READING_GROUP } else { OWNER };
    if mode & !allowed == 0 { Ok(()) } else { Err(SecretError::Exposed { path: path.to_owned(), mode }) }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("courant-secret-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_made_secret_is_private_and_stays() {
        let path = scratch("made").join("jwt.secret");
        let first = Secret::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Secret::load_or_create(&path).unwrap().bytes(), first.bytes());
    }

    #[test]
    fn a_readable_or_short_secret_is_refused() {
        let path = scratch("bad").join("jwt.secret");
        std::fs::write(&path, "x".repeat(64)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Secret::load(&path), Err(SecretError::Exposed { .. })));
        assert!(matches!(Secret::new("short"), Err(SecretError::Short { bytes: 5 })));
    }
}
