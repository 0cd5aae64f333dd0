//! Namespaces of its own: no network device, no shared memory of others, no name of the machine to change.

#![allow(deprecated, reason = "unshare without FILES is sound; its successor is an unsafe function")]

use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare};

use super::{Layers, errno};

/// Leaves those of the parent. Who may not do so directly tries it through a user namespace.
pub(super) fn leave(layers: &mut Layers) {
    let own = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    let left = match unshare(own) {
        Err(Errno::PERM) => unshare(own | UnshareFlags::NEWUSER),
        other => other,
    };
    match left {
        Ok(()) => layers.on("namespaces net ipc uts"),
        Err(error) => layers.off("namespaces", errno(error)),
    }
}
