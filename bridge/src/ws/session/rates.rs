//! How fast one connection may send. One that is a little too fast gets errors; one that floods is closed.

use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::config::Limits;
use crate::rate::at_least_one;

/// A flood is so many times as fast as messages may come, for longer than it takes for this many messages more than may
/// come at once.
const FLOOD: u32 = 10;
const FLOOD_SPARE: u32 = 500;
/// Control frames (pings and pongs of the protocol) per second, and at once. Libraries send one in several seconds.
const CONTROL_PER_SECOND: u32 = 10;
const CONTROL_AT_ONCE: u32 = 100;

type Rate = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instant>>;

/// The rates of one connection.
#[derive(Debug)]
pub struct Rates {
    messages: Rate,
    flood: Rate,
    control: Rate,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateDecision {
    Allowed,
    /// It is refused; another would be taken after this time.
    Refused(Duration),
    Flood,
}

impl Rates {
    /// Nothing has come yet.
    pub fn new(limits: &Limits) -> Self {
        let rate = |second, burst| {
            let quota = Quota::per_second(at_least_one(second)).allow_burst(at_least_one(burst));
            RateLimiter::direct_with_clock(quota, MonotonicClock)
        };
        let (second, burst) = (limits.messages_per_second, limits.message_burst());
        let flood = second.saturating_mul(FLOOD);
        Self {
            messages: rate(second, burst),
            flood: rate(flood, flood.max(burst.saturating_add(FLOOD_SPARE))),
            control: rate(CONTROL_PER_SECOND, CONTROL_AT_ONCE),
        }
    }

    pub fn message(&self) -> RateDecision {
        if self.flood.check().is_err() {
            return RateDecision::Flood;
        }
        match self.messages.check() {
            Ok(()) => RateDecision::Allowed,
            Err(refused) => RateDecision::Refused(refused.wait_time_from(MonotonicClock.now())),
        }
    }

    /// Counts a ping or pong of the protocol, and says whether it may stay.
    pub fn control(&self) -> bool {
        self.control.check().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_topics_may_be_subscribed_at_once_a_little_more_is_refused_and_a_flood_ends() {
        let limits = Limits::default();
        let rates = Rates::new(&limits);
        assert!(limits.message_burst() as usize >= limits.subscriptions + 32);
        assert!((0..limits.message_burst()).all(|_| rates.message() == RateDecision::Allowed));
        let more: Vec<_> = (0..10_000).map(|_| rates.message()).collect();
        let refused = more.iter().filter(|decision| matches!(decision, RateDecision::Refused(_))).count();
        assert!((400..1500).contains(&refused) && more.contains(&RateDecision::Flood), "{refused}");
        let Some(RateDecision::Refused(wait)) = more.first() else { panic!("{:?}", more.first()) };
        assert!(*wait <= Duration::from_millis(20), "{wait:?}");
    }

    #[test]
    fn pings_have_a_rate() {
        let rates = Rates::new(&Limits::default());
        assert!((0..CONTROL_AT_ONCE).all(|_| rates.control()));
        assert!((0..100).any(|_| !rates.control()));
    }
}
