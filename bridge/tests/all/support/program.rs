//! The program itself, as an operator starts it.

use std::process::Stdio;

use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::{PATIENCE, RealServer};

/// A running `courant-bridge`. Dropping it kills it.
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    _secret: tempfile::NamedTempFile,
}

impl Program {
    /// Starts it before a server. `shell` is what a shell does first, such as `ulimit -n 64`.
    pub fn start(server: &RealServer, shell: &str, flags: &[&str]) -> Self {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), [b'x'; 64]).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &format!("{shell}\nexec \"$@\""), "sh", env!("CARGO_BIN_EXE_courant-bridge")])
            .args(["--listen", "127.0.0.1:0", "--server", &server.url(), "--secret-file"])
            .arg(secret.path())
            .args(flags)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines, _secret: secret }
    }

    /// Reads its log up to a line with this.
    pub async fn says(&mut self, word: &str) -> String {
        self.says_one_of(&[word]).await
    }

    /// Reads its log up to a line with one of these.
    pub async fn says_one_of(&mut self, words: &[&str]) -> String {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("it says nothing").unwrap();
            let line = line.unwrap_or_else(|| panic!("it is gone before it said {words:?}"));
            if words.iter().any(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// Where it listens, from its log.
    pub async fn address(&mut self) -> String {
        let said = self.says("listen=").await;
        said.split("listen=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap()
    }

    pub async fn ended(&mut self) -> std::process::ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it hangs").unwrap()
    }
}
