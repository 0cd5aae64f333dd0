//! What rate limits have in common: what counts as one address, and rates that are never 0.

use std::net::IpAddr;
use std::num::NonZeroU32;

/// What counts as one address: with IPv6 a network of 64 bits, which is the least that one subscriber has.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

/// A limit that was checked at the start to be at least 1.
pub fn at_least_one(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}
