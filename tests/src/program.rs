//! Running the `courant` program as a person would.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::within;

/// The program of the same build as this test. Built by `make build`, never by the test.
pub fn courant() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("COURANT_BIN") {
        return Ok(given.into());
    }
    // A test is target/release/deps/e2e-…, the benchmark target/release/bench; both belong to target/release/courant.
    let mine = std::env::current_exe()?;
    let found = mine.ancestors().skip(1).take(2).map(|folder| folder.join("courant")).find(|path| path.is_file());
    found.with_context(|| format!("there is no courant beside {}; run: make build", mine.display()))
}

/// The PDF worker of the same build.
pub fn pdf_worker() -> anyhow::Result<PathBuf> {
    let path = courant()?.with_file_name("courant-pdf-worker");
    anyhow::ensure!(path.is_file(), "there is no {}; run: make build", path.display());
    Ok(path)
}

/// The processes of a group, by their ids.
pub(crate) fn group_members(group: i32) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // "1234 (courant) S 1200 1199 …": after the name, state and parent comes the process group.
        let of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(2)?.parse::<i32>().ok());
        if of == Some(group) {
            found.extend(entry.file_name().to_string_lossy().parse::<u32>());
        }
    }
    Ok(found)
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 when it was killed.
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// `courant` with these arguments, in a clean environment.
pub fn command(arguments: &[&str]) -> anyhow::Result<Command> {
    Ok(clean(courant()?, arguments))
}

/// `courant` with these arguments on one core, in a clean environment.
pub(crate) fn command_on(core: u32, arguments: &[&str]) -> anyhow::Result<Command> {
    let (core, program) = (core.to_string(), courant()?);
    let program = program.to_str().context("the program has a plain path")?;
    let on_core: Vec<&str> = ["-c", &core, program].into_iter().chain(arguments.iter().copied()).collect();
    Ok(clean("taskset".into(), &on_core))
}

/// A program with these arguments, in a clean environment.
pub(crate) fn clean(program: PathBuf, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COURANT_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs `courant` to its end.
pub async fn run(arguments: &[&str]) -> anyhow::Result<Ran> {
    ran(command(arguments)?).await
}

/// Runs a program to its end.
pub async fn ran(mut command: Command) -> anyhow::Result<Ran> {
    let output = within("courant to end", async { Ok(command.output().await?) }).await?;
    Ok(Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs `courant` and insists that it succeeds; gives back standard output.
pub async fn must(arguments: &[&str]) -> anyhow::Result<String> {
    let ran = run(arguments).await?;
    ensure!(ran.code == 0, "courant {arguments:?} ended with {}: {}{}", ran.code, ran.err, ran.out);
    Ok(ran.out)
}
