//! Which of several servers takes which waiting job. Each may take any, since a claim is an append with compare-and-set; but where
//! all reach for the same one, all but one have worked in vain.
//!
//! A job is for the server that wins it by weighted rendezvous hashing: each server draws a number from its own id and the job's, weighted by
//! how many slots it has free for that kind. All servers see nearly the same free slots, so nearly always exactly one of them holds a
//! job to be its own, and it changes for few jobs when a slot is taken. What nobody takes for a while, whoever can takes.

use std::collections::BTreeMap;

use courant_joblog::ids::JobId;
use tokio::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::clock::Moment;
use crate::view::CurrentJob;

/// After this long any server takes a job: the one it is for may be stuck, or see other free slots.
pub const ANYBODYS_AFTER: Duration = Duration::from_millis(250);

/// How servers divide the jobs that wait.
#[derive(Clone, Debug)]
pub struct Affinity {
    /// The id of the server that asks, which is one of those in `free` while it has free slots.
    pub server: u64,
    /// Free slots of each server with some, this one too, of each kind.
    pub free: BTreeMap<Box<str>, BTreeMap<u64, u32>>,
}

impl Affinity {
    /// Whether a job is for this server.
    pub fn is_ours(&self, kind: &str, job: &JobId) -> bool {
        let Some(servers) = self.free.get(kind) else { return true };
        let drawn = servers.iter().map(|(server, slots)| (draw(*server, *slots, job), *server));
        drawn.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).is_none_or(|(_, server)| server == self.server)
    }

    /// Whether a job has waited so long that it is anybody's.
    pub fn is_anybodys(current: &CurrentJob, now: Moment) -> bool {
        u128::from(now.ms_since(current.since)) >= ANYBODYS_AFTER.as_millis()
    }
}

/// The highest one wins: each server as often as it has slots.
fn draw(server: u64, slots: u32, job: &JobId) -> f64 {
    // Between 0 and 1, both excluded: 53 bits are what a float has.
    let uniform = ((xxh3_64_with_seed(job.as_str().as_bytes(), server) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    f64::from(slots) / -uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affinity(server: u64, free: &[(u64, u32)]) -> Affinity {
        Affinity { server, free: [("pdf".into(), free.iter().copied().collect())].into() }
    }

    fn ours(affinity: &Affinity) -> Vec<usize> {
        let jobs = (0..10_000).map(|number| JobId::new(format!("J{number}")));
        jobs.enumerate().filter(|(_, job)| affinity.is_ours("pdf", job)).map(|(number, _)| number).collect()
    }

    #[test]
    fn every_job_is_for_one_server_and_each_gets_as_many_as_it_has_slots() {
        let free = [(11, 1), (12, 2), (13, 5)];
        let shares = free.map(|(server, _)| ours(&affinity(server, &free)));
        let mut all: Vec<usize> = shares.concat();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..10_000));
        for (share, (_, slots)) in shares.iter().zip(free) {
            let expected = 10_000 * slots as usize / 8;
            assert!(share.len().abs_diff(expected) < 300, "{slots} slots of 8: {}", share.len());
        }
    }

    #[test]
    fn a_slot_more_or_less_changes_whose_few_jobs_are() {
        let before = ours(&affinity(11, &[(11, 8), (12, 8)]));
        let after = ours(&affinity(11, &[(11, 8), (12, 7)]));
        let lost = before.iter().filter(|job| after.binary_search(job).is_err()).count();
        assert_eq!(lost, 0, "whose share grows loses none");
        assert!(after.len() - before.len() < 600, "{} of {}", after.len(), before.len());
    }

    #[test]
    fn who_is_alone_or_knows_of_nobody_takes_all() {
        assert_eq!(ours(&affinity(11, &[(11, 1)])).len(), 10_000);
        assert!(affinity(11, &[]).is_ours("scan", &JobId::new("J")));
    }
}
