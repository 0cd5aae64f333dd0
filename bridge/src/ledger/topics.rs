//! Distinct topics of one user, over all connections.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Refused, User};
use crate::wire::Topic;

/// How many subscriptions each topic has.
pub type Counts = HashMap<Topic, usize>;

/// One subscription of a user to a topic.
#[derive(Debug)]
pub struct TopicHold {
    user: Arc<User>,
    topic: Topic,
}

impl User {
    /// One more subscription to a topic, here or on another connection. Only distinct topics count.
    pub fn hold(self: &Arc<Self>, topic: &Topic) -> Result<TopicHold, Refused> {
        let limit = self.ledger.bounds.topics_per_user;
        let mut topics = self.topics.lock();
        if topics.len() >= limit && !topics.contains_key(topic) {
            return Err(Refused::PerUser(limit));
        }
        *topics.entry(topic.clone()).or_default() += 1;
        Ok(TopicHold { user: self.clone(), topic: topic.clone() })
    }
}

impl TopicHold {
    /// Whose it is.
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }
}

impl Drop for TopicHold {
    fn drop(&mut self) {
        let mut topics = self.user.topics.lock();
        if let Some(count) = topics.get_mut(&self.topic) {
            *count -= 1;
            if *count == 0 {
                topics.remove(&self.topic);
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
        let held: Vec<_> =
            [Topic::Mine, Topic::Mine, Topic::Queue].iter().map(|topic| alice.hold(topic).unwrap()).collect();
        assert_eq!(alice.hold(&Topic::Devices).unwrap_err(), Refused::PerUser(2));
        assert!(alice.hold(&Topic::Queue).is_ok() && ledger.user("bob").hold(&Topic::Devices).is_ok());
        drop(held);
        assert!(alice.topics.lock().is_empty());
    }
}
