//! The data folder: whose it is, and that nobody else can look into it.
//!
//! It holds documents, results, names of people, and the keys that tokens and passwords depend on. What is made by this
//! process is its own alone ([`keep_private`]); what is found open is closed, and logged.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// What others may do, of the bits of a mode.
const OTHERS: u32 = 0o077;
/// A folder with one of these is a data folder.
const OURS: [&str; 10] = [
    "secret",
    "server.lock",
    "log.db",
    "log.lock",
    "notices.db",
    "objects",
    "password.key",
    "push.key",
    "up.json",
    "webhooks.db",
];
/// Every file system has this at its root.
const OF_THE_SYSTEM: &str = "lost+found";

/// Why a folder cannot be the data folder.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made or read.
    #[error("the data folder {folder} cannot be used: {source}")]
    Io { folder: PathBuf, source: std::io::Error },
    /// Closing it could hurt somebody.
    #[error("{0} holds other things than a Courant data folder; give --data-dir an empty or a new folder")]
    Foreign(PathBuf),
    /// Another server has it.
    #[error("the data folder {0} is in use by another process; stop that one first, or choose another data folder")]
    InUse(PathBuf),
    /// Others can read it, and it is not ours to close.
    #[error("others can read {path} (mode {mode:o}), and it cannot be closed: {source}; run: chmod go= {path}")]
    Open {
        /// The file or folder.
        path: PathBuf,
        mode: u32,
        source: std::io::Error,
    },
}

/// From now on all files of this process are its user's alone, whatever the umask was. For programs that write a data folder,
/// before they start threads.
pub fn keep_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
}

/// Held while a server without a log in its folder uses it. The operating system lets go of it when the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "open as long as this is kept")] File);

/// Takes the folder for this process: notifications and keys are one server's own.
pub fn lock(folder: &Path) -> Result<Lock, DataDirError> {
    let io = |source| DataDirError::Io { folder: folder.to_owned(), source };
    let file = File::options().write(true).create(true).truncate(false).open(folder.join("server.lock")).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// Makes the folder if needed, and closes it and what is directly in it to other users.
pub fn prepare(folder: &Path) -> Result<(), DataDirError> {
    let io = |source| DataDirError::Io { folder: folder.to_owned(), source };
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(source) if source.kind() == ErrorKind::AlreadyExists => return Err(io(ErrorKind::NotADirectory.into())),
        made => made.map_err(io)?,
    }
    let found = contents(folder)?;
    let mut closed = u32::from(close(folder, fs::metadata(folder).map_err(io)?.permissions())?);
    for path in found {
        match fs::symlink_metadata(&path) {
            // What a link leads to is arranged by somebody else; a file may be gone since (a draft, a journal).
            Ok(meta) if !meta.is_symlink() => closed += u32::from(close(&path, meta.permissions())?),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
    }
    if closed > 0 {
        tracing::warn!(folder = %folder.display(), closed, "others could read the data folder; it is closed to them now");
    }
    Ok(())
}

/// Whether [`prepare`] would work, without changing anything.
pub fn check(folder: &Path) -> Result<(), DataDirError> {
    check_writable(folder)?;
    if folder.exists() { contents(folder).map(drop) } else { Ok(()) }
}

/// Whether files can be made in a folder, or the folder itself, without making anything.
pub fn check_writable(folder: &Path) -> Result<(), DataDirError> {
    let io = |source| DataDirError::Io { folder: folder.to_owned(), source };
    // A relative path of one part has an empty parent.
    let there = folder.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let nearest = there.into_iter().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if !nearest.is_dir() {
        return Err(io(ErrorKind::NotADirectory.into()));
    }
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    rustix::fs::access(nearest, wanted).map_err(|error| io(error.into()))
}

/// What is in the folder, which must be a data folder, or empty.
fn contents(folder: &Path) -> Result<Vec<PathBuf>, DataDirError> {
    let io = |source| DataDirError::Io { folder: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_name() != OF_THE_SYSTEM {
            found.push(entry.path());
        }
    }
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| OURS.iter().any(|known| name == *known));
    if found.is_empty() || found.iter().any(ours) { Ok(found) } else { Err(DataDirError::Foreign(folder.to_owned())) }
}

/// Whether it was open.
fn close(path: &Path, permissions: Permissions) -> Result<bool, DataDirError> {
    let mode = permissions.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(false);
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(DataDirError::Open { path: path.to_owned(), mode, source }),
        Ok(()) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn an_open_folder_is_closed_with_what_is_in_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/data");
        prepare(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        fs::create_dir(folder.join("objects")).unwrap();
        for (path, open) in [("log.db", 0o644), ("objects", 0o755), (".", 0o755)] {
            fs::write(folder.join("log.db"), "").unwrap();
            fs::set_permissions(folder.join(path), Permissions::from_mode(open)).unwrap();
        }
        let beside = home.path().join("beside");
        fs::write(&beside, "").unwrap();
        fs::set_permissions(&beside, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&beside, folder.join("link")).unwrap();
        prepare(&folder).unwrap();
        let now = ["log.db", "objects", ".", "link"].map(|path| mode(&folder.join(path)));
        assert_eq!(now, [0o600, 0o700, 0o700, 0o644]);
    }

    #[test]
    fn a_folder_of_something_else_is_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("letters.txt"), "").unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(prepare(home.path()), Err(DataDirError::Foreign(_))));
        assert!(matches!(check(home.path()), Err(DataDirError::Foreign(_))));
        assert_eq!(mode(home.path()), 0o755);
        let disk = tempfile::tempdir().unwrap();
        fs::create_dir(disk.path().join(OF_THE_SYSTEM)).unwrap();
        check(disk.path()).unwrap();
        prepare(disk.path()).unwrap();
        assert!(prepare(Path::new("/dev/null")).is_err());
    }
}
