//! What a figure depends on besides the code.

use std::process::Command;

use serde::Serialize;

/// The machine and the build. What cannot be found out is `unknown`.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// All of the machine, not those this process is pinned to.
    cores: usize,
    cpu: String,
    kernel: String,
    /// With `-dirty` behind it if files were changed since.
    commit: String,
}

impl Machine {
    pub fn read() -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let values = |name: &str| {
            let lines = cpus.lines().filter_map(|line| line.split_once(':'));
            lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>()
        };
        let unknown = || "unknown".to_owned();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease");
        Self {
            cores: values("processor").len(),
            cpu: values("model name").first().cloned().unwrap_or_else(unknown),
            kernel: kernel.map_or_else(|_| unknown(), |kernel| kernel.trim().to_owned()),
            commit: commit().unwrap_or_else(unknown),
        }
    }
}

fn commit() -> Option<String> {
    let described =
        Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).output();
    let described = described.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&described.stdout).trim().to_owned())
}
