//! What `courant up` prints when it is ready.

use std::io::Write;

use crate::failure::Failure;
use crate::home::Home;

/// Where everything is. Programs that start `courant up` wait for its first line.
pub struct Ready<'a> {
    pub grpc: &'a str,
    pub console: &'a str,
    pub token: &'a str,
    pub home: &'a Home,
    pub workers: usize,
}

impl Ready<'_> {
    pub fn print(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "Courant is ready")?;
        writeln!(out, "  console  {}/#token={}", self.console, self.token)?;
        writeln!(out, "  grpc     {}", self.grpc)?;
        writeln!(out, "  data     {}", self.home.absolute().display())?;
        writeln!(out, "  workers  {}", self.workers)?;
        writeln!(out, "  submit   courant submit --data-dir {} --watch FILE.pdf", self.home.path().display())?;
        writeln!(out, "  stop     Ctrl-C")?;
        Ok(out.flush()?)
    }
}
