//! How many connections there may be, in all and from one address, and the open files they need.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use courant_runtime::raise_open_files;
use parking_lot::Mutex;

const MAX_CONNECTIONS: usize = 10_000;
const MAX_CONNECTIONS_PER_ADDRESS: usize = 1_000;

/// What connections to a gRPC server may take. Also a group of flags: each has an environment variable `COURANT_…`.
#[cfg_attr(feature = "flags", derive(clap::Args), command(next_help_heading = "Connections over gRPC"))]
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// gRPC connections at once; over it new ones are closed. At most half of the open files that the process may have
    #[cfg_attr(
        feature = "flags",
        arg(long, env = "COURANT_GRPC_MAX_CONNECTIONS", default_value_t = MAX_CONNECTIONS, value_name = "N")
    )]
    pub grpc_max_connections: usize,

    /// gRPC connections at once from one address (IPv6: from one /64); all that come by a proxy have its address
    #[cfg_attr(
        feature = "flags",
        arg(long, env = "COURANT_GRPC_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = MAX_CONNECTIONS_PER_ADDRESS, value_name = "N")
    )]
    pub grpc_max_connections_per_address: usize,

    /// How long a gRPC connection may take for the TLS handshake and the beginning of HTTP/2
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_GRPC_HANDSHAKE_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration))]
    pub grpc_handshake_timeout: Duration,

    /// How long a gRPC connection may stay without a call
    #[cfg_attr(feature = "flags", arg(long, env = "COURANT_GRPC_IDLE_TIMEOUT", default_value = "10m", value_name = "TIME", value_parser = humantime::parse_duration))]
    pub grpc_idle_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            grpc_max_connections: MAX_CONNECTIONS,
            grpc_max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
            grpc_handshake_timeout: Duration::from_secs(10),
            grpc_idle_timeout: Duration::from_secs(600),
        }
    }
}

impl ConnectionLimits {
    /// The flag that cannot work, and why.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let rules = [
            ("--grpc-max-connections", self.grpc_max_connections == 0, "must be at least 1"),
            ("--grpc-max-connections-per-address", self.grpc_max_connections_per_address == 0, "must be at least 1"),
            (
                "--grpc-handshake-timeout",
                self.grpc_handshake_timeout < Duration::from_millis(100),
                "must be at least 100ms",
            ),
            ("--grpc-idle-timeout", self.grpc_idle_timeout < Duration::from_secs(1), "must be at least 1s"),
        ];
        rules.into_iter().find(|(_, broken, _)| *broken).map(|(flag, _, problem)| (flag, problem))
    }
}

/// Where a connection comes from: whoever has one IPv6 address has its whole /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

/// What counts as one address: IPv4 whole, also where it is mapped into IPv6; of IPv6 the /64.
pub fn network(address: IpAddr) -> Network {
    Network(match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    })
}

/// The connections there are.
#[derive(Debug)]
pub(crate) struct Permits {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<Network, usize>,
}

impl Permits {
    pub(crate) fn new(limits: &ConnectionLimits) -> Arc<Self> {
        let half = raise_open_files().map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX));
        let most = limits.grpc_max_connections.min(half).max(1);
        if most < limits.grpc_max_connections {
            let wanted = limits.grpc_max_connections;
            tracing::warn!(
                wanted,
                most,
                "fewer gRPC connections than --grpc-max-connections: raise the limit of open files (ulimit -n)"
            );
        }
        Arc::new(Self { most, most_of_one: limits.grpc_max_connections_per_address, taken: Mutex::default() })
    }

    /// None when there are too many.
    pub(crate) fn take(self: &Arc<Self>, from: Network) -> Option<Permit> {
        let mut taken = self.taken.lock();
        if taken.all >= self.most || taken.by.get(&from).is_some_and(|of_one| *of_one >= self.most_of_one) {
            return None;
        }
        taken.all += 1;
        *taken.by.entry(from).or_default() += 1;
        Some(Permit { permits: self.clone(), from })
    }
}

/// One connection, as long as it is kept.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    from: Network,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.permits.taken.lock();
        taken.all -= 1;
        if let Some(of_one) = taken.by.get_mut(&self.from) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.by.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_no_more_than_its_share() {
        let limits =
            ConnectionLimits { grpc_max_connections: 3, grpc_max_connections_per_address: 2, ..Default::default() };
        let permits = Permits::new(&limits);
        let of = |text: &str| permits.take(network(text.parse().unwrap()));
        let (first, _second) = (of("2001:db8::1").unwrap(), of("2001:db8::2").unwrap());
        assert!(of("2001:db8::3").is_none(), "the same /64");
        let _other = of("::ffff:127.0.0.1").unwrap();
        assert!(of("127.0.0.2").is_none(), "as many as there may be");
        drop(first);
        assert!(of("127.0.0.1").is_some());
    }
}
