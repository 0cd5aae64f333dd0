//! Walks through the members, in order and backwards.

use super::node::{Child, Node, Weight, position};

pub(super) struct Walk<'a, K, W: Weight> {
    above: Vec<std::slice::Iter<'a, Child<K, W>>>,
    leaf: std::slice::Iter<'a, (K, W)>,
}

impl<'a, K, W: Weight> Walk<'a, K, W> {
    /// From the first member on.
    pub(super) fn over(root: &'a Node<K, W>) -> Self {
        let mut walk = Self { above: Vec::new(), leaf: [].iter() };
        walk.down(root);
        walk
    }

    /// From the first member that is not before a key.
    pub(super) fn from(root: &'a Node<K, W>, key: &K) -> Self
    where
        K: Ord,
    {
        let mut walk = Self { above: Vec::new(), leaf: [].iter() };
        let mut node = root;
        loop {
            match node {
                Node::Leaf(members) => {
                    walk.leaf = members[members.partition_point(|(known, _)| known < key)..].iter();
                    return walk;
                }
                Node::Inner(children) => {
                    let at = position(children, key);
                    walk.above.push(children[at + 1..].iter());
                    node = &children[at].node;
                }
            }
        }
    }

    fn down(&mut self, mut node: &'a Node<K, W>) {
        loop {
            match node {
                Node::Leaf(members) => {
                    self.leaf = members.iter();
                    return;
                }
                Node::Inner(children) => {
                    let mut rest = children.iter();
                    let Some(first) = rest.next() else { return };
                    self.above.push(rest);
                    node = &first.node;
                }
            }
        }
    }
}

impl<'a, K, W: Weight> Iterator for Walk<'a, K, W> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        loop {
            if let Some((key, _)) = self.leaf.next() {
                return Some(key);
            }
            match self.above.last_mut()?.next() {
                Some(child) => self.down(&child.node),
                None => {
                    self.above.pop();
                }
            }
        }
    }
}

pub(super) struct WalkBack<'a, K, W: Weight> {
    above: Vec<std::slice::Iter<'a, Child<K, W>>>,
    leaf: std::slice::Iter<'a, (K, W)>,
}

impl<'a, K: Ord, W: Weight> WalkBack<'a, K, W> {
    /// From the last member before a key, or from the last of all.
    pub(super) fn from(root: &'a Node<K, W>, key: Option<&K>) -> Self {
        let mut walk = Self { above: Vec::new(), leaf: [].iter() };
        let Some(key) = key else {
            walk.down(root);
            return walk;
        };
        let mut node = root;
        loop {
            match node {
                Node::Leaf(members) => {
                    walk.leaf = members[..members.partition_point(|(known, _)| known < key)].iter();
                    return walk;
                }
                Node::Inner(children) => {
                    let at = position(children, key);
                    walk.above.push(children[..at].iter());
                    node = &children[at].node;
                }
            }
        }
    }

    fn down(&mut self, mut node: &'a Node<K, W>) {
        loop {
            match node {
                Node::Leaf(members) => {
                    self.leaf = members.iter();
                    return;
                }
                Node::Inner(children) => {
                    let mut rest = children.iter();
                    let Some(last) = rest.next_back() else { return };
                    self.above.push(rest);
                    node = &last.node;
                }
            }
        }
    }
}

impl<'a, K: Ord, W: Weight> Iterator for WalkBack<'a, K, W> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        loop {
            if let Some((key, _)) = self.leaf.next_back() {
                return Some(key);
            }
            match self.above.last_mut()?.next_back() {
                Some(child) => self.down(&child.node),
                None => {
                    self.above.pop();
                }
            }
        }
    }
}
