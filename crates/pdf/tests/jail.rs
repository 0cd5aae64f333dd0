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
    let read = Purpose::Become { execute: vec![], read: vec![PathBuf::from("/usr/share")] };
    let purpose = if name.starts_with("program ") { read } else { Purpose::Compute };
    let open = std::fs::File::open("/etc/hostname");
    let parent = rustix::process::getppid().unwrap();
    let on = jail::enter(std::os::unix::process::parent_id(), &LIMITS, &purpose).unwrap();
    say(&format!("on: {}", on.join(", ")));
    match name.as_str() {
        "reads what is open" => verdict(open.and_then(|mut file| file.read_to_string(&mut String::new()))),
        "reads a file" => verdict(std::fs::read("/etc/passwd")),
        "lists a folder" => verdict(std::fs::read_dir("/")),
        "writes a file" | "program writes a file" => verdict(std::fs::write(&target, b"x")),
        "removes a file" | "program removes a file" => verdict(std::fs::remove_file("/usr/share/courant-nothing")),
        "connects" | "program connects" => verdict(TcpStream::connect("127.0.0.1:1")),
        "listens" | "program listens" => verdict(TcpListener::bind("127.0.0.1:0")),
        "sends" | "program sends" => verdict(UdpSocket::bind("127.0.0.1:0")),
        "speaks to a socket" | "program speaks to a socket" => verdict(UnixStream::pair()),
        "starts a program" | "program starts a program" => verdict(Command::new("/bin/true").status()),
        "kills" | "program kills" => verdict(kill(parent)),
        "raises a limit" | "program raises a limit" => verdict(raise()),
        "has threads" => verdict(std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join)),
        "takes memory" => say(&format!("took {}", vec![1u8; 1 << 30].len())),
        "burns" => loop {
            std::hint::spin_loop();
        },
        "opens without end" => verdict(open_all()),
        "program reads what it may" => verdict(std::fs::read_dir("/usr/share")),
        "program reads what it may not" => verdict(std::fs::read("/etc/passwd")),
        other => panic!("no such attack: {other}"),
    }
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
    say(&match result {
        Ok(_) => "allowed".to_owned(),
        Err(error) => format!("refused: {error}"),
    });
}

fn say(words: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{words}").unwrap();
    out.flush().unwrap();
}

#[test]
fn an_exploited_parser_sees_nothing_writes_nothing_reaches_nobody() {
    let attacks = [
        "reads a file",
        "lists a folder",
        "writes a file",
        "removes a file",
        "connects",
        "listens",
        "sends",
        "speaks to a socket",
        "starts a program",
        "kills",
        "raises a limit",
        "opens without end",
    ];
    for name in attacks {
        let outcome = attack(name);
        assert!(outcome.said.contains("refused:") && !outcome.said.contains("allowed"), "{name}: {}", outcome.said);
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
    let attacks = [
        "program writes a file",
        "program removes a file",
        "program connects",
        "program listens",
        "program sends",
        "program speaks to a socket",
        "program starts a program",
        "program kills",
        "program raises a limit",
        "program reads what it may not",
    ];
    for name in attacks {
        let outcome = attack(name);
        assert!(outcome.said.contains("refused:") && !outcome.said.contains("allowed"), "{name}: {}", outcome.said);
    }
}

#[test]
fn memory_and_time_end() {
    let memory = attack("takes memory");
    assert!(memory.signal.is_some() && memory.said.contains("memory allocation of"), "{}", memory.said);
    let time = attack("burns");
    assert!(matches!(time.signal, Some(9 | 24)), "{:?} {}", time.signal, time.said);
}

#[test]
fn what_is_on_is_told() {
    let said = attack("has threads").said;
    assert!(said.contains("on: limits, landlock") && said.contains("seccomp"), "{said}");
}
