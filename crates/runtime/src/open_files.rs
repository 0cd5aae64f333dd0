//! The limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to what the process may have: each connection is one, and the usual 1024 are soon used up.
/// Returns the new limit; `None` when there is none.
pub fn raise_open_files() -> Option<u64> {
    let allowed = getrlimit(Resource::Nofile);
    if allowed.current == allowed.maximum {
        return allowed.current;
    }
    let wanted = Rlimit { current: allowed.maximum, maximum: allowed.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, current = ?allowed.current, "the limit of open files could not be raised");
    }
    getrlimit(Resource::Nofile).current
}
