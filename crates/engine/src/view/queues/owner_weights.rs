//! How many jobs a turn of an owner has.

use std::collections::HashMap;
use std::sync::Arc;

use courant_joblog::ids::Owner;

/// The owners with more than one job a turn. All others have one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerWeights(Arc<HashMap<Owner, u32>>);

impl OwnerWeights {
    /// The most jobs of a turn: so many jobs of one owner may come before the single one of another.
    pub const MAX: u32 = 100;
    /// The most owners that can be named: a position in the queue looks at each of them who has jobs waiting.
    pub const MAX_OWNERS: usize = 256;

    /// Of these owners, each with 1 to [`OwnerWeights::MAX`]. At most [`OwnerWeights::MAX_OWNERS`].
    pub fn new(weights: impl IntoIterator<Item = (Owner, u32)>) -> Self {
        Self(Arc::new(weights.into_iter().collect()))
    }

    /// Jobs in a turn of this owner; at least 1.
    pub fn of(&self, owner: &Owner) -> u32 {
        self.0.get(owner).map_or(1, |weight| (*weight).max(1))
    }
}
