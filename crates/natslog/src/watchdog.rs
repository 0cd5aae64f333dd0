//! Looks each second whether the stream is still the one that was opened, whether its messages arrive, how full it is, and
//! whether it keeps too many tombstones.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::stream::Info;
use courant_joblog::log::{AppendError, Epoch};
use tokio::sync::Notify;

use crate::append::Appender;
use crate::publish::Outcome;
use crate::reached::Reached;
use crate::server::is_confirmed;
use crate::settings;

pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// So often in a row something must be seen that ends the log.
const CERTAIN: u32 = 3;
/// So often in a row a stream must end too early, at the same revision: a leader that was just elected does not show at once all that it
/// has.
pub(crate) const SHORT_CERTAIN: u32 = 6;
/// Tombstones that are removed at a time.
const TOMBSTONES: usize = 256;

/// An append may have so many bytes, and a twentieth of a small stream: where there are fewer left the next one may not fit.
const LARGE: i64 = 1024 * 1024;

/// What is watched for.
#[derive(Debug)]
pub(crate) struct Watchdog {
    pub(crate) appender: Arc<Appender>,
    /// What the stream was opened with.
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) created: String,
    pub(crate) reserve_bytes: u64,
    pub(crate) forgotten_kept: usize,
    pub(crate) behind: Arc<Notify>,
    pub(crate) reached: Option<Reached>,
    /// How often in a row the stream was not the one.
    pub(crate) wrong: u32,
    /// Where the stream ended when it ended too early.
    pub(crate) short_end: u64,
    /// Up to where messages had arrived when it was looked last.
    pub(crate) seen: u64,
}

impl Watchdog {
    /// Until the log stops.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.appender.view.stopped().is_none() {
            ticks.tick().await;
            self.note_reached();
            // Before the question: more may arrive while the answer is under way.
            let seen = self.appender.view.seen();
            // No answer says nothing.
            let Ok(info) = self.appender.server.info().await else { continue };
            self.look(info, seen).await;
        }
    }

    fn note_reached(&mut self) {
        let (applied, epoch) = (self.appender.view.applied(), self.epochs.last().map_or(0, |epoch| epoch.id));
        if let Some(reached) = &mut self.reached
            && let Err(error) = reached.note(epoch, applied)
        {
            tracing::warn!(%error, "how far the log reaches cannot be noted in the data folder");
        }
    }

    async fn look(&mut self, info: Option<Info>, seen: u64) {
        let is_wrong = match (self.what_is_wrong(info.as_ref()), &info) {
            (Some(reason), _) => Some((reason, CERTAIN)),
            (None, Some(info)) => self.ends_too_early(info, seen).map(|reason| (reason, SHORT_CERTAIN)),
            (None, None) => None,
        };
        if let Some((reason, certain)) = is_wrong {
            self.wrong += 1;
            if self.wrong >= certain {
                self.appender.view.stop(reason);
            }
            return;
        }
        self.wrong = 0;
        let Some(info) = info else { return };
        note_space(&self.appender, &info, self.reserve_bytes);
        self.drop_tombstones().await;
        let before = std::mem::replace(&mut self.seen, seen);
        if before == seen && info.state.last_sequence > seen && self.is_behind(seen).await {
            self.behind.notify_one();
        }
    }

    fn what_is_wrong(&self, info: Option<&Info>) -> Option<String> {
        let name = &self.appender.server.name;
        let open_again = "open the log again";
        let Some(info) = info else { return Some(format!("the stream {name} was deleted; {open_again}")) };
        if settings::epochs(&info.config).as_ref() != Some(&self.epochs) || info.created.to_string() != self.created {
            return Some(format!("the stream {name} was replaced, or has a new epoch; {open_again}"));
        }
        None
    }

    fn ends_too_early(&mut self, info: &Info, seen: u64) -> Option<String> {
        let (name, last) = (&self.appender.server.name, info.state.last_sequence);
        if last >= seen || !is_confirmed(info) {
            return None;
        }
        if std::mem::replace(&mut self.short_end, last) != last {
            self.wrong = 0;
        }
        Some(format!("the stream {name} ends at {last}, and {seen} has been there; put back what is missing"))
    }

    /// Blobs do not arrive here, so the end of the stream alone does not say.
    async fn is_behind(&self, seen: u64) -> bool {
        let server = &self.appender.server;
        let last = server.leader_last(&server.subjects.jobs()).await;
        let ahead = last.is_ok_and(|last| last.is_some_and(|message| message.sequence > seen));
        ahead && self.appender.view.seen() == seen
    }

    /// Removes the oldest tombstones when there are too many. It is announced first, so that who asks what is gone is told too much
    /// rather than too little.
    async fn drop_tombstones(&self) {
        let Appender { server, view, publisher, .. } = &*self.appender;
        let mut gone = view.with_heads(|heads| heads.droppable(self.forgotten_kept));
        gone.truncate(TOMBSTONES);
        let Some((newest, ..)) = gone.last() else { return };
        if !matches!(publisher.send_dropped(*newest).await.outcome().await, Outcome::Stored(_)) {
            return;
        }
        for (revision, owner, job) in &gone {
            // What stays is found by its expectation when the job is made again.
            if let Err(error) = server.purge(&server.subjects.of_job(owner, job), Some(revision + 1)).await {
                tracing::debug!(%error, "a tombstone stays");
            }
        }
    }
}

/// Looks how full the stream is.
pub(crate) fn note_space(appender: &Appender, info: &Info, reserve: u64) {
    let max = u64::try_from(info.config.max_bytes).ok().filter(|max| *max > 0);
    let space = max.map_or(i64::MAX, |max| {
        let for_all = i64::try_from(max - reserve.min(max / 10)).unwrap_or(i64::MAX);
        for_all.saturating_sub_unsigned(info.state.bytes)
    });
    appender.space.store(space, Ordering::Relaxed);
    let full = space <= max.map_or(0, |max| LARGE.min(max.cast_signed() / 20));
    appender.full.send_if_modified(|known| std::mem::replace(known, full) != full);
}

/// Whether there is space now.
pub(crate) async fn probe(appender: &Appender, reserve: u64) -> Result<(), AppendError> {
    if let Some(reason) = appender.view.stopped() {
        return Err(AppendError::Unknown { reason });
    }
    match appender.server.info().await {
        Ok(Some(info)) => note_space(appender, &info, reserve),
        Ok(None) => return Err(AppendError::Unknown { reason: "the stream is not there".into() }),
        Err(error) => return Err(AppendError::Unknown { reason: error.to_string().into() }),
    }
    if *appender.full.borrow() { Err(AppendError::Full) } else { Ok(()) }
}
