//! Which target is sent to next.
//!
//! Targets are independent of each other, and each takes a slot while its receiver answers. A host that hangs, or a user whose
//! targets are all at one, gets only so many slots: the others go on beside it.

use std::collections::{HashMap, HashSet, VecDeque};

use super::target::Target;

/// Targets that are sent to at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub in_all: usize,
    /// Those at one host.
    pub per_host: usize,
    /// Those of one user.
    pub per_user: usize,
}

/// What waits and what is under way. Both are bounded by the targets there are.
pub(super) struct Schedule<T> {
    limits: Limits,
    /// Each with its host.
    waiting: VecDeque<(T, String)>,
    /// The keys in `waiting`.
    known: HashSet<String>,
    /// By key, and what came for it meanwhile.
    running: HashMap<String, Option<T>>,
    users: HashMap<String, usize>,
    hosts: HashMap<String, usize>,
}

impl<T: Target> Schedule<T> {
    pub(super) fn new(limits: Limits) -> Self {
        let (waiting, known, running) = (VecDeque::new(), HashSet::new(), HashMap::new());
        Self { limits, waiting, known, running, users: HashMap::new(), hosts: HashMap::new() }
    }

    /// Something is to be sent. One that is under way is sent to again when it has ended.
    pub(super) fn add(&mut self, target: T) {
        if let Some(again) = self.running.get_mut(target.key()) {
            *again = Some(target);
        } else if self.known.insert(target.key().to_owned()) {
            let host = target.host();
            self.waiting.push_back((target, host));
        }
    }

    /// The next that gets a slot; [`Schedule::end`] must follow.
    pub(super) fn begin(&mut self) -> Option<T> {
        if self.running.len() >= self.limits.in_all {
            return None;
        }
        let free =
            |counts: &HashMap<String, usize>, name: &str, most| counts.get(name).is_none_or(|taken| *taken < most);
        let next = self.waiting.iter().position(|(waiting, host)| {
            free(&self.users, waiting.owner(), self.limits.per_user) && free(&self.hosts, host, self.limits.per_host)
        })?;
        let (target, host) = self.waiting.remove(next)?;
        self.known.remove(target.key());
        self.running.insert(target.key().to_owned(), None);
        *self.users.entry(target.owner().to_owned()).or_default() += 1;
        *self.hosts.entry(host).or_default() += 1;
        Some(target)
    }

    /// It has ended. What came for it meanwhile is given back.
    pub(super) fn end(&mut self, target: &T) -> Option<T> {
        let again = self.running.remove(target.key())?;
        give_back(&mut self.users, target.owner());
        give_back(&mut self.hosts, &target.host());
        again
    }
}

fn give_back(counts: &mut HashMap<String, usize>, name: &str) {
    if let Some(taken) = counts.get_mut(name) {
        *taken -= 1;
        if *taken == 0 {
            counts.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: Limits = Limits { in_all: 40, per_host: 30, per_user: 3 };

    #[derive(Clone, Debug, PartialEq)]
    struct Letter {
        key: String,
        owner: String,
        host: String,
    }

    impl Target for Letter {
        fn key(&self) -> &str {
            &self.key
        }

        fn owner(&self) -> &str {
            &self.owner
        }

        fn host(&self) -> String {
            self.host.clone()
        }
    }

    fn letter(owner: &str, host: &str, number: usize) -> Letter {
        Letter { key: format!("https://{host}/{owner}/{number}"), owner: owner.into(), host: host.into() }
    }

    #[test]
    fn neither_a_user_nor_a_host_takes_all_slots() {
        let mut schedule = Schedule::new(SLOTS);
        (0..20).for_each(|number| schedule.add(letter("alice", "a", number)));
        schedule.add(letter("bob", "a", 0));
        let begun: Vec<_> = std::iter::from_fn(|| schedule.begin()).collect();
        assert_eq!(begun.iter().filter(|begun| begun.owner == "alice").count(), SLOTS.per_user);
        assert!(begun.iter().any(|begun| begun.owner == "bob"));
        (0..100).for_each(|user| schedule.add(letter(&format!("user {user}"), "a", 0)));
        schedule.add(letter("carol", "b", 0));
        let more: Vec<_> = std::iter::from_fn(|| schedule.begin()).collect();
        assert_eq!(more.len() + begun.len(), SLOTS.per_host + 1);
        assert!(more.iter().any(|begun| begun.owner == "carol"));
        begun.iter().for_each(|ended| assert_eq!(schedule.end(ended), None));
        assert_eq!(std::iter::from_fn(|| schedule.begin()).count(), begun.len(), "slots come free");
    }

    #[test]
    fn what_comes_meanwhile_is_sent_after_it_and_once() {
        let mut schedule = Schedule::new(SLOTS);
        let one = letter("alice", "a", 0);
        schedule.add(one.clone());
        schedule.add(one.clone());
        assert_eq!((schedule.begin(), schedule.begin()), (Some(one.clone()), None));
        schedule.add(one.clone());
        assert_eq!(schedule.begin(), None);
        assert_eq!(schedule.end(&one), Some(one.clone()));
        assert_eq!(schedule.end(&one), None);
    }
}
