//! Capabilities and the user. Nothing here can be taken back.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::{Layers, Purpose, errno};

/// The kernel's overflow user and group, `nobody` on most systems: owns nothing.
const NOBODY: u32 = 65_534;
/// Capabilities have numbers below this one.
const CAPABILITIES: u32 = 64;

/// Becomes nobody, if it is root, and drops all capabilities. Must be called while the process has one thread.
pub(super) fn give_up(purpose: &Purpose, layers: &mut Layers) -> std::io::Result<()> {
    let has = capabilities(None)?.effective;
    // Before the change of the user, after which it has no capability for it.
    secure();
    if geteuid().is_root() {
        match become_nobody(has, purpose) {
            Ok(()) => layers.on(format!("user {NOBODY}")),
            Err(why) => layers.off("another user", why),
        }
    }
    drop_capabilities()
}

pub(super) fn drop_capabilities() -> std::io::Result<()> {
    secure();
    // A kernel before 4.3 has none.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Sees to it that a program that root becomes does not get capabilities back. Needs one itself; without it `no_new_privs` has
/// the same effect.
fn secure() {
    drop_bounding_set();
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    let _ = set_capabilities_secure_bits(bits);
}

fn drop_bounding_set() {
    for number in 0..CAPABILITIES {
        // Fails for numbers that this kernel does not have, and without the capability for it.
        if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)).is_err() {
            break;
        }
    }
}

fn become_nobody(has: CapabilitySet, purpose: &Purpose) -> Result<(), String> {
    // Without KILL the parent, still root, could not end it.
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
    if !has.contains(needed) {
        return Err("no capability for it".into());
    }
    if let Purpose::Become { execute, read } = purpose {
        let program = execute.first().into_iter();
        if let Some(path) = program.chain(read).find(|path| path.exists() && !everybody_reads(path)) {
            return Err(format!("{} is not for everybody", path.display()));
        }
    }
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(group, group, group))
        .and_then(|()| set_thread_res_uid(user, user, user))
        .map_err(errno)
}

/// Whether anybody may read this file or folder, and pass through the folders above it.
fn everybody_reads(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let allows =
        |path: &Path, bits: u32| std::fs::metadata(path).is_ok_and(|it| it.permissions().mode() & bits == bits);
    let through = path.ancestors().skip(1).all(|above| allows(above, 0o001));
    through && allows(&path, if path.is_dir() { 0o005 } else { 0o004 })
}
