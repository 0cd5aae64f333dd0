//! Of which partitions of the log somebody watches jobs: what other servers say of the others is not needed here.

use courant_joblog::log::PARTITIONS;

/// How many watchers each partition has.
#[derive(Debug)]
pub(super) struct Interest {
    of_one: [u32; PARTITIONS as usize],
    of_all: u32,
}

impl Default for Interest {
    fn default() -> Self {
        Self { of_one: [0; PARTITIONS as usize], of_all: 0 }
    }
}

impl Interest {
    /// A watcher of jobs of one partition, or maybe of any.
    pub(super) fn add(&mut self, partition: Option<u8>) {
        *self.count(partition) += 1;
    }

    pub(super) fn remove(&mut self, partition: Option<u8>) {
        *self.count(partition) -= 1;
    }

    /// A bit for each partition.
    pub(super) fn mask(&self) -> u64 {
        if self.of_all > 0 {
            return u64::MAX;
        }
        let watched = self.of_one.iter().zip(0..).filter(|(watchers, _)| **watchers > 0);
        watched.fold(0, |mask, (_, partition)| mask | 1 << partition)
    }

    fn count(&mut self, partition: Option<u8>) -> &mut u32 {
        match partition {
            Some(partition) => &mut self.of_one[usize::from(partition) % PARTITIONS as usize],
            None => &mut self.of_all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_watched_from_the_first_watcher_to_the_last() {
        let mut interest = Interest::default();
        [Some(0), Some(63), Some(63)].into_iter().for_each(|partition| interest.add(partition));
        assert_eq!(interest.mask(), 1 | 1 << 63);
        interest.remove(Some(63));
        interest.add(None);
        assert_eq!(interest.mask(), u64::MAX);
        interest.remove(None);
        assert_eq!(interest.mask(), 1 | 1 << 63);
        interest.remove(Some(63));
        assert_eq!(interest.mask(), 1);
    }
}
