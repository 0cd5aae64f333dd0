//! An ordered set that knows how much stands before each of its members: a B+ tree whose inner nodes carry the load of
//! what lies beneath them. Everything is O(log n).
//!
//! Two neighbours under one node that are together half empty are joined, so the tree stays low whatever is removed.

mod walk;

#[cfg(test)]
mod tests;

use self::walk::Walk;
use super::load::{Load, PagesLeft};

/// The most members of a leaf and children of an inner node.
const WIDTH: usize = 64;
/// Two neighbours with together at most this many become one.
const JOIN: usize = WIDTH / 2;

/// Members in order, each with the pages it brings along.
#[derive(Debug)]
pub struct Ranked<K> {
    root: Node<K>,
    load: Load,
}

#[derive(Debug)]
enum Node<K> {
    Leaf(Vec<(K, PagesLeft)>),
    Inner(Vec<Child<K>>),
}

#[derive(Debug)]
struct Child<K> {
    /// Nothing below is in this child; of the first child nothing is said.
    low: K,
    load: Load,
    node: Node<K>,
}

impl<K> Default for Ranked<K> {
    fn default() -> Self {
        Self { root: Node::Leaf(Vec::new()), load: Load::default() }
    }
}

impl<K: Ord + Clone> Ranked<K> {
    /// Puts a member in; one that is there gets the new pages.
    pub fn insert(&mut self, key: K, pages: PagesLeft) {
        self.remove(&key);
        self.load += Load::of(pages);
        if let Some(right) = self.root.insert(key, pages) {
            let left = std::mem::replace(&mut self.root, Node::Inner(Vec::with_capacity(WIDTH + 1)));
            if let (Node::Inner(children), Some(low)) = (&mut self.root, left.low()) {
                children.push(Child { low, load: left.load(), node: left });
                children.push(right);
            }
        }
    }

    /// Takes a member out. `false` if it was not there.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(pages) = self.root.remove(key) else { return false };
        self.load -= Load::of(pages);
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

    /// The first.
    pub fn first(&self) -> Option<&K> {
        self.iter().next()
    }

    /// What stands before a member; `None` if it is not there.
    pub fn before(&self, key: &K) -> Option<Load> {
        let (mut node, mut load) = (&self.root, Load::default());
        loop {
            match node {
                Node::Inner(children) => {
                    let at = place(children, key);
                    load += children[..at].iter().map(|child| child.load).sum();
                    node = &children[at].node;
                }
                Node::Leaf(members) => {
                    let at = members.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
                    load += members[..at].iter().map(|(_, pages)| Load::of(*pages)).sum();
                    return Some(load);
                }
            }
        }
    }

    /// All of it.
    pub fn load(&self) -> Load {
        self.load
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.load.jobs == 0
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        Walk::from(&self.root)
    }
}

impl<K: Ord + Clone> Node<K> {
    /// Puts in a member that is not there. Gives back the right half if the node had to be divided.
    fn insert(&mut self, key: K, pages: PagesLeft) -> Option<Child<K>> {
        match self {
            Self::Leaf(members) => {
                let at = members.partition_point(|(known, _)| *known < key);
                members.insert(at, (key, pages));
                let right = divide(members, at)?;
                let (low, load) = (right.first()?.0.clone(), right.iter().map(|(_, pages)| Load::of(*pages)).sum());
                Some(Child { low, load, node: Self::Leaf(right) })
            }
            Self::Inner(children) => {
                let mut at = place(children, &key);
                children[at].load += Load::of(pages);
                if let Some(right) = children[at].node.insert(key, pages) {
                    children[at].load -= right.load;
                    at += 1;
                    children.insert(at, right);
                    // Divided at its very end, the new one is small.
                    unite(children, at);
                }
                let right = divide(children, at)?;
                let (low, load) = (right.first()?.low.clone(), right.iter().map(|child| child.load).sum());
                Some(Child { low, load, node: Self::Inner(right) })
            }
        }
    }

    fn remove(&mut self, key: &K) -> Option<PagesLeft> {
        match self {
            Self::Leaf(members) => {
                let at = members.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
                Some(members.remove(at).1)
            }
            Self::Inner(children) => {
                let at = place(children, key);
                let pages = children[at].node.remove(key)?;
                children[at].load -= Load::of(pages);
                tidy(children, at);
                Some(pages)
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(members) => members.len(),
            Self::Inner(children) => children.len(),
        }
    }

    fn low(&self) -> Option<K> {
        match self {
            Self::Leaf(members) => members.first().map(|(key, _)| key.clone()),
            Self::Inner(children) => children.first().map(|child| child.low.clone()),
        }
    }

    fn load(&self) -> Load {
        match self {
            Self::Leaf(members) => members.iter().map(|(_, pages)| Load::of(*pages)).sum(),
            Self::Inner(children) => children.iter().map(|child| child.load).sum(),
        }
    }

    /// Takes in its right neighbour, of which nothing is below `low`.
    fn join(&mut self, right: Self, low: K) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => left.extend(right),
            (Self::Inner(left), Self::Inner(mut right)) => {
                // It is no longer a first child: what is said of it must be true now.
                if let Some(first) = right.first_mut() {
                    first.low = low;
                }
                let seam = left.len().saturating_sub(1);
                left.extend(right);
                // They become neighbours under one node only now.
                unite(left, seam);
            }
            // Neighbours have the same height.
            (Self::Leaf(_), Self::Inner(_)) | (Self::Inner(_), Self::Leaf(_)) => {}
        }
    }
}

/// The child a key belongs to.
fn place<K: Ord>(children: &[Child<K>], key: &K) -> usize {
    children.partition_point(|child| child.low <= *key).saturating_sub(1)
}

/// The right half of what is too long after something was put in at `at`. Lines grow at their end: then all but the
/// newest stays, so that nodes are full.
fn divide<T>(all: &mut Vec<T>, at: usize) -> Option<Vec<T>> {
    if all.len() <= WIDTH {
        return None;
    }
    let keep = if at + 1 == all.len() { all.len() - 1 } else { all.len() / 2 };
    let mut right = Vec::with_capacity(WIDTH + 1);
    right.extend(all.drain(keep..));
    Some(right)
}

/// After something was taken from a child: no child is empty, and no two neighbours have room for each other.
fn tidy<K: Ord + Clone>(children: &mut Vec<Child<K>>, at: usize) {
    if children[at].node.len() == 0 {
        children.remove(at);
    }
    unite(children, at);
    unite(children, at.saturating_sub(1));
}

/// Makes one of a child and its right neighbour if they have room for each other.
fn unite<K: Ord + Clone>(children: &mut Vec<Child<K>>, left: usize) {
    let Some([a, b]) = children.get(left..left + 2) else { return };
    if a.node.len() + b.node.len() <= JOIN {
        let right = children.remove(left + 1);
        children[left].load += right.load;
        children[left].node.join(right.node, right.low);
    }
}
