//! Who did what through this bridge. The server's audit log is the record to keep: what the server cannot see itself is
//! reported to it, see `upstream::audit`. What is here is for looking on while the server does not answer: bounded, and gone
//! with the process. What was done, who came and what was refused are bounded apart, so that whoever provokes many refusals
//! hides nothing.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use courant_proto::v1;
use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::rate::at_least_one;
use crate::wire::admin::{AuditAction, AuditEntry};

/// Entries of what was done that are kept to be shown.
const KEPT: usize = 100;
/// Of connections that began or ended.
const KEPT_CONNECTIONS: usize = 50;
/// Of refusals, those that are alike in one.
const KEPT_REFUSALS: usize = 50;
/// Lines of refusals in the log per second.
const REFUSED_LINES_PER_SECOND: u32 = 5;
/// Bytes of a name that is written down.
const NAME_BYTES: usize = 128;
/// Events that wait to be reported to the server.
const REPORT_QUEUE: usize = 4096;

/// The entries. Cheap to add to.
#[derive(Debug)]
pub struct AuditLog {
    entries: Mutex<Entries>,
    /// Lines of refusals in the log.
    line_rate: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>,
    /// Refusals since the last of these lines that have none.
    suppressed: AtomicU64,
    /// To the server.
    report: Option<Report>,
}

#[derive(Debug)]
struct Report {
    events: mpsc::Sender<v1::AuditEvent>,
    lost: Lost,
}

/// What is to be reported to the server.
#[derive(Debug)]
pub struct Reported {
    pub events: mpsc::Receiver<v1::AuditEvent>,
    pub lost: Lost,
}

/// How many events did not fit into the queue of the report.
#[derive(Clone, Debug, Default)]
pub struct Lost(Arc<AtomicU64>);

impl Lost {
    /// Since the last call.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct Entries {
    number: u64,
    actions: VecDeque<AuditEntry>,
    /// Who came and went.
    connections: VecDeque<AuditEntry>,
    /// What was refused, one entry for all that are alike.
    refusals: VecDeque<AuditEntry>,
}

/// Entries of one category replace each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Category {
    Action,
    Connection,
    Refusal,
}

impl Category {
    fn of(action: AuditAction) -> Self {
        match action {
            AuditAction::Connected | AuditAction::Disconnected => Self::Connection,
            AuditAction::TokenRefused | AuditAction::LimitRefused => Self::Refusal,
            AuditAction::Submitted
            | AuditAction::Cancelled
            | AuditAction::Retried
            | AuditAction::Deleted
            | AuditAction::WorkerDrained
            | AuditAction::WorkerResumed
            | AuditAction::Notified
            | AuditAction::AdminRead
            | AuditAction::TopicFollowed
            | AuditAction::Other => Self::Action,
        }
    }
}

impl Default for AuditLog {
    fn default() -> Self {
        let quota = Quota::per_second(at_least_one(REFUSED_LINES_PER_SECOND));
        let line_rate = RateLimiter::direct_with_clock(quota, MonotonicClock);
        Self { entries: Mutex::default(), line_rate, suppressed: AtomicU64::new(0), report: None }
    }
}

impl AuditLog {
    /// One that reports to the server what that cannot see itself.
    pub fn reporting() -> (Self, Reported) {
        let ((events, received), lost) = (mpsc::channel(REPORT_QUEUE), Lost::default());
        let reported = Reported { events: received, lost: lost.clone() };
        (Self { report: Some(Report { events, lost }), ..Self::default() }, reported)
    }

    /// Writes an entry. `target` is what it was done to; never a secret.
    pub fn record(&self, action: AuditAction, user: Option<&str>, address: Option<IpAddr>, target: Option<&str>) {
        let cut = |text: &str| text.chars().take(NAME_BYTES).collect::<String>();
        let (user, target) = (user.map(cut), target.map(cut));
        self.log(action, user.as_deref(), address, target.as_deref());
        let address = address.map(|address| address.to_string());
        let now = prost_types::Timestamp::from(SystemTime::now());
        self.report(action, now, user.as_deref(), address.as_deref(), target.as_deref());
        let time = now.to_string();
        let mut entries = self.entries.lock();
        entries.number += 1;
        let number = entries.number;
        let record = AuditEntry { number, time, action, user, address, target, count: None, code: None };
        match Category::of(action) {
            Category::Action => push_bounded(&mut entries.actions, record, KEPT),
            Category::Connection => push_bounded(&mut entries.connections, record, KEPT_CONNECTIONS),
            Category::Refusal => merge_refusal(&mut entries.refusals, record),
        }
    }

    /// Never waits: what does not fit is counted.
    fn report(
        &self,
        action: AuditAction,
        now: prost_types::Timestamp,
        user: Option<&str>,
        address: Option<&str>,
        target: Option<&str>,
    ) {
        let (Some(report), Some(action)) = (&self.report, action.reported_as()) else { return };
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let event = v1::AuditEvent {
            time: Some(now),
            action: action.to_owned(),
            actor: text(user),
            address: text(address),
            target: text(target),
            ..v1::AuditEvent::default()
        };
        if report.events.try_send(event).is_err() {
            report.lost.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Refusals cost those who provoke them nothing: they get a few lines per second, and the rest is counted.
    fn log(&self, action: AuditAction, user: Option<&str>, address: Option<IpAddr>, target: Option<&str>) {
        let mut suppressed = None;
        if Category::of(action) == Category::Refusal {
            if self.line_rate.check().is_err() {
                self.suppressed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            suppressed = Some(self.suppressed.swap(0, Ordering::Relaxed)).filter(|count| *count > 0);
        }
        let address = address.map(tracing::field::display);
        tracing::info!(target: "audit", ?action, user, address, target_id = target, suppressed, "done");
    }

    /// The newest entries, oldest first.
    pub fn newest(&self) -> Vec<AuditEntry> {
        let entries = self.entries.lock();
        let all = entries.actions.iter().chain(&entries.connections).chain(&entries.refusals);
        let mut all: Vec<_> = all.cloned().collect();
        drop(entries);
        all.sort_unstable_by_key(|record| record.number);
        all
    }
}

/// When there are too many, the oldest goes of the user who has most: nobody pushes out the entries of others.
fn push_bounded(records: &mut VecDeque<AuditEntry>, record: AuditEntry, most: usize) {
    records.push_back(record);
    if records.len() <= most {
        return;
    }
    let mut counts: HashMap<Option<&str>, usize> = HashMap::new();
    for record in records.iter() {
        *counts.entry(record.user.as_deref()).or_default() += 1;
    }
    let fullest = records
        .iter()
        .enumerate()
        .max_by_key(|(index, record)| (counts.get(&record.user.as_deref()).copied(), std::cmp::Reverse(*index)));
    if let Some(index) = fullest.map(|(index, _)| index) {
        records.remove(index);
    }
}

/// The same entries, oldest first, with those refusals in one that are alike.
pub fn merge_refusals(entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
    let (mut merged, mut refusals) = (Vec::new(), VecDeque::new());
    for entry in entries {
        match Category::of(entry.action) {
            Category::Refusal => merge_refusal(&mut refusals, entry),
            Category::Action | Category::Connection => merged.push(entry),
        }
    }
    merged.extend(refusals);
    merged.sort_unstable_by_key(|entry| entry.number);
    merged
}

/// Adds to the entry that is alike: the same from the same address. The newest is last.
fn merge_refusal(records: &mut VecDeque<AuditEntry>, mut record: AuditEntry) {
    let alike = |known: &AuditEntry| {
        let same_target = record.action == AuditAction::TokenRefused || known.target == record.target;
        known.action == record.action && known.address == record.address && same_target
    };
    if let Some(known) = records.iter().position(alike).and_then(|index| records.remove(index)) {
        record.count = Some(known.count.unwrap_or(1).saturating_add(record.count.unwrap_or(1)));
    }
    if records.len() == KEPT_REFUSALS {
        records.pop_front();
    }
    records.push_back(record);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_kept_and_names_are_cut() {
        let log = AuditLog::default();
        for _ in 0..250 {
            log.record(AuditAction::Submitted, Some(&"x".repeat(1000)), None, None);
        }
        let kept = log.newest();
        assert_eq!((kept.len(), kept[0].number, kept[99].number), (KEPT, 151, 250));
        assert_eq!(kept[0].user.as_ref().map(String::len), Some(NAME_BYTES));
    }

    #[test]
    fn neither_refusals_nor_a_busy_user_push_out_what_others_did() {
        let log = AuditLog::default();
        let address = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        log.record(AuditAction::Deleted, Some("root"), address(1), Some("J"));
        for number in 0..10_000 {
            log.record(AuditAction::TokenRefused, None, address(9), Some(&number.to_string()));
            log.record(AuditAction::LimitRefused, Some("mallory"), address(9), Some("subscriptions"));
            log.record(AuditAction::Submitted, Some("mallory"), address(9), None);
            log.record(AuditAction::Connected, Some("mallory"), address(9), None);
        }
        let kept = log.newest();
        assert!(kept.len() <= KEPT + KEPT_CONNECTIONS + KEPT_REFUSALS);
        assert!(kept.iter().any(|record| record.action == AuditAction::Deleted), "{kept:?}");
        let refused: Vec<_> = kept.iter().filter(|record| Category::of(record.action) == Category::Refusal).collect();
        assert_eq!(refused.iter().map(|record| record.count).collect::<Vec<_>>(), [Some(10_000); 2]);
        assert!(log.suppressed.load(Ordering::Relaxed) > 0);
        assert!(kept.windows(2).all(|pair| pair[0].number < pair[1].number));
    }
}
