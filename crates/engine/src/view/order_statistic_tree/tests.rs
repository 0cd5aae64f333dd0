use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::node::{JOIN, WIDTH};
use super::*;
use crate::view::load::Load;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, PagesLeft),
    /// At the end, as new jobs do.
    Append(PagesLeft),
    Remove(u16),
    /// The nth member, so that a removal hits.
    RemoveNth(usize),
    PopFirst,
}

fn step() -> impl Strategy<Value = Step> {
    let pages = || proptest::option::of(0u32..2000);
    prop_oneof![
        3 => (any::<u16>(), pages()).prop_map(|(key, pages)| Step::Insert(key, pages)),
        4 => pages().prop_map(Step::Append),
        1 => any::<u16>().prop_map(Step::Remove),
        3 => any::<usize>().prop_map(Step::RemoveNth),
        2 => Just(Step::PopFirst),
    ]
}

fn do_both(step: Step, tree: &mut OrderStatisticTree<u32>, model: &mut BTreeMap<u32, PagesLeft>) {
    match step {
        Step::Insert(key, pages) => {
            tree.insert(u32::from(key), pages);
            model.insert(u32::from(key), pages);
        }
        Step::Append(pages) => {
            let key = model.last_key_value().map_or(0, |(key, _)| key + 1);
            tree.insert(key, pages);
            model.insert(key, pages);
        }
        Step::Remove(key) => {
            let key = u32::from(key);
            assert_eq!(tree.remove(&key), model.remove(&key).is_some());
        }
        Step::RemoveNth(n) => {
            let Some(key) = model.keys().nth(n % model.len().max(1)).copied() else { return };
            assert!(tree.remove(&key));
            model.remove(&key);
        }
        Step::PopFirst => assert_eq!(tree.pop_first(), model.pop_first().map(|(key, _)| key)),
    }
}

/// What is true of every node; gives its height.
fn holds(node: &Node<u32, PagesLeft>, root: bool) -> usize {
    let Node::Inner(children) = node else { return 0 };
    assert!(children.len() <= WIDTH && children.len() > usize::from(root));
    for pair in children.windows(2) {
        assert!(pair[0].node.len() + pair[1].node.len() > JOIN, "neighbours that should be one");
    }
    let heights: Vec<usize> = children.iter().map(|child| holds(&child.node, false)).collect();
    assert!(heights.windows(2).all(|pair| pair[0] == pair[1]));
    for child in children {
        assert!(child.node.len() > 0 && child.load == child.node.load());
    }
    heights[0] + 1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_sorted_list_does(start in 0u32..6000, steps in vec(step(), 0..2500)) {
        let (mut tree, mut model): (OrderStatisticTree<u32>, _) = (OrderStatisticTree::default(), BTreeMap::new());
        for key in 0..start {
            do_both(Step::Insert((key * 7919 % 65_536) as u16, Some(key)), &mut tree, &mut model);
        }
        for step in steps {
            do_both(step, &mut tree, &mut model);
        }
        holds(&tree.root, true);
        prop_assert!(tree.iter().eq(model.keys()));
        let mut before = Load::default();
        for (key, pages) in &model {
            prop_assert_eq!(tree.before(key), Some(before));
            prop_assert_eq!(tree.below(key), before);
            before += Load::of(*pages);
        }
        prop_assert_eq!(tree.load(), before);
        prop_assert_eq!(tree.before(&u32::MAX), None);
        prop_assert_eq!(tree.below(&u32::MAX), before);
        for key in [0, 1, 500, 9_999, 40_000, u32::MAX] {
            prop_assert!(tree.iter_from(&key).eq(model.range(key..).map(|(key, _)| key)), "from {}", key);
            let below: Load = model.range(..key).map(|(_, pages)| Load::of(*pages)).sum();
            prop_assert_eq!(tree.below(&key), below);
        }
    }
}

#[test]
fn it_stays_low_and_full() {
    let mut tree: OrderStatisticTree<u32> = OrderStatisticTree::default();
    (0u32..100_000).for_each(|key| tree.insert(key, None));
    assert_eq!(holds(&tree.root, true), 2, "64³ have room in three levels");
    (0u32..100_000).filter(|key| key % 100 != 0).for_each(|key| assert!(tree.remove(&key)));
    assert!(holds(&tree.root, true) <= 2);
    assert_eq!(tree.before(&50_000).unwrap().jobs, 500);
    while tree.pop_first().is_some() {}
    assert!(tree.is_empty() && matches!(&tree.root, Node::Leaf(members) if members.is_empty()));
}

#[test]
fn a_node_divided_at_its_end_joins_its_small_neighbour() {
    let mut tree: OrderStatisticTree<u32> = OrderStatisticTree::default();
    // Full leaves, the second one thinned out; then the first grows at its own end.
    (0u32..192).for_each(|key| tree.insert(key * 1000, None));
    (66u32..128).for_each(|key| assert!(tree.remove(&(key * 1000))));
    (1u32..200).for_each(|key| tree.insert(63_000 + key, None));
    holds(&tree.root, true);
    assert_eq!(tree.before(&191_000).unwrap().jobs, 192 - 62 + 199 - 1);
}
