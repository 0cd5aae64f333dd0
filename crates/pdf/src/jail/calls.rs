//! System calls by seccomp: allowed is what stands in `lists.rs`, and what stands here with a condition on its arguments.
//!
//! A call that is refused fails with an error, it does not kill: libraries that only ask what the machine has go on without
//! the answer. Calls that are only made to get out end the process.

mod lists;

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::{Layers, Purpose};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What may be asked of an open file. Not its owner: that one is sent signals.
const FCNTL: [i32; 5] = [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL];
/// What may be asked of a terminal or a pipe: whether it is one, how wide, how much is in it.
const IOCTL: [u64; 3] = [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONREAD];
/// Opening with any of these is no reading.
const WRITING: i32 = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
/// A clone with any of these is no thread of this process.
const NEW_NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

pub(super) fn forbid(purpose: &Purpose, layers: &mut Layers) -> Result<(), seccompiler::Error> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        layers.off("seccomp", std::env::consts::ARCH);
        return Ok(());
    };
    let refuse = |code: i32| SeccompAction::Errno(code.unsigned_abs());
    // Of several filters the strictest answer counts; of several errors that of the filter that came last.
    let filters = [
        filter(allowed(purpose)?, refuse(libc::EPERM), SeccompAction::Allow, arch)?,
        filter(plain(lists::MISSING), SeccompAction::Allow, refuse(libc::ENOSYS), arch)?,
        filter(plain(lists::FATAL), SeccompAction::Allow, SeccompAction::KillProcess, arch)?,
    ];
    // The first filter forbids adding more: it comes last.
    for program in filters.iter().rev() {
        match apply_filter(program) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error)) => {
                layers.off("seccomp", error);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    layers.on("seccomp");
    Ok(())
}

/// The calls that are allowed, with the conditions on them.
fn allowed(purpose: &Purpose) -> Result<Rules, BackendError> {
    use lists::{FACTS, MEMORY, NAMED_FILES, OLD_NAMED_FILES, OPEN_FILES, SIGNALS, THREADS, TIME};
    let mut rules: Rules = [MEMORY, THREADS, OPEN_FILES, TIME, SIGNALS, FACTS].into_iter().flat_map(plain).collect();
    let own = u64::from(std::process::id());
    let thread = masked(0, libc::CLONE_THREAD | NEW_NAMESPACES, libc::CLONE_THREAD)?;
    let limits_of = |process| Ok::<_, BackendError>(vec![is(0, process)?, is_pointer(2, 0)?]);
    rules.extend([
        rule(libc::SYS_clone, vec![vec![thread]])?,
        rule(
            libc::SYS_fcntl,
            FCNTL.iter().map(|&what| Ok(vec![is(1, bits(what))?])).collect::<Result<_, BackendError>>()?,
        )?,
        // Its own threads only.
        rule(libc::SYS_tgkill, vec![vec![is(0, own)?]])?,
        rule(libc::SYS_kill, vec![vec![is(0, own)?]])?,
        rule(libc::SYS_tkill, vec![vec![is(0, own)?]])?,
        // Its own, and only asking.
        rule(libc::SYS_prlimit64, vec![limits_of(0)?, limits_of(own)?])?,
    ]);
    if matches!(purpose, Purpose::Become { .. }) {
        rules.extend([NAMED_FILES, OLD_NAMED_FILES].into_iter().flat_map(plain));
        rules.extend([
            rule(libc::SYS_openat, vec![vec![masked(2, WRITING, 0)?]])?,
            rule(libc::SYS_openat2, vec![])?,
            rule(
                libc::SYS_ioctl,
                IOCTL.iter().map(|&what| Ok(vec![is(1, what)?])).collect::<Result<_, BackendError>>()?,
            )?,
        ]);
        #[cfg(target_arch = "x86_64")]
        rules.extend([rule(libc::SYS_open, vec![vec![masked(1, WRITING, 0)?]])?]);
    }
    Ok(rules)
}

fn filter(
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, seccompiler::Error> {
    Ok(SeccompFilter::new(rules, otherwise, listed, arch)?.try_into()?)
}

/// These calls, whatever their arguments.
fn plain(calls: &[c_long]) -> Rules {
    calls.iter().map(|&call| (number(call), Vec::new())).collect()
}

/// A call under any of these groups of conditions, all of which must hold; without a group always.
fn rule(call: c_long, any: Vec<Vec<SeccompCondition>>) -> Result<(i64, Vec<SeccompRule>), BackendError> {
    Ok((number(call), any.into_iter().map(SeccompRule::new).collect::<Result<_, _>>()?))
}

/// On machines of 32 bits the numbers are smaller.
#[allow(clippy::useless_conversion)]
fn number(call: c_long) -> i64 {
    call.into()
}

/// An argument that the kernel takes as 32 bits has this value.
fn is(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// A whole argument has this value.
fn is_pointer(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
}

/// Of these flags of an argument exactly those are set.
fn masked(argument: u8, mask: i32, value: i32) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bits(mask)), bits(value))
}

fn bits(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}
