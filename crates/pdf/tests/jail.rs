//! Attacks from inside the jail. Each attacker is this test program itself, started again with the name of its attack,
//! which enters the jail and then does what an exploited parser would.

// Helpers of tests count as code of their own to the lint.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use courant_pdf::jail::{self, Limits, Purpose};
use courant_pdf::protocol::{ChildTask, REQUEST_VARIABLE, Request};

const ATTACK: &str = "COURANT_TEST_ATTACK";
const LIMITS: Limits = Limits { memory_bytes: 512 << 20, cpu_seconds: 2, open_files: 24 };

/// What came of an attack: its own words, and whether it was ended by a signal.
struct Outcome {
    said: String,
    signal: Option<i32>,
}

fn attack(name: &str) -> Outcome {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "attacker", "--ignored", "--nocapture", "--test-threads=1"]);
    let child = command.env(ATTACK, name).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let out = child.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    Outcome { said, signal: std::os::unix::process::ExitStatusExt::signal(&out.status) }
}

/// Not a test: what the attackers run.
#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn attacker() {
    let Ok(name) = std::env::var(ATTACK) else { return };
    let target = std::env::temp_dir().join("courant-jail-target");
    // With a folder that everybody owns to the eyes of Landlock: what is refused below is not refused for want of a file.
    let read = Purpose::Become { execute: vec![], read: vec![PathBuf::from("/usr/share"), victim()] };
    let (purpose, name) = match name.strip_prefix("program ") {
        Some(name) => (read, name),
        None => (Purpose::Compute, name.as_str()),
    };
    let open = std::fs::File::open("/etc/hostname");
    let parent = rustix::process::getppid().unwrap();
    let layers = jail::enter(std::os::unix::process::parent_id(), &LIMITS, &purpose).unwrap();
    print_line(&format!("on: {layers}"));
    match name {
        "reads what is open" => verdict(open.and_then(|mut file| file.read_to_string(&mut String::new()))),
        "reads a file" => verdict(std::fs::read("/etc/passwd")),
        "lists a folder" => verdict(std::fs::read_dir("/")),
        "reads what it may" => verdict(std::fs::read_dir("/usr/share")),
        "writes a file" => verdict(std::fs::write(&target, b"x")),
        "removes a file" => verdict(std::fs::remove_file("/usr/share/courant-nothing")),
        "connects" => verdict(TcpStream::connect("127.0.0.1:1")),
        "listens" => verdict(TcpListener::bind("127.0.0.1:0")),
        "sends" => verdict(UdpSocket::bind("127.0.0.1:0")),
        "speaks to a socket" => verdict(UnixStream::pair()),
        "starts a program" => verdict(Command::new("/bin/true").status()),
        "kills" => verdict(kill(parent)),
        "raises a limit" => verdict(raise()),
        "has threads" => verdict(std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join)),
        // The compiler must not see that nobody looks at it.
        "takes memory" => print_line(&format!("took {}", std::hint::black_box(vec![1u8; 1 << 30]).len())),
        "burns" => loop {
            std::hint::spin_loop();
        },
        "opens without end" => verdict(open_all()),
        "shows itself" => print_line(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()),
        _ => {
            let (_, call, arguments) = calls(parent.as_raw_nonzero().get().into())
                .into_iter()
                .find(|(call, ..)| *call == name)
                .unwrap_or_else(|| panic!("no such attack: {name}"));
            verdict(raw(call, arguments));
        }
    }
}

/// A file that the attackers could change if only they were let: this very program's copy of nothing.
fn victim() -> PathBuf {
    std::env::temp_dir().join(format!("courant-jail-victim-{}", std::os::unix::process::parent_id()))
}

/// System calls that reach beyond the process, and their arguments. They would succeed for root without a jail, and most for
/// anybody.
fn calls(parent: libc::c_long) -> Vec<(&'static str, libc::c_long, Vec<libc::c_long>)> {
    /// In the kernel's numbers, the same on every machine.
    const AT_FDCWD: libc::c_long = -100;
    const OWNER_OF_SIGNALS: libc::c_long = libc::F_SETOWN as libc::c_long;
    let path = address(VICTIM.get_or_init(|| text(&victim().display().to_string())));
    let (name, set, number) = (address(NAME), address(CPU_SET), address(NUMBER));
    let root = address(b"/etc/passwd\0");
    let tid = 0;
    vec![
        ("changes a mode", libc::SYS_fchmodat, vec![AT_FDCWD, path, 0o777]),
        ("changes an owner", libc::SYS_fchownat, vec![AT_FDCWD, path, 1, 1, 0]),
        ("changes an attribute", libc::SYS_setxattr, vec![path, name, number, 1, 0]),
        ("changes a time", libc::SYS_utimensat, vec![AT_FDCWD, path, 0, 0]),
        ("mounts", libc::SYS_fsopen, vec![address(b"tmpfs\0"), 0]),
        ("becomes another user", libc::SYS_setuid, vec![0]),
        ("becomes another group", libc::SYS_setgid, vec![0]),
        ("shares memory", libc::SYS_shmget, vec![0, 4096, 0o1600]),
        ("hides memory", libc::SYS_memfd_secret, vec![0]),
        ("makes a file of memory", libc::SYS_memfd_create, vec![name, 0]),
        ("slows the parent", libc::SYS_setpriority, vec![0, parent, 19]),
        ("slows everybody", libc::SYS_setpriority, vec![0, tid, 19]),
        ("pins the parent", libc::SYS_sched_setaffinity, vec![parent, 128, set]),
        ("schedules the parent", libc::SYS_sched_setscheduler, vec![parent, 5, number]),
        ("limits the parent", libc::SYS_prlimit64, vec![parent, 7, 0, set]),
        ("signals the parent", libc::SYS_kill, vec![parent, libc::SIGCONT.into()]),
        ("signals the group", libc::SYS_kill, vec![0, libc::SIGCONT.into()]),
        ("signals a thread of the parent", libc::SYS_tgkill, vec![parent, parent, libc::SIGCONT.into()]),
        ("signals a thread by number", libc::SYS_tkill, vec![parent, libc::SIGCONT.into()]),
        ("queues a signal", libc::SYS_rt_sigqueueinfo, vec![parent, libc::SIGCONT.into(), set]),
        ("has the parent signalled", libc::SYS_fcntl, vec![1, OWNER_OF_SIGNALS, parent]),
        ("holds the parent", libc::SYS_pidfd_open, vec![parent, 0]),
        ("traces the parent", libc::SYS_ptrace, vec![0x4206, parent, 0, 0]),
        ("reads the parent", libc::SYS_process_vm_readv, vec![parent, set, 0, set, 0, 0]),
        ("names the machine", libc::SYS_sethostname, vec![name, 4]),
        ("leaves a namespace", libc::SYS_unshare, vec![libc::CLONE_NEWUSER.into()]),
        ("sets the clock", libc::SYS_clock_settime, vec![0, set]),
        ("loads code into the kernel", libc::SYS_bpf, vec![0, set, 0]),
        ("uses a ring", libc::SYS_io_uring_setup, vec![1, set]),
        ("keeps a secret", libc::SYS_keyctl, vec![0, -3, 1]),
        ("opens for writing", libc::SYS_openat, vec![AT_FDCWD, path, libc::O_RDWR.into()]),
        ("looks at a file", libc::SYS_newfstatat, vec![AT_FDCWD, root, set, 0]),
        ("looks at a file by another call", libc::SYS_statx, vec![AT_FDCWD, root, 0, 0, set]),
        ("looks at a file through an empty path", libc::SYS_newfstatat, vec![AT_FDCWD, root, set, 0x1000]),
        ("asks for a file", libc::SYS_faccessat, vec![AT_FDCWD, root, 0]),
        ("follows a link", libc::SYS_readlinkat, vec![AT_FDCWD, address(b"/proc/self/exe\0"), set, 8]),
    ]
}

/// What any program that reads files must be let do, too; the jail of an OCR program does not forbid it.
const OF_READERS: [&str; 5] = [
    "looks at a file",
    "looks at a file by another call",
    "looks at a file through an empty path",
    "asks for a file",
    "follows a link",
];

static VICTIM: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
const NAME: &[u8] = b"user.courant\0";
/// All but the last bit of the first byte: a set that an attacker would choose, and a buffer that is large enough for all
/// that is written into one; nothing is, because it is refused.
static CPU_SET: &[u8] = &[1; 4096];
const NUMBER: &[u8] = &[0; 64];

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn address(bytes: &[u8]) -> libc::c_long {
    bytes.as_ptr() as libc::c_long
}

/// Makes a system call like an exploited parser: the C library's functions do not reach all of them.
#[allow(unsafe_code, reason = "there is no safe way to make a call that nobody should make")]
fn raw(call: libc::c_long, arguments: Vec<libc::c_long>) -> std::io::Result<()> {
    let mut a = [0; 6];
    a[..arguments.len()].copy_from_slice(&arguments);
    // SAFETY: what the addresses point at lives as long as the process, and is as large as the call expects.
    let result = unsafe { libc::syscall(call, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// With a signal that would do nothing, should it arrive.
fn kill(parent: rustix::process::Pid) -> std::io::Result<()> {
    Ok(rustix::process::kill_process(parent, rustix::process::Signal::CONT)?)
}

fn raise() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(1000), maximum: Some(1000) })?)
}

fn open_all() -> std::io::Result<()> {
    let own = std::io::stdout();
    let mut all = Vec::new();
    for _ in 0..1000 {
        all.push(std::os::fd::AsFd::as_fd(&own).try_clone_to_owned()?);
    }
    Ok(())
}

fn verdict<T>(result: std::io::Result<T>) {
    print_line(&match result {
        Ok(_) => "allowed".to_owned(),
        Err(error) => format!("refused: {error}"),
    });
}

fn print_line(words: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{words}").unwrap();
    out.flush().unwrap();
}

/// Refused, or ended for having tried; never because of anything but the jail.
fn is_stopped(outcome: &Outcome) -> bool {
    let refused = ["Operation not permitted", "Permission denied", "Function not implemented", "Too many open files"];
    let refused = outcome.said.contains("refused:") && refused.iter().any(|why| outcome.said.contains(why));
    !outcome.said.contains("allowed") && (refused || outcome.signal == Some(libc::SIGSYS))
}

/// A file that everybody may change, which goes with this.
struct Victim(PathBuf);

impl Victim {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("courant-jail-victim-{}", std::process::id()));
        std::fs::write(&path, b"untouched").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        Self(path)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What an attack goes against in both jails.
const ATTACKS: [&str; 9] = [
    "writes a file",
    "removes a file",
    "connects",
    "listens",
    "sends",
    "speaks to a socket",
    "starts a program",
    "kills",
    "raises a limit",
];

#[test]
fn an_exploited_parser_sees_nothing_writes_nothing_reaches_nobody() {
    let _victim = Victim::new();
    let own = ["reads a file", "lists a folder", "opens without end"];
    let calls = calls(0).into_iter().map(|(name, ..)| name);
    for name in ATTACKS.into_iter().chain(own).chain(calls) {
        let outcome = attack(name);
        assert!(is_stopped(&outcome), "{name}: {:?} {}", outcome.signal, outcome.said);
    }
    assert!(!Path::new(&std::env::temp_dir()).join("courant-jail-target").exists());
}

#[test]
fn what_the_work_needs_is_allowed() {
    for name in ["reads what is open", "has threads", "program reads what it may"] {
        let outcome = attack(name);
        assert!(outcome.said.contains("allowed"), "{name}: {}", outcome.said);
    }
}

#[test]
fn an_exploited_ocr_program_reads_its_own_files_and_no_others() {
    let _victim = Victim::new();
    let calls = calls(0).into_iter().map(|(name, ..)| name).filter(|name| !OF_READERS.contains(name));
    for name in ATTACKS.into_iter().chain(["reads a file"]).chain(calls) {
        let outcome = attack(&format!("program {name}"));
        assert!(is_stopped(&outcome), "{name}: {:?} {}", outcome.signal, outcome.said);
    }
}

#[test]
fn memory_and_time_end() {
    let memory = attack("takes memory");
    assert!(memory.signal.is_some() && memory.said.contains("memory allocation of"), "{}", memory.said);
    let time = attack("burns");
    assert!(matches!(time.signal, Some(libc::SIGXCPU)), "{:?} {}", time.signal, time.said);
}

#[test]
fn what_is_on_is_told_for_both() {
    for name in ["has threads", "program reads what it may"] {
        let said = attack(name).said;
        assert!(said.contains("limits, landlock abi ") && said.contains("seccomp"), "{said}");
        assert!(said.contains("no capabilities") && said.contains("namespaces "), "{said}");
    }
}

/// A program in the place of tesseract, started as tesseract is: what it says on standard output.
fn program_says(program: &str, arguments: &[&str], inherited: Option<&std::fs::File>) -> String {
    let request = Request {
        parent: std::process::id(),
        limits: LIMITS,
        task: ChildTask::Become {
            program: Path::new(program).canonicalize().unwrap(),
            args: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            read: vec!["/proc".into()],
            announce: false,
        },
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_courant-pdf-worker"));
    child.arg("pdf-child").env_clear().env(REQUEST_VARIABLE, serde_json::to_string(&request).unwrap());
    if let Some(file) = inherited {
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty()).unwrap();
    }
    let out = child.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_program_has_no_rights_and_is_nobody() {
    let status = program_says("/bin/cat", &["/proc/self/status"], None);
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    assert_eq!((line("NoNewPrivs:").as_str(), line("Seccomp:").as_str()), ("1", "2"));
    if rustix::process::geteuid().is_root() {
        assert_eq!(
            (line("Uid:").as_str(), line("Gid:").as_str()),
            ("65534\t65534\t65534\t65534", "65534\t65534\t65534\t65534")
        );
        assert_eq!((line("CapBnd:").as_str(), line("Groups:").as_str()), ("0000000000000000", ""));
    }
}

#[test]
fn what_the_shell_left_open_stays_outside() {
    let left_open = tempfile::tempfile().unwrap();
    let inherited = program_says("/bin/ls", &["/proc/self/fd"], Some(&left_open));
    // The three standard ones, and the one that lists them.
    assert_eq!(inherited.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}
