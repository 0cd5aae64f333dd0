//! The newest of each part of a state. The cursor names the state by its content: whoever knows the present state is told
//! nothing, everybody else all of it, on any bridge and transport.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::upstream::Part;
use crate::wire::encode::{Push, Slot};

/// A state as far as it is known.
#[derive(Debug)]
pub(super) struct Retained {
    /// Parts without which the state is not whole.
    needed: usize,
    parts: BTreeMap<Slot, RetainedPart>,
}

#[derive(Debug)]
struct RetainedPart {
    hash: u64,
    push: Arc<Push>,
}

impl Retained {
    pub(super) fn new(needed: usize) -> Self {
        Self { needed, parts: BTreeMap::new() }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.parts.len() >= self.needed
    }

    /// Keeps a part instead of the one before, and returns it as it is sent.
    pub(super) fn keep(&mut self, topic: &Arc<str>, part: Part) -> Arc<Push> {
        let mut hashes: BTreeMap<_, _> = self.parts.iter().map(|(slot, known)| (*slot, known.hash)).collect();
        hashes.insert(part.slot, part.hash);
        let cursor = name(hashes.into_iter());
        let message = (part.message)(topic.clone(), cursor.clone());
        let push = Arc::new(Push::state(topic, part.slot, &cursor, message));
        self.parts.insert(part.slot, RetainedPart { hash: part.hash, push: push.clone() });
        push
    }

    /// Names the state as it is now.
    pub(super) fn cursor(&self) -> String {
        name(self.parts.iter().map(|(slot, known)| (*slot, known.hash)))
    }

    pub(super) fn pushes(&self) -> impl Iterator<Item = Arc<Push>> {
        self.parts.values().map(|known| known.push.clone())
    }
}

/// Another build may name a state otherwise: then it is only sent once more.
fn name(hashes: impl Iterator<Item = (Slot, u64)>) -> String {
    let mut all = DefaultHasher::new();
    hashes.for_each(|part| part.hash(&mut all));
    format!("state-{:016x}", all.finish())
}
