//! What `courant up` prints when it is ready.

use std::io::Write;
use std::net::SocketAddr;

use crate::failure::Failure;
use crate::home::Home;

/// Where everything is. Programs that start `courant up` wait for its first line.
pub struct Ready<'a> {
    pub grpc: &'a str,
    pub console: &'a str,
    /// What signs in by the link; none where others may read what is printed.
    pub token: Option<&'a str>,
    pub user: &'a str,
    pub home: &'a Home,
    pub workers: usize,
    /// Where metrics and probes are.
    pub metrics: Option<SocketAddr>,
}

impl Ready<'_> {
    pub fn print(&self) -> Result<(), Failure> {
        self.write(std::io::stdout().lock())
    }

    fn write(&self, mut out: impl Write) -> Result<(), Failure> {
        writeln!(out, "Courant is ready")?;
        match self.token {
            Some(token) => writeln!(out, "  console  {}/#token={token}", self.console)?,
            None => {
                writeln!(out, "  console  {}/", self.console)?;
                let data = self.home.path().display();
                writeln!(out, "  token    courant token --data-dir {data} --sub {}", self.user)?;
            }
        }
        writeln!(out, "  grpc     {}", self.grpc)?;
        writeln!(out, "  data     {}", self.home.absolute().display())?;
        writeln!(out, "  workers  {}", self.workers)?;
        if let Some(metrics) = self.metrics {
            writeln!(out, "  metrics  http://{metrics}/metrics")?;
        }
        writeln!(out, "  submit   courant submit --data-dir {} --watch FILE.pdf", self.home.path().display())?;
        writeln!(out, "  stop     Ctrl-C")?;
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_there_is_no_token_but_the_way_to_one() {
        let home = Home::at(std::path::Path::new("there"));
        let ready = Ready {
            grpc: "g",
            console: "http://c",
            token: None,
            user: "alice",
            home: &home,
            workers: 1,
            metrics: None,
        };
        let mut out = Vec::new();
        ready.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("console  http://c/\n") && !text.contains("token="), "{text}");
        assert!(text.contains("courant token --data-dir there --sub alice"), "{text}");
    }
}
