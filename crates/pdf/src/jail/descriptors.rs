//! Descriptors that whoever started the worker left open.

use std::os::fd::RawFd;

/// Standard input, output and error.
const STANDARD: RawFd = 2;
/// Without `/proc` numbers up to this one are tried.
const MAX_TRIED: RawFd = 65_536;

/// Closes every descriptor but the three standard ones. To be called first, while the process has opened nothing itself: what
/// it opens later is closed by `exec` and stays out of other programs.
pub fn close_inherited() {
    for number in open() {
        // Fails for the one that listed the others, which is closed already.
        let _ = nix::unistd::close(number);
    }
}

fn open() -> Vec<RawFd> {
    let beyond = |number: &RawFd| *number > STANDARD;
    match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => {
            let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
            numbers.filter(beyond).collect()
        }
        Err(_) => (STANDARD + 1..=MAX_TRIED).collect(),
    }
}
