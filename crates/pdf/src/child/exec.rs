//! Becoming another program inside the jail.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ChildError;
use crate::jail::{self, Purpose};
use crate::protocol::{JAIL, Request};

/// Where programs find their libraries and the loader.
const SYSTEM: [&str; 8] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share",
    "/usr/local/share",
    "/etc/ld.so.cache",
];
/// From where the loader itself may be started.
const LOADERS: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// Does not return when all is well.
pub(super) fn become_program(
    request: &Request,
    program: &Path,
    args: &[String],
    read: &[PathBuf],
    announce: bool,
) -> Result<(), ChildError> {
    let mut execute = vec![program.to_owned()];
    execute.extend(LOADERS.map(PathBuf::from));
    let mut seen: Vec<PathBuf> = SYSTEM.map(PathBuf::from).into();
    seen.extend_from_slice(read);
    let layers = jail::enter(request.parent, &request.limits, &Purpose::Become { execute, read: seen })?;
    if announce {
        eprintln!("{JAIL}{layers}");
    }
    let error = Command::new(program).args(args).env_remove(crate::protocol::REQUEST_VARIABLE).exec();
    Err(ChildError::Start(program.display().to_string(), error))
}
