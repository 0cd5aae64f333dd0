//! Bringing a watcher to where its queue goes on: by what it missed, or by how everything is now.

use courant_joblog::ids::Revision;
use courant_joblog::log::Record;

use super::{OnGap, Outlet, Step, Stop, Update, WatchError, Watcher};
use crate::cursor::Gap;
use crate::engine::PAGE;
use crate::error::Error;
use crate::hub::Topic;
use crate::hub::watch_queue::Durable;

impl<T: Send, F: Fn(Result<Update, WatchError>) -> T + Sync, O: Outlet<T>> Watcher<T, F, O> {
    /// After a gap in a watch over one job: that the job is gone, if so, instead of nothing.
    async fn gone(&mut self) -> Result<(), Stop> {
        let Topic::Job(id) = &self.watch.scope.topic else { return Ok(()) };
        if self.engine.read(|view| view.stored(id).is_some()) {
            return Ok(());
        }
        let notice = self.engine.log.read(Revision::ZERO, &self.filter(), PAGE).await?.pop();
        match notice.filter(|entry| entry.record == Record::Forgotten) {
            Some(entry) => {
                let revision = entry.revision;
                self.send(Some(revision), Step::Event(Durable::of(entry))).await
            }
            None => Ok(()),
        }
    }

    /// Sends what came after one position up to another, or reports a gap and starts over.
    pub(super) async fn resume(&mut self, after: Revision, target: Revision) -> Result<(), Stop> {
        match self.replay(after, target).await? {
            Some(reason) => self.restart(reason).await,
            None => Ok(()),
        }
    }

    pub(super) async fn restart(&mut self, reason: Gap) -> Result<(), Stop> {
        if self.watch.on_gap == OnGap::Fail {
            return Err(Error::CursorTooOld(reason).into());
        }
        let mut gap = Some(reason);
        while let Some(reason) = gap {
            self.send(None, Step::Gap(reason)).await?;
            gap = self.snapshots().await?;
        }
        self.gone().await
    }

    /// Sends the jobs of the scope as they are, piece by piece, then what happened to them in the meantime. Gives the reason
    /// if that is not there any more.
    pub(super) async fn snapshots(&mut self) -> Result<Option<Gap>, Stop> {
        let (mut walk, mut piece) = self.engine.begin_walk(&self.watch.scope, &self.id, &self.queue);
        let at_once = walk.is_over();
        self.last = walk.revision;
        self.shown.clear();
        // The snapshot of one job is complete. One of many is not: a watch cannot continue from it.
        let at = matches!(self.watch.scope.topic, Topic::Job(_)).then_some(self.last);
        loop {
            for seen in piece {
                if seen.current.revision > self.last {
                    self.shown.insert(seen.current.job.id.clone(), seen.current.revision);
                }
                self.send(at, Step::Snapshot(Box::new(seen))).await?;
            }
            match self.engine.walk_on(&mut walk) {
                Some(next) => piece = next,
                None => break,
            }
        }
        if at_once {
            return Ok(None);
        }
        let target = self.engine.rejoin(&self.id, &self.queue);
        let gap = self.replay(walk.revision, target).await?;
        self.shown.clear();
        Ok(gap)
    }

    /// Sends what the log has after one position up to another; the queue has the rest. Gives the reason if something is
    /// not there any more.
    async fn replay(&mut self, after: Revision, target: Revision) -> Result<Option<Gap>, Stop> {
        self.last = after;
        let filter = self.filter();
        while self.last < target {
            let from = self.last;
            let page = self.engine.log.read(from, &filter, PAGE).await?;
            // Asked after the read: what was removed before it is in the answer, what is removed later was read.
            if self.engine.log.trimmed(&filter).await? > from {
                return Ok(Some(Gap::HistoryTrimmed));
            }
            let known: Vec<_> = page.into_iter().filter(|entry| entry.revision <= target).collect();
            if known.is_empty() {
                self.last = target;
            }
            for entry in known {
                self.entry(Durable::of(entry)).await?;
            }
        }
        Ok(None)
    }
}
