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

/// Writes a warning when the process may not open as many files as these flags allow connections and it needs besides.
pub fn warn_if_too_few_open_files(connections: &[(&'static str, usize)], besides: usize) {
    let Some(limit) = raise_open_files() else { return };
    let needed = connections.iter().fold(besides, |needed, (_, count)| needed.saturating_add(*count));
    if u64::try_from(needed).is_ok_and(|needed| needed <= limit) {
        return;
    }
    let flags: Vec<_> = connections.iter().map(|(flag, count)| format!("{flag} {count}")).collect();
    tracing::warn!(
        limit,
        needed,
        flags = flags.join(" and "),
        "the limit of open files is too low for what these flags allow: raise it (ulimit -Hn, LimitNOFILE=)"
    );
}
