//! System calls by seccomp. A call that is refused fails with an error, it does not kill: libraries that only ask what
//! the machine has go on without the answer.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::Purpose;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What computing needs: memory, threads, the files that are open, time, its own signals, its end.
const COMPUTE: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_newfstatat,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_uname,
    libc::SYS_write,
    libc::SYS_writev,
];

/// What no program that reads a picture needs.
const NEVER: &[c_long] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_add_key,
    libc::SYS_bind,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_connect,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_kill,
    libc::SYS_listen,
    libc::SYS_memfd_create,
    libc::SYS_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setns,
    libc::SYS_setrlimit,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Gives what is on.
pub(super) fn forbid(purpose: &Purpose) -> Result<Option<String>, seccompiler::Error> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(None) };
    let refuse = |code: i32| SeccompAction::Errno(code.unsigned_abs());
    let plain = |calls: &[c_long]| calls.iter().map(|&call| (number(call), Vec::new())).collect::<Rules>();
    // Its arguments cannot be looked at; told that it does not exist, the C library takes `clone`.
    let clone3 = filter(plain(&[libc::SYS_clone3]), SeccompAction::Allow, refuse(libc::ENOSYS), arch)?;
    let own = match purpose {
        Purpose::Compute => {
            let mut rules = plain(COMPUTE);
            rules.extend(Rules::from([when(libc::SYS_clone, thread(true))?, when(libc::SYS_prlimit64, sets(false))?]));
            filter(rules, refuse(libc::EPERM), SeccompAction::Allow, arch)?
        }
        Purpose::Become { .. } => {
            let mut rules = plain(NEVER);
            rules.extend(Rules::from([when(libc::SYS_clone, thread(false))?, when(libc::SYS_prlimit64, sets(true))?]));
            #[cfg(target_arch = "x86_64")]
            rules.extend(plain(&[libc::SYS_fork, libc::SYS_vfork]));
            filter(rules, SeccompAction::Allow, refuse(libc::EPERM), arch)?
        }
    };
    for program in [clone3, own] {
        match apply_filter(&program) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(_) | seccompiler::Error::Prctl(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some("seccomp".to_owned()))
}

fn filter(
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, seccompiler::Error> {
    Ok(SeccompFilter::new(rules, otherwise, listed, arch)?.try_into()?)
}

type Condition = Result<SeccompCondition, seccompiler::BackendError>;

fn when(call: c_long, condition: Condition) -> Result<(i64, Vec<SeccompRule>), seccompiler::Error> {
    Ok((number(call), vec![SeccompRule::new(vec![condition?])?]))
}

/// On machines of 32 bits the numbers are smaller.
#[allow(clippy::useless_conversion)]
fn number(call: c_long) -> i64 {
    call.into()
}

/// A clone that is a thread, or one that is a process.
fn thread(yes: bool) -> Condition {
    let flag = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let value = if yes { flag } else { 0 };
    SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), value)
}

/// Limits that are set, or only asked for.
fn sets(yes: bool) -> Condition {
    let op = if yes { SeccompCmpOp::Ne } else { SeccompCmpOp::Eq };
    SeccompCondition::new(2, SeccompCmpArgLen::Qword, op, 0)
}
