//! The disk of a server with the embedded log: a tmpfs of its own that can be made full at any time. And a server's clock,
//! which can jump.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The most a disk may hold while it is not full. Memory is used only for what is there.
const ROOM: &str = "8g";

/// The folder of the server's data.
pub struct Disk {
    pub path: PathBuf,
    /// Whether it can be made full.
    pub own: bool,
}

impl Disk {
    /// Makes the folder, on a disk of its own if that is wanted and possible.
    pub fn mount(path: PathBuf, wanted: bool) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&path)?;
        let own = wanted && super::namespaces::has_own_mounts();
        if own {
            mount(&["-t", "tmpfs", "-o", &format!("size={ROOM}"), "tmpfs"], &path)?;
        }
        Ok(Self { path, own })
    }

    /// Leaves this many KiB, or a little more: the server writes meanwhile, and a disk cannot be smaller than what is on it.
    pub fn fill(&self, left: u32) -> anyhow::Result<()> {
        let mut filled = Ok(());
        for more in 0..10 {
            let output = Command::new("df").args(["-k", "--output=used"]).arg(&self.path).output()?;
            let used = String::from_utf8(output.stdout)?;
            let used: u64 =
                used.lines().last().unwrap_or_default().trim().parse().context("df says how much is used")?;
            let size = used + u64::from(left) + more * 64;
            filled = mount(&["-o", &format!("remount,size={size}k")], &self.path);
            if filled.is_ok() {
                break;
            }
        }
        filled
    }

    /// Gives it back its room.
    pub fn free(&self) -> anyhow::Result<()> {
        mount(&["-o", &format!("remount,size={ROOM}")], &self.path)
    }
}

fn mount(arguments: &[&str], path: &Path) -> anyhow::Result<()> {
    let output = Command::new("mount").args(arguments).arg(path).output()?;
    ensure!(output.status.success(), "mount {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The wall clock of the server, by libfaketime.
pub struct Clock {
    library: Option<PathBuf>,
    file: PathBuf,
}

impl Clock {
    /// Looks for the library.
    pub fn find(file: PathBuf) -> anyhow::Result<Self> {
        let given = std::env::var_os("COURANT_FAKETIME").map(PathBuf::from);
        let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let debian = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
        let library = given.into_iter().chain(debian).find(|path| path.is_file());
        let clock = Self { library, file };
        clock.jump(0)?;
        Ok(clock)
    }

    /// Whether it can jump.
    pub fn can_jump(&self) -> bool {
        self.library.is_some()
    }

    /// Sets it this many seconds off. Clocks that only grow are not touched, as on a real machine.
    pub fn jump(&self, seconds: i32) -> anyhow::Result<()> {
        // Never half written: the library reads it at any time.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}\n"))?;
        Ok(std::fs::rename(next, &self.file)?)
    }

    /// What a program needs in its environment to have this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        let Some(library) = &self.library else { return Vec::new() };
        let pairs = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
