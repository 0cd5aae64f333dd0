//! Distinct topics of one user, over all connections.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::bounds::Refused;
use crate::wire::TopicName;

/// The topics one user follows.
#[derive(Debug)]
pub struct Topics {
    /// Distinct topics the user may follow.
    limit: usize,
    /// How many subscriptions each has.
    counts: Mutex<HashMap<TopicName, usize>>,
}

/// One subscription of a user to a topic.
#[derive(Debug)]
pub struct TopicShare {
    topics: Arc<Topics>,
    topic: TopicName,
}

impl Topics {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, counts: Mutex::default() })
    }

    pub(super) fn hold(self: &Arc<Self>, topic: &TopicName) -> Result<TopicShare, Refused> {
        let mut counts = self.counts.lock();
        if counts.len() >= self.limit && !counts.contains_key(topic) {
            return Err(Refused::PerUser(self.limit));
        }
        *counts.entry(topic.clone()).or_default() += 1;
        Ok(TopicShare { topics: self.clone(), topic: topic.clone() })
    }
}

impl Drop for TopicShare {
    fn drop(&mut self) {
        let mut counts = self.topics.counts.lock();
        if let Some(count) = counts.get_mut(&self.topic) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bounds, Ledger};
    use super::*;

    #[test]
    fn only_distinct_topics_count_and_those_of_others_do_not() {
        let ledger = Ledger::new(Bounds { topics_per_user: 2, ..Bounds::default() });
        let alice = ledger.user("alice");
        let held: Vec<_> = [TopicName::Mine, TopicName::Mine, TopicName::Queue]
            .iter()
            .map(|topic| alice.take_topic(topic).unwrap())
            .collect();
        assert_eq!(alice.take_topic(&TopicName::Devices).unwrap_err(), Refused::PerUser(2));
        assert!(
            alice.take_topic(&TopicName::Queue).is_ok() && ledger.user("bob").take_topic(&TopicName::Devices).is_ok()
        );
        drop(held);
        assert!(alice.topics.counts.lock().is_empty());
    }
}
