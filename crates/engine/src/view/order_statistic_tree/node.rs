//! The nodes of the tree, and what keeps it low.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};

use crate::view::load::{Load, PagesLeft};

/// The most members of a leaf and children of an inner node.
pub(super) const WIDTH: usize = 64;
/// For fewer a leaf does not give some of its members away.
const ROOM: usize = WIDTH / 8;
/// Two neighbours with together at most this many become one.
pub(super) const JOIN: usize = WIDTH / 2;

/// What a member brings along, and what many members bring along together.
pub trait Weight: Copy {
    /// The sum of the weights of many.
    type Sum: Copy + Debug + Default + AddAssign + SubAssign + Sum;

    /// The sum of this one alone.
    fn alone(self) -> Self::Sum;
}

impl Weight for PagesLeft {
    type Sum = Load;

    fn alone(self) -> Load {
        Load::of(self)
    }
}

#[derive(Debug)]
pub(super) enum Node<K, W: Weight> {
    Leaf(Vec<(K, W)>),
    Inner(Vec<Child<K, W>>),
}

#[derive(Debug)]
pub(super) struct Child<K, W: Weight> {
    /// Nothing below is in this child; of the first child nothing is said.
    pub(super) low: K,
    pub(super) load: W::Sum,
    pub(super) node: Node<K, W>,
}

impl<K: Ord + Clone, W: Weight> Node<K, W> {
    /// Puts in a member that is not there. Gives back the right half if the node had to be divided.
    pub(super) fn insert(&mut self, key: K, weight: W) -> Option<Child<K, W>> {
        match self {
            Self::Leaf(members) => {
                let at = members.partition_point(|(known, _)| *known < key);
                grow(members);
                members.insert(at, (key, weight));
                let right = divide(members, at)?;
                let (low, load) = (right.first()?.0.clone(), right.iter().map(|(_, weight)| weight.alone()).sum());
                Some(Child { low, load, node: Self::Leaf(right) })
            }
            Self::Inner(children) => {
                let child = position(children, &key);
                relieve(children, child);
                let mut at = position(children, &key);
                children[at].load += weight.alone();
                if let Some(right) = children[at].node.insert(key, weight) {
                    children[at].load -= right.load;
                    at += 1;
                    grow(children);
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

    pub(super) fn remove(&mut self, key: &K) -> Option<W> {
        match self {
            Self::Leaf(members) => {
                let at = members.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
                Some(members.remove(at).1)
            }
            Self::Inner(children) => {
                let at = position(children, key);
                let weight = children[at].node.remove(key)?;
                children[at].load -= weight.alone();
                tidy(children, at);
                Some(weight)
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Leaf(members) => members.len(),
            Self::Inner(children) => children.len(),
        }
    }

    pub(super) fn low(&self) -> Option<K> {
        match self {
            Self::Leaf(members) => members.first().map(|(key, _)| key.clone()),
            Self::Inner(children) => children.first().map(|child| child.low.clone()),
        }
    }

    pub(super) fn load(&self) -> W::Sum {
        match self {
            Self::Leaf(members) => members.iter().map(|(_, weight)| weight.alone()).sum(),
            Self::Inner(children) => children.iter().map(|child| child.load).sum(),
        }
    }

    /// Takes in its right neighbour, of which nothing is below `low`.
    pub(super) fn join(&mut self, right: Self, low: K) {
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
pub(super) fn position<K: Ord, W: Weight>(children: &[Child<K, W>], key: &K) -> usize {
    children.partition_point(|child| child.low <= *key).saturating_sub(1)
}

/// Makes space for one more: by halves, since many owners have few jobs, and never for more than a node can have.
fn grow<T>(all: &mut Vec<T>) {
    if all.len() == all.capacity() {
        all.reserve_exact((all.len() / 2).clamp(4, (WIDTH + 1).saturating_sub(all.len()).max(4)));
    }
}

/// The right half of what is too long after something was put in at `at`. Lines grow at their end: then all but the
/// newest stays, so that nodes are full.
fn divide<T>(all: &mut Vec<T>, at: usize) -> Option<Vec<T>> {
    if all.len() <= WIDTH {
        return None;
    }
    let keep = if at + 1 == all.len() { all.len() - 1 } else { all.len() / 2 };
    Some(all.drain(keep..).collect())
}

/// Before something is put into a child: a leaf that is full gives some of its members to a neighbour that has room. Else all
/// leaves were half empty after members had come in no order.
fn relieve<K: Ord + Clone, W: Weight>(children: &mut [Child<K, W>], at: usize) {
    if children[at].node.len() < WIDTH {
        return;
    }
    let neighbours = [at.checked_sub(1).map(|left| (left, at)), Some((at, at + 1))];
    for (left, right) in neighbours.into_iter().flatten() {
        let Some([a, b]) = children.get_mut(left..=right) else { continue };
        let (Node::Leaf(first), Node::Leaf(second)) = (&mut a.node, &mut b.node) else { return };
        let half = (first.len() + second.len()) / 2;
        if half + ROOM > WIDTH {
            continue;
        }
        if first.len() > half {
            second.splice(..0, first.drain(half..));
        } else {
            first.extend(second.drain(..half - first.len()));
        }
        if let Some((low, _)) = second.first() {
            b.low = low.clone();
        }
        (a.load, b.load) = (a.node.load(), b.node.load());
        return;
    }
}

/// After something was taken from a child: no child is empty, and no two neighbours have room for each other.
fn tidy<K: Ord + Clone, W: Weight>(children: &mut Vec<Child<K, W>>, at: usize) {
    if children[at].node.len() == 0 {
        children.remove(at);
    }
    unite(children, at);
    unite(children, at.saturating_sub(1));
}

/// Makes one of a child and its right neighbour if they have room for each other.
fn unite<K: Ord + Clone, W: Weight>(children: &mut Vec<Child<K, W>>, left: usize) {
    let Some([a, b]) = children.get(left..left + 2) else { return };
    if a.node.len() + b.node.len() <= JOIN {
        let right = children.remove(left + 1);
        children[left].load += right.load;
        children[left].node.join(right.node, right.low);
    }
}
