//! A sorted set that takes little more memory than its members: what comes at its end, as new jobs do, fills its nodes, where a
//! `BTreeSet` leaves almost half of each empty. With a million finished jobs that is 22 bytes a job in each index.

use super::order_statistic_tree::{OrderStatisticTree, Weight};

#[derive(Debug)]
pub struct SortedSet<K>(OrderStatisticTree<K, Member>);

/// Each counts as one.
#[derive(Clone, Copy, Debug)]
struct Member;

impl Weight for Member {
    type Sum = u64;

    fn alone(self) -> u64 {
        1
    }
}

impl<K> Default for SortedSet<K> {
    fn default() -> Self {
        Self(OrderStatisticTree::default())
    }
}

impl<K: Ord + Clone> SortedSet<K> {
    pub fn insert(&mut self, key: K) {
        self.0.insert(key, Member);
    }

    /// `false` if it was not there.
    pub fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key)
    }

    pub fn contains(&self, key: &K) -> bool {
        self.0.before(key).is_some()
    }

    pub fn len(&self) -> usize {
        usize::try_from(self.0.load()).unwrap_or(usize::MAX)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn first(&self) -> Option<&K> {
        self.0.first()
    }

    /// The members after a key, or all, the lowest first.
    pub fn after<'a>(&'a self, key: Option<&K>) -> impl Iterator<Item = &'a K> + use<'a, K> {
        self.0.iter_after(key)
    }

    /// The members before a key, or all, the highest first.
    pub fn before<'a>(&'a self, key: Option<&K>) -> impl Iterator<Item = &'a K> + use<'a, K> {
        self.0.iter_before(key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Bound::{Excluded, Unbounded};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn it_does_what_a_btree_set_does(
            start in 0u16..3000,
            steps in vec((any::<bool>(), 0u16..4000), 0..1500),
            asked in vec(0u16..4200, 20),
        ) {
            let (mut set, mut model) = (SortedSet::default(), BTreeSet::new());
            for key in 0..start {
                set.insert(key);
                model.insert(key);
            }
            for (put, key) in steps {
                if put {
                    set.insert(key);
                    model.insert(key);
                } else {
                    prop_assert_eq!(set.remove(&key), model.remove(&key));
                }
            }
            prop_assert_eq!((set.len(), set.is_empty(), set.first()), (model.len(), model.is_empty(), model.first()));
            prop_assert!(set.after(None).eq(&model) && set.before(None).eq(model.iter().rev()));
            for key in asked {
                prop_assert_eq!(set.contains(&key), model.contains(&key));
                prop_assert!(set.after(Some(&key)).eq(model.range((Excluded(key), Unbounded))), "after {}", key);
                prop_assert!(set.before(Some(&key)).eq(model.range(..key).rev()), "before {}", key);
            }
        }
    }
}
