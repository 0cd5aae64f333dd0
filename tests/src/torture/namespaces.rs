//! Mounts and networks of the tool's own, which end with it.

use std::path::Path;
use std::process::Command;

/// Says that this process has mounts of its own.
const OWN_MOUNTS: &str = "COURANT_TORTURE_OWN_MOUNTS";
/// Says that it has a network of its own too, in which it may make others.
const OWN_NETWORK: &str = "COURANT_TORTURE_OWN_NETWORK";

/// What must work in a new network: others within it, whose names are in memory and are nobody else's.
const NETWORKS: &str = "mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && ip netns add probe \
                        && ip link add probe type veth peer name probe-far netns probe";
const MOUNTS: &str = "mount -t tmpfs tmpfs /mnt";

pub fn has_own_mounts() -> bool {
    std::env::var_os(OWN_MOUNTS).is_some()
}

pub fn has_own_network() -> bool {
    std::env::var_os(OWN_NETWORK).is_some()
}

/// Starts this program again with mounts of its own, and if asked with networks, which end with it. Returns when that is
/// not possible here, or when it has them already.
pub fn with_own(networks: bool) {
    if has_own_mounts() {
        return;
    }
    let roots = [&[][..], &["--map-root-user"]];
    if networks {
        roots
            .iter()
            .for_each(|root| again(&[root, &["--mount", "--net"][..]].concat(), NETWORKS, &[OWN_MOUNTS, OWN_NETWORK]));
    }
    roots.iter().for_each(|root| again(&[root, &["--mount"][..]].concat(), MOUNTS, &[OWN_MOUNTS]));
}

/// Starts this program again if the probe says that it will have what it wants.
fn again(arguments: &[&str], probe: &str, marks: &[&str]) {
    use std::os::unix::process::CommandExt as _;
    let tried = Command::new("unshare").args(arguments).args(["sh", "-c", probe]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut again = Command::new("unshare");
    again.args(arguments).arg("--").arg(program).args(std::env::args_os().skip(1));
    again.envs(marks.iter().map(|mark| (*mark, "1")));
    eprintln!("torture: unshare failed: {}", again.exec());
}

/// A program and its arguments, so that it runs in one of the networks.
pub fn in_network(name: &str, program: &Path, arguments: &[String]) -> (std::path::PathBuf, Vec<String>) {
    let first = [format!("--net=/run/netns/{name}"), program.display().to_string()];
    ("/usr/bin/nsenter".into(), first.into_iter().chain(arguments.iter().cloned()).collect())
}
