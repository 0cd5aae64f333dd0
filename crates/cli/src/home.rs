//! The data folder of `courant up`: who may enter it, its secret, and the note that tells other commands where a running
//! `up` listens.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use courant_auth::{Role, Secret, Signer};
use courant_server::data_dir;
use courant_tls::{ClientTls, ServerFiles, ServerTls};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The secret that tokens are signed with.
pub const SECRET_FILE: &str = "secret";
const RUNNING_FILE: &str = "up.json";
/// How long a token lives that a command makes for itself; made for every connection.
const OWN_TOKEN_TTL: Duration = Duration::from_secs(3600);

/// Where a running `up` listens. No secrets. A killed `up` leaves it behind, so it is a hint and never a proof.
#[derive(Serialize, Deserialize)]
pub struct RunningService {
    pub pid: u32,
    pub grpc: String,
    pub http: String,
    /// With TLS: whose certificate it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RunningTls>,
}

/// Where the certificate of an `up` is, for commands of the same person on the same machine.
#[derive(Serialize, Deserialize)]
pub struct RunningTls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl RunningTls {
    /// The files may be named from anywhere.
    pub fn of(files: &ServerFiles) -> Self {
        let absolute = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self { cert: absolute(&files.cert), key: absolute(&files.key) }
    }

    /// Believes that certificate alone, and shows it.
    pub fn into_client(self) -> Result<ClientTls, Failure> {
        Ok(ServerTls::load(ServerFiles { cert: self.cert, key: self.key, client_ca: None })?.as_client())
    }
}

#[derive(Clone)]
pub struct Home(PathBuf);

impl Home {
    /// Names a folder without touching it.
    pub fn at(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Makes the folder if needed and closes it to other users, as the server does.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        data_dir::prepare(dir)?;
        Ok(Self(dir.to_owned()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The absolute path, for printing.
    pub fn absolute(&self) -> PathBuf {
        fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone())
    }

    /// The secret; made on first use.
    pub fn secret(&self) -> Result<Secret, Failure> {
        Ok(Secret::load_or_create(&self.0.join(SECRET_FILE))?)
    }

    /// A token for the person at the terminal, from the secret of this folder.
    pub fn own_token(&self, user: Option<&str>, roles: &[Role]) -> Result<String, Failure> {
        let path = self.0.join(SECRET_FILE);
        if !path.exists() {
            return Err(Failure::NoToken(self.0.clone()));
        }
        let secret = Secret::load(&path)?;
        Ok(Signer::hs256(&secret).sign(&user_name(user), roles, OWN_TOKEN_TTL)?)
    }

    /// Where the `up` on this folder listens.
    pub fn running(&self) -> Result<RunningService, Failure> {
        let text = fs::read(self.0.join(RUNNING_FILE)).map_err(|_| Failure::NotRunning(self.0.clone()))?;
        serde_json::from_slice(&text).map_err(|_| Failure::NotRunning(self.0.clone()))
    }

    /// Leaves the note; written aside and moved, so that nobody reads half of it.
    pub fn write_running(&self, note: &RunningService) -> Result<(), Failure> {
        let path = self.0.join(RUNNING_FILE);
        let draft = self.0.join(format!("{RUNNING_FILE}.new"));
        let file = |source| Failure::File { path: path.clone(), source };
        fs::write(&draft, serde_json::to_vec(note)?).map_err(file)?;
        fs::rename(&draft, &path).map_err(file)
    }

    /// Takes the note away at the end.
    pub fn remove_running(&self) {
        // Left behind it does no harm: a command that follows it finds nobody there and says so.
        let _ = fs::remove_file(self.0.join(RUNNING_FILE));
    }
}

/// The given name, else the login name, else `local`.
pub fn user_name(given: Option<&str>) -> String {
    let login = || ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    given.map(str::to_owned).or_else(login).unwrap_or_else(|| "local".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_folder_and_its_secret_are_private() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("a/b");
        let home = Home::open(&dir).unwrap();
        home.secret().unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        Home::open(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("holiday.jpg"), "x").unwrap();
        let before = fs::metadata(scratch.path()).unwrap().permissions().mode();
        assert!(matches!(Home::open(scratch.path()), Err(Failure::DataDir(data_dir::DataDirError::Foreign(_)))));
        assert_eq!(fs::metadata(scratch.path()).unwrap().permissions().mode(), before);
    }

    #[test]
    fn without_a_secret_there_is_no_token() {
        let scratch = tempfile::tempdir().unwrap();
        assert!(matches!(Home::at(scratch.path()).own_token(None, &[]), Err(Failure::NoToken(_))));
    }
}
