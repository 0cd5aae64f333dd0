//! How many jobs of a kind may be running, of one owner and in all.

use std::collections::BTreeMap;

/// What may be running.
#[derive(Clone, Copy, Debug)]
pub struct RunningLimits<'a> {
    /// The share of the slots of a kind that one owner may have while another one waits for them: above 0, and 1 for all.
    pub share: f64,
    /// Jobs of one kind that an owner may have running at any time.
    pub running: u32,
    /// Slots of the workers of each kind. A kind that is not here has no share.
    pub slots: &'a BTreeMap<Box<str>, u32>,
    /// The most jobs of a kind that all owners may have running together. A kind that is not here may have any number.
    pub kinds: &'a BTreeMap<Box<str>, u32>,
}

impl RunningLimits<'_> {
    /// How many jobs of a kind an owner may have running while another owner waits: at least 1, and if the share is less
    /// than all and there is more than one slot, at least one slot is left to others.
    pub fn while_others_wait(&self, kind: &str) -> u32 {
        let Some(slots) = self.slots.get(kind).copied().filter(|_| self.share < 1.0) else { return self.running };
        let share = (f64::from(slots) * self.share) as u32;
        share.min(slots.saturating_sub(1)).max(1).min(self.running)
    }

    /// How many jobs of a kind may be running in all.
    pub fn of_kind(&self, kind: &str) -> u32 {
        self.kinds.get(kind).copied().unwrap_or(u32::MAX)
    }

    /// How many jobs of a kind an owner may have running.
    pub fn at_any_time(&self) -> u32 {
        self.running
    }
}

#[cfg(test)]
static NO_SLOTS: BTreeMap<Box<str>, u32> = BTreeMap::new();

#[cfg(test)]
impl RunningLimits<'_> {
    pub(crate) const NONE: RunningLimits<'static> =
        RunningLimits { share: 1.0, running: u32::MAX, slots: &NO_SLOTS, kinds: &NO_SLOTS };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_leaves_a_slot_to_others_where_there_are_two() {
        let most = |slots, share| {
            let slots = BTreeMap::from([("pdf".into(), slots)]);
            RunningLimits { share, running: 100, slots: &slots, kinds: &NO_SLOTS }.while_others_wait("pdf")
        };
        assert_eq!([1, 2, 3, 4, 8, 1000].map(|slots| most(slots, 0.75)), [1, 1, 2, 3, 6, 100]);
        assert_eq!([1, 2, 4].map(|slots| most(slots, 0.99)), [1, 1, 3]);
        assert_eq!([1, 2, 4].map(|slots| most(slots, 0.01)), [1, 1, 1]);
        assert_eq!([1, 2, 4].map(|slots| most(slots, 1.0)), [100, 100, 100]);
        assert_eq!(RunningLimits::NONE.while_others_wait("pdf"), u32::MAX);
    }
}
