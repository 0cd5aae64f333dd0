//! An ordered set that knows the weight before each of its members: a B+ tree whose inner nodes carry the sum of the
//! weights of what lies beneath them. Everything is O(log n).
//!
//! Two neighbours under one node that are together half empty are joined, so the tree stays low whatever is removed.

mod node;
mod walk;

#[cfg(test)]
mod tests;

pub use self::node::Weight;
use self::node::{Child, Node, position};
use self::walk::{Walk, WalkBack};
use super::load::PagesLeft;

/// Members in order, each with its weight: a job with its pages, unless said otherwise.
#[derive(Debug)]
pub struct OrderStatisticTree<K, W: Weight = PagesLeft> {
    root: Node<K, W>,
    load: W::Sum,
}

impl<K, W: Weight> Default for OrderStatisticTree<K, W> {
    fn default() -> Self {
        Self { root: Node::Leaf(Vec::new()), load: W::Sum::default() }
    }
}

impl<K: Ord + Clone, W: Weight> OrderStatisticTree<K, W> {
    /// Puts a member in; one that is there gets the new weight.
    pub fn insert(&mut self, key: K, weight: W) {
        self.remove(&key);
        self.load += weight.alone();
        if let Some(right) = self.root.insert(key, weight) {
            let left = std::mem::replace(&mut self.root, Node::Inner(Vec::with_capacity(2)));
            if let (Node::Inner(children), Some(low)) = (&mut self.root, left.low()) {
                children.push(Child { low, load: left.load(), node: left });
                children.push(right);
            }
        }
    }

    /// Takes a member out. `false` if it was not there.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(weight) = self.root.remove(key) else { return false };
        self.load -= weight.alone();
        while let Node::Inner(children) = &mut self.root {
            if children.len() > 1 {
                break;
            }
            self.root = children.pop().map_or(Node::Leaf(Vec::new()), |only| only.node);
        }
        true
    }

    /// Takes out the first.
    pub fn pop_first(&mut self) -> Option<K> {
        let first = self.first()?.clone();
        self.remove(&first);
        Some(first)
    }

    pub fn first(&self) -> Option<&K> {
        self.iter().next()
    }

    /// The weight before a member; `None` if it is not there.
    pub fn before(&self, key: &K) -> Option<W::Sum> {
        self.search(key).ok()
    }

    /// The weight before a key, whether it is there or not.
    pub fn below(&self, key: &K) -> W::Sum {
        self.search(key).unwrap_or_else(|below| below)
    }

    /// The weight before a key: an error if the key itself is not there.
    fn search(&self, key: &K) -> Result<W::Sum, W::Sum> {
        let (mut node, mut load) = (&self.root, W::Sum::default());
        loop {
            match node {
                Node::Inner(children) => {
                    let at = position(children, key);
                    load += children[..at].iter().map(|child| child.load).sum();
                    node = &children[at].node;
                }
                Node::Leaf(members) => {
                    let found = members.binary_search_by(|(known, _)| known.cmp(key));
                    let (Ok(at) | Err(at)) = found;
                    load += members[..at].iter().map(|(_, weight)| weight.alone()).sum();
                    return if found.is_ok() { Ok(load) } else { Err(load) };
                }
            }
        }
    }

    pub fn load(&self) -> W::Sum {
        self.load
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.root.len() == 0
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        Walk::over(&self.root)
    }

    /// The members in order, from a key on.
    pub fn iter_from(&self, key: &K) -> impl Iterator<Item = &K> {
        Walk::from(&self.root, key)
    }

    /// The members after a key, or all, in order.
    pub fn iter_after<'a>(&'a self, key: Option<&K>) -> impl Iterator<Item = &'a K> + use<'a, K, W> {
        let mut walk = match key {
            Some(key) => Walk::from(&self.root, key),
            None => Walk::over(&self.root),
        };
        let first = walk.next().filter(|first| key.is_none_or(|key| *first > key));
        first.into_iter().chain(walk)
    }

    /// The members before a key, or all, the last first.
    pub fn iter_before<'a>(&'a self, key: Option<&K>) -> impl Iterator<Item = &'a K> + use<'a, K, W> {
        WalkBack::from(&self.root, key)
    }
}
