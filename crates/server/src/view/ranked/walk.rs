//! A walk through the members in order.

use super::super::load::PagesLeft;
use super::{Child, Node};

/// Where it is.
pub(super) struct Walk<'a, K> {
    above: Vec<std::slice::Iter<'a, Child<K>>>,
    leaf: std::slice::Iter<'a, (K, PagesLeft)>,
}

impl<'a, K> Walk<'a, K> {
    /// From the first member on.
    pub(super) fn from(root: &'a Node<K>) -> Self {
        let mut walk = Self { above: Vec::new(), leaf: [].iter() };
        walk.down(root);
        walk
    }

    fn down(&mut self, mut node: &'a Node<K>) {
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

impl<'a, K> Iterator for Walk<'a, K> {
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
