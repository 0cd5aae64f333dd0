//! Processor seconds of the server with its children, and of this process.

use anyhow::Context as _;

use crate::Up;

/// Clock ticks in a second, as `/proc` counts them: fixed by Linux for user space.
pub const TICKS: f64 = 100.0;

/// Seconds used so far.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    server: f64,
    load: f64,
}

impl Used {
    pub fn now(up: &Up) -> anyhow::Result<Self> {
        let server = up.processes()?.into_iter().filter_map(|pid| seconds(&pid.to_string()).ok()).sum();
        Ok(Self { server, load: seconds("self")? })
    }

    /// Seconds of the server and of this process since then.
    pub fn since(before: Self, up: &Up) -> anyhow::Result<(f64, f64)> {
        let now = Self::now(up)?;
        Ok((now.server - before.server, now.load - before.load))
    }
}

/// User and system time of a process and its children that have ended.
pub fn seconds(process: &str) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold spaces. After it come the state and then fields 4 and on; 14 to 17 are the times.
    let (_, rest) = stat.rsplit_once(')').context("a stat without a name")?;
    let ticks = rest.split_whitespace().skip(11).take(4).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS)
}
