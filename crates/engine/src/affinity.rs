//! Which of several servers takes which waiting job. Each may take any, since a claim is an append with compare-and-set; but where
//! all reach for the same one, all but one have worked in vain.
//!
//! A job is for the server that wins it by weighted rendezvous hashing: each server draws a number from its own id and the job's, weighted by
//! how many slots its workers have for that kind, busy or not. All servers know the same slots, so exactly one of them holds a job to be its own.
//! (With free slots as weights a tenth of all claims were lost while servers are busy: they learn of starts and ends at different moments.) What was left to others and is not taken for a while, whoever
//! can takes.

use std::collections::{BTreeMap, HashMap};

use courant_joblog::ids::JobId;
use courant_joblog::job::Job;
use tokio::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// So long after a server could have taken a job and left it to another, it takes it: the other may be stuck, or see other free
/// slots. How long the job has waited says nothing: where many wait, all of them have waited for longer.
pub const ANYBODYS_AFTER: Duration = Duration::from_millis(250);
/// Jobs that are remembered as left to others.
const REMEMBERED: usize = 4_096;
/// Where claims take long, so many times as long as one.
const CLAIMS: u32 = 4;
/// But never longer than this.
const AT_MOST: Duration = Duration::from_secs(5);
/// What was not looked at for so long is not remembered when there is no room.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// How servers divide the jobs that wait.
#[derive(Clone, Debug)]
pub struct Affinity {
    /// The id of the server that asks.
    pub server: u64,
    /// Slots of each server that takes jobs, this one too, of each kind.
    pub slots: BTreeMap<Box<str>, BTreeMap<u64, u32>>,
}

impl Affinity {
    /// Whether a job is for this server.
    pub fn is_ours(&self, kind: &str, job: &JobId) -> bool {
        let Some(servers) = self.slots.get(kind) else { return true };
        let drawn = servers.iter().map(|(server, slots)| (draw(*server, *slots, job), *server));
        drawn.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).is_none_or(|(_, server)| server == self.server)
    }
}

/// How long jobs are left to others, given how long a claim takes: one that is under way at another server is no job to take.
pub fn anybodys_after(claim: Duration) -> Duration {
    (claim * CLAIMS).clamp(ANYBODYS_AFTER, AT_MOST)
}

/// Jobs that this server could have taken, and left to others.
#[derive(Debug, Default)]
pub struct LeftToOthers(HashMap<(JobId, u32), Left>);

#[derive(Debug)]
struct Left {
    since: Instant,
    seen: Instant,
}

impl LeftToOthers {
    /// Whether a job was left to others for so long (`after`) that it is anybody's. If it was not left before, it is now.
    pub fn is_anybodys(&mut self, job: &Job, now: Instant, after: Duration) -> bool {
        // After an attempt it is somebody's again.
        let key = (job.id.clone(), job.attempt);
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&key) {
            self.0.retain(|_, left| now.duration_since(left.seen) < FORGOTTEN_AFTER);
            if self.0.len() >= REMEMBERED {
                self.0.clear();
            }
        }
        let left = self.0.entry(key).or_insert(Left { since: now, seen: now });
        left.seen = now;
        now.duration_since(left.since) >= after
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
    use crate::testing::queued;

    fn affinity(server: u64, free: &[(u64, u32)]) -> Affinity {
        Affinity { server, slots: [("pdf".into(), free.iter().copied().collect())].into() }
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

    #[tokio::test(start_paused = true)]
    async fn a_job_is_anybodys_some_time_after_it_was_left_and_not_after_it_was_submitted() {
        let mut left = LeftToOthers::default();
        let (old, mut again) = (queued("old", "alice"), queued("again", "alice"));
        tokio::time::advance(10 * ANYBODYS_AFTER).await;
        assert!(!left.is_anybodys(&old, Instant::now(), ANYBODYS_AFTER), "nobody has had the time to take it");
        tokio::time::advance(ANYBODYS_AFTER / 2).await;
        assert!(
            !left.is_anybodys(&old, Instant::now(), ANYBODYS_AFTER)
                && !left.is_anybodys(&again, Instant::now(), ANYBODYS_AFTER)
        );
        tokio::time::advance(ANYBODYS_AFTER / 2).await;
        assert!(
            left.is_anybodys(&old, Instant::now(), ANYBODYS_AFTER)
                && !left.is_anybodys(&again, Instant::now(), ANYBODYS_AFTER)
        );
        tokio::time::advance(ANYBODYS_AFTER).await;
        again.attempt += 1;
        assert!(!left.is_anybodys(&again, Instant::now(), ANYBODYS_AFTER), "another server had it, and it waits again");
    }

    #[test]
    fn where_claims_take_long_others_wait_longer() {
        let ms = Duration::from_millis;
        assert_eq!((anybodys_after(ms(2)), anybodys_after(ms(300))), (ANYBODYS_AFTER, ms(1_200)));
        assert_eq!(anybodys_after(ms(60_000)), AT_MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let mut left = LeftToOthers::default();
        for number in 0..3 * REMEMBERED {
            left.is_anybodys(&queued(&number.to_string(), "alice"), Instant::now(), ANYBODYS_AFTER);
            assert!(left.0.len() <= REMEMBERED);
        }
    }

    #[test]
    fn who_is_alone_or_knows_of_nobody_takes_all() {
        assert_eq!(ours(&affinity(11, &[(11, 1)])).len(), 10_000);
        assert!(affinity(11, &[]).is_ours("scan", &JobId::new("J")));
    }
}
