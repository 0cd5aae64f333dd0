//! The reports of one stream, between arriving and being taken.
//!
//! Those of one job are taken in the order in which they came, those of different jobs at the same time: none waits for what
//! the log or the store does for another. By job and not by attempt or part, since two changes of one job would only race for
//! its newest revision. Pages that wait behind one another become one append, and so do the successes of different jobs that are
//! there at the same time.
//!
//! What the worker itself is about (a sign of life, its slots) waits for nothing. A heartbeat has a second answer, which does:
//! the worker keeps its reports until they have arrived.
//!
//! Bounded by [`MAX_REPORTS`] and [`MAX_BYTES`]. When it is full the stream is not read, so that the worker's own window
//! fills; others do not notice.

use std::collections::{BTreeMap, HashMap, VecDeque};

use courant_joblog::ids::{JobId, WorkerId};
use courant_proto::v1::work_request::Message as In;
use courant_proto::v1::work_response::Message as Out;
use courant_proto::v1::{AttemptRef, Heartbeat, ReportsTaken};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::deferred::{DeferredReports, Turn};
use super::parts::{Holder, holder_in};
use super::registry::Registry;
use super::reports::Report;
use super::{messages, page_batch, reports};
use crate::error::Error;
use crate::services::Services;

/// Reports of one stream that wait or are being taken, and heartbeats that wait for them.
pub const MAX_REPORTS: usize = 256;
/// Their bytes, as they came. The last one may exceed it, by no more than a message has.
pub const MAX_BYTES: usize = 8 << 20;

pub(super) struct ReportQueue<'a> {
    services: &'a Services,
    registry: &'a Registry,
    worker: &'a WorkerId,
    deferred: DeferredReports,
    jobs: HashMap<JobId, Chain>,
    /// At most one of each job, also with those of `successes`.
    under_way: FuturesUnordered<BoxFuture<'a, Taken>>,
    /// Are taken together, once [`ReportQueue::begin`] says that no more of them came with these.
    successes: Vec<Arrived>,
    arrivals: Arrivals,
    bytes: usize,
    answers: VecDeque<Out>,
    /// Why the stream ends. Nothing that came with or behind the report that it is of is taken.
    failed: Option<Error>,
}

/// The reports of one job. Gone with its last one.
#[derive(Default)]
struct Chain {
    waiting: VecDeque<Arrived>,
    /// So many of the next are taken one by one: together they were not.
    one_by_one: usize,
}

/// A report as it came.
pub(super) struct Arrived {
    number: u64,
    bytes: usize,
    holder: Holder,
    pub(super) message: In,
}

/// What became of the reports of one turn.
enum Taken {
    One(Box<TakenOne>),
    /// Successes of different jobs, and those of which something else came. Here these are again.
    Successes(Vec<Ticket>, Vec<Arrived>),
    Pages(Vec<Ticket>),
    /// Not as one. Here they are again.
    NotTogether(Vec<Arrived>),
}

struct TakenOne {
    arrived: Ticket,
    holder: Holder,
    at: Option<AttemptRef>,
    answer: Result<Option<Out>, Error>,
}

/// What is kept of a report while it is being taken.
struct Ticket {
    job: JobId,
    number: u64,
    bytes: usize,
}

impl<'a> ReportQueue<'a> {
    /// Of a stream whose worker declared whether it sends reports again.
    pub(super) fn new(
        services: &'a Services,
        registry: &'a Registry,
        worker: &'a WorkerId,
        resends_reports: bool,
    ) -> Self {
        Self {
            services,
            registry,
            worker,
            deferred: DeferredReports::new(resends_reports),
            jobs: HashMap::new(),
            under_way: FuturesUnordered::new(),
            successes: Vec::new(),
            arrivals: Arrivals::default(),
            bytes: 0,
            answers: VecDeque::new(),
            failed: None,
        }
    }

    /// Whether another message may be read. If not, something is under way.
    pub(super) fn has_capacity(&self) -> bool {
        self.arrivals.len() < MAX_REPORTS && self.bytes < MAX_BYTES
    }

    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.successes.is_empty()
    }

    /// Whether the stream is to end, once what is under way is done.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// The next message to the worker.
    pub(super) fn next_answer(&mut self) -> Option<Out> {
        self.answers.pop_front()
    }

    /// Nobody reads them any more.
    pub(super) fn forget_answers(&mut self) {
        self.answers.clear();
    }

    /// How the stream ends.
    pub(super) fn end(self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }

    /// Begins what is taken together of what was pushed. To be called when nothing more is there to push, and before waiting.
    pub(super) fn begin(&mut self) {
        let (services, registry, worker) = (self.services, self.registry, self.worker);
        let mut successes = std::mem::take(&mut self.successes);
        match successes.len() {
            0 => {}
            1 => {
                let alone = successes.drain(..).map(|report| take(services, registry, worker, report).boxed());
                self.under_way.extend(alone);
            }
            _ => self.under_way.push(take_successes(services, registry, worker, successes).boxed()),
        }
    }

    /// Takes in a message that arrived. [`ReportQueue::begin`] must follow.
    pub(super) fn push(&mut self, message: In) {
        let pushed = match message {
            In::Heartbeat(heartbeat) => {
                self.heartbeat(&heartbeat);
                Ok(())
            }
            message => match messages::of_worker(self.services, self.registry, self.worker, &message) {
                Some(taken) => taken,
                None => self.report(message),
            },
        };
        if let Err(error) = pushed {
            self.fail(error);
        }
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat) {
        let pending = self.arrivals.mark(heartbeat.number);
        if !pending || heartbeat.number != 0 {
            self.answers.push_back(messages::heartbeat(self.services, self.registry, self.worker, pending));
        }
    }

    fn report(&mut self, message: In) -> Result<(), Error> {
        let holder = holder_in(messages::attempt(&message).cloned())?;
        if let In::Accepted(accepted) = &message
            && holder.part.is_none()
            && !self.jobs.contains_key(&holder.attempt.job)
            && !self.deferred.holds(&holder)
        {
            let at = accepted.attempt.clone();
            self.answers.extend(messages::accepted(self.services, self.registry, self.worker, holder, at));
            return Ok(());
        }
        let bytes = message.encoded_len();
        let number = self.arrivals.begin();
        self.bytes += bytes;
        let job = holder.attempt.job.clone();
        match self.jobs.get_mut(&job) {
            Some(chain) => chain.waiting.push_back(Arrived { number, bytes, holder, message }),
            None => {
                let waiting = VecDeque::from([Arrived { number, bytes, holder, message }]);
                self.jobs.insert(job.clone(), Chain { waiting, one_by_one: 0 });
                self.next_turn(&job);
            }
        }
        Ok(())
    }

    /// Waits until something that is under way is done, and begins what it held up. May be dropped and called again.
    pub(super) async fn finish_one(&mut self) {
        let Some(taken) = self.under_way.next().await else { return };
        match taken {
            Taken::One(one) => self.finish(*one),
            Taken::Successes(done, again) => {
                for success in done {
                    self.done(&success);
                    self.next_turn(&success.job);
                }
                again.into_iter().for_each(|success| self.one_by_one(vec![success]));
            }
            Taken::Pages(pages) => {
                pages.iter().for_each(|page| self.done(page));
                if let Some(page) = pages.first() {
                    self.next_turn(&page.job);
                }
            }
            Taken::NotTogether(pages) => self.one_by_one(pages),
        }
        self.begin();
    }

    /// Ends a report that was taken alone, or not, and begins what it held up.
    fn finish(&mut self, TakenOne { arrived, holder, at, answer }: TakenOne) {
        let (services, registry, worker) = (self.services, self.registry, self.worker);
        match self.deferred.after(services, registry, worker, holder, at, answer) {
            Ok(answer) => self.answers.extend(answer),
            Err(error) => {
                // Its number stays: no heartbeat behind it says that it has arrived.
                self.jobs.remove(&arrived.job);
                return self.fail(error);
            }
        }
        self.done(&arrived);
        self.next_turn(&arrived.job);
    }

    /// Puts reports of one job that were not taken back to where they were, and begins to take them alone.
    fn one_by_one(&mut self, reports: Vec<Arrived>) {
        let Some(job) = reports.first().map(|report| report.holder.attempt.job.clone()) else { return };
        if let Some(chain) = self.jobs.get_mut(&job) {
            chain.one_by_one = reports.len();
            reports.into_iter().rev().for_each(|report| chain.waiting.push_front(report));
        }
        self.next_turn(&job);
    }

    /// Begins what is next of a job of which nothing is under way.
    fn next_turn(&mut self, job: &JobId) {
        let (services, registry, worker) = (self.services, self.registry, self.worker);
        while let Some(chain) = self.jobs.get_mut(job) {
            let Some(next) = chain.waiting.pop_front() else {
                self.jobs.remove(job);
                return;
            };
            match self.deferred.turn(services, registry, worker, &next.holder, &next.message) {
                Turn::Over(answer) => {
                    self.answers.extend(answer.map(Out::LeaseLost));
                    let ticket = Ticket::of(&next);
                    self.done(&ticket);
                }
                Turn::Take if next.is_success() && chain.one_by_one == 0 => return self.successes.push(next),
                Turn::Take => {
                    let more = chain.pages_behind(&next);
                    return self.under_way.push(if more.is_empty() {
                        take(services, registry, worker, next).boxed()
                    } else {
                        take_pages(services, registry, worker, std::iter::once(next).chain(more).collect()).boxed()
                    });
                }
            }
        }
    }

    fn done(&mut self, ticket: &Ticket) {
        self.bytes -= ticket.bytes;
        let marks = self.arrivals.end(ticket.number);
        if marks.number != 0 {
            self.answers.push_back(Out::ReportsTaken(ReportsTaken { number: marks.number }));
        }
        for _ in 0..marks.unnumbered {
            self.answers.push_back(messages::heartbeat(self.services, self.registry, self.worker, false));
        }
    }

    /// The first reason counts.
    pub(super) fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }
}

impl Chain {
    /// The pages that can be taken together with the next report, if that is a page too.
    fn pages_behind(&mut self, next: &Arrived) -> Vec<Arrived> {
        if self.one_by_one > 0 {
            self.one_by_one -= 1;
            return Vec::new();
        }
        let is_page = |report: &Arrived| report.holder == next.holder && matches!(report.message, In::Page(_));
        if !is_page(next) {
            return Vec::new();
        }
        let mut bytes = next.bytes;
        let fits = |report: &&Arrived| {
            bytes += report.bytes;
            is_page(report) && bytes <= page_batch::MAX_BYTES
        };
        let more = self.waiting.iter().take(page_batch::MAX_PAGES - 1).take_while(fits).count();
        self.waiting.drain(..more).collect()
    }
}

impl Arrived {
    /// Whether it says that a whole job is done.
    fn is_success(&self) -> bool {
        self.holder.part.is_none() && matches!(self.message, In::Succeeded(_))
    }
}

impl Ticket {
    fn of(report: &Arrived) -> Self {
        Self { job: report.holder.attempt.job.clone(), number: report.number, bytes: report.bytes }
    }
}

async fn take(services: &Services, registry: &Registry, worker: &WorkerId, report: Arrived) -> Taken {
    let arrived = Ticket::of(&report);
    let Arrived { holder, message, .. } = report;
    let at = messages::attempt(&message).cloned();
    let answer = messages::take(services, registry, worker, message).await;
    Taken::One(Box::new(TakenOne { arrived, holder, at, answer }))
}

async fn take_successes(services: &Services, registry: &Registry, worker: &WorkerId, reports: Vec<Arrived>) -> Taken {
    let of = |report: &Arrived| {
        let attempt = report.holder.attempt.clone();
        let warnings = match &report.message {
            In::Succeeded(success) => success.warnings.clone(),
            _ => Vec::new(),
        };
        (Report { services, registry, worker, attempt }, warnings)
    };
    let successes: Vec<_> = reports.iter().map(of).collect();
    let taken = reports::take_successes(&successes).await;
    let (mut done, mut again) = (Vec::with_capacity(reports.len()), Vec::new());
    for (report, taken) in reports.into_iter().zip(taken) {
        match taken {
            Ok(()) => done.push(Ticket::of(&report)),
            // What that means shows when it is taken alone. The others do not wait for it.
            Err(error) => {
                tracing::debug!(job = %report.holder.attempt.job, %error, "a success is taken alone");
                again.push(report);
            }
        }
    }
    Taken::Successes(done, again)
}

async fn take_pages(services: &Services, registry: &Registry, worker: &WorkerId, pages: Vec<Arrived>) -> Taken {
    let Some(holder) = pages.first().map(|page| page.holder.clone()) else { return Taken::Pages(Vec::new()) };
    let reports = pages.iter().filter_map(|page| match &page.message {
        In::Page(report) => Some(report.clone()),
        _ => None,
    });
    match page_batch::take(services, registry, worker, &holder, reports.collect()).await {
        Ok(()) => Taken::Pages(pages.iter().map(Ticket::of).collect()),
        // Which one it was, and what that means, shows when they are taken alone.
        Err(error) => {
            tracing::debug!(job = %holder.attempt.job, %error, "pages are taken one by one");
            Taken::NotTogether(pages)
        }
    }
}

/// The reports that have arrived and are not done, by number, each with the heartbeats that came behind it and wait for it and
/// all before it.
#[derive(Default)]
struct Arrivals {
    open: BTreeMap<u64, Marks>,
    next: u64,
    /// Heartbeats that are answered only once.
    unnumbered: usize,
}

/// Heartbeats.
#[derive(Default)]
struct Marks {
    /// So many without a number.
    unnumbered: usize,
    /// The newest with one; 0 for none.
    number: i64,
}

impl Arrivals {
    /// What a worker chooses the size of. Heartbeats with a number need nothing of their own.
    fn len(&self) -> usize {
        self.open.len() + self.unnumbered
    }

    fn begin(&mut self) -> u64 {
        self.next += 1;
        self.open.insert(self.next, Marks::default());
        self.next
    }

    /// A heartbeat behind all of them. `false` if it has nothing to wait for.
    fn mark(&mut self, number: i64) -> bool {
        let Some(mut newest) = self.open.last_entry() else { return false };
        let marks = newest.get_mut();
        if number == 0 {
            marks.unnumbered += 1;
            self.unnumbered += 1;
        } else {
            marks.number = number;
        }
        true
    }

    /// A report is done. Gives the heartbeats for which it was the last; the others wait for what came before it.
    fn end(&mut self, number: u64) -> Marks {
        let Some(marks) = self.open.remove(&number) else { return Marks::default() };
        if let Some((_, before)) = self.open.range_mut(..number).next_back() {
            before.unnumbered += marks.unnumbered;
            if marks.number != 0 {
                before.number = marks.number;
            }
            return Marks::default();
        }
        self.unnumbered -= marks.unnumbered;
        marks
    }
}

#[cfg(test)]
mod tests;
