//! Namespaces of its own: no network device, no shared memory of others, no name of the machine to change.

#![allow(deprecated, reason = "unshare without FILES is sound; its successor is an unsafe function")]

use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare};

use super::{Layers, errno, identity};

/// Leaves those of the parent, if that is allowed directly.
pub(super) fn leave() -> Result<(), Errno> {
    unshare(own())
}

/// Leaves them through a user namespace, where it was not allowed directly. Comes after the change of the user, for which
/// that namespace has no other.
pub(super) fn leave_as_user(left: Result<(), Errno>, layers: &mut Layers) -> std::io::Result<()> {
    let left = match left {
        Err(Errno::PERM) => unshare(own() | UnshareFlags::NEWUSER),
        other => other,
    };
    // Who makes a user namespace has all capabilities in it.
    identity::drop_capabilities()?;
    match left {
        Ok(()) => layers.on("namespaces net ipc uts"),
        Err(error) => layers.off("namespaces", errno(error)),
    }
    Ok(())
}

fn own() -> UnshareFlags {
    UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS
}
