//! Sends what is due, for ever.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::schedule::{Limits, Schedule};
use super::target::Target;

/// The wait after a courier's own store failed.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// When nothing is tried again.
const FAR: Duration = Duration::from_secs(3600);

/// Knows what is to be sent, and to whom.
pub trait Courier: Send + Sync + 'static {
    type Target: Target;
    /// Its own store failed.
    type Error: Display + Send + 'static;

    /// For the log.
    fn name(&self) -> &'static str;

    fn limits(&self) -> Limits;

    /// Waits between tries of a target that fails as a whole.
    fn backoff(&self) -> Backoff;

    /// Failures in a row after which a target is given up; none where the courier decides that by itself.
    fn patience(&self) -> Option<u32>;

    /// Waits until there may be something to send.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// Everything may have something to send: asked for at start and after an error.
    fn all_changed(&self);

    /// The targets that may have something to send since the last time.
    fn collect(&self) -> impl Future<Output = Result<Vec<Self::Target>, Self::Error>> + Send;

    /// Sends all that one target waits for, or until something is in the way.
    fn deliver(&self, target: &Self::Target) -> impl Future<Output = Result<Ended, Self::Error>> + Send;

    /// It is not sent to any more.
    fn forget(&self, target: Self::Target) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// How sending to one target has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left.
    Done,
    /// Something is left that is due after so long; what comes before is sent.
    Again(Duration),
    /// The target fails as a whole: nothing is sent until it is tried again, not before so long.
    Failed(Option<Duration>, String),
    /// The receiver is gone.
    Gone,
}

/// A target that has something to send later.
struct Waiting<T> {
    target: T,
    /// How often it has failed as a whole; 0 when only some of it waits.
    times: u32,
    /// None while it is being tried again.
    due: Option<Instant>,
}

type Outcome<C> = (<C as Courier>::Target, Result<Ended, <C as Courier>::Error>);

/// Sends for ever. What is sent is not worth the service: what fails is tried again.
pub async fn run<C: Courier>(courier: Arc<C>) {
    let mut engine = Deliveries {
        schedule: Schedule::new(courier.limits()),
        waiting: HashMap::new(),
        retries: BTreeSet::new(),
        running: JoinSet::new(),
        courier: courier.clone(),
    };
    courier.all_changed();
    loop {
        engine.begin();
        let next = engine.retries.first().map(|(due, _)| *due);
        let done = tokio::select! {
            () = courier.changed() => engine.collect().await,
            () = tokio::time::sleep_until(next.unwrap_or_else(|| Instant::now() + FAR)), if next.is_some() => {
                engine.retry();
                Ok(())
            }
            Some(ended) = engine.running.join_next() => match ended {
                Ok((target, ended)) => engine.end(target, ended).await,
                Err(error) => {
                    tracing::error!(%error, courier = courier.name(), "a delivery ended badly");
                    Ok(())
                }
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, courier = courier.name(), "sending failed, retrying");
            tokio::time::sleep(STORE_WAIT).await;
            courier.all_changed();
        }
    }
}

/// What is to be sent, what is under way, and what is tried again later.
struct Deliveries<C: Courier> {
    courier: Arc<C>,
    schedule: Schedule<C::Target>,
    waiting: HashMap<String, Waiting<C::Target>>,
    /// When those that wait are tried again. Some may be gone since, or have been sent.
    retries: BTreeSet<(Instant, String)>,
    running: JoinSet<Outcome<C>>,
}

impl<C: Courier> Deliveries<C> {
    fn begin(&mut self) {
        while let Some(target) = self.schedule.begin() {
            let courier = self.courier.clone();
            self.running.spawn(async move {
                let ended = courier.deliver(&target).await;
                (target, ended)
            });
        }
    }

    /// Takes what is due. Those that fail wait for their time, unless somebody asked for them.
    async fn collect(&mut self) -> Result<(), C::Error> {
        for target in self.courier.collect().await? {
            match self.waiting.get_mut(target.key()) {
                Some(waiting) if waiting.times > 0 && !target.is_urgent() => waiting.target = target,
                _ => {
                    self.stop_waiting(target.key());
                    self.schedule.add(target);
                }
            }
        }
        Ok(())
    }

    fn retry(&mut self) {
        let now = Instant::now();
        while self.retries.first().is_some_and(|(due, _)| *due <= now) {
            let Some((due, key)) = self.retries.pop_first() else { return };
            if let Some(waiting) = self.waiting.get_mut(&key).filter(|waiting| waiting.due == Some(due)) {
                waiting.due = None;
                self.schedule.add(waiting.target.clone());
            }
        }
    }

    async fn end(&mut self, target: C::Target, ended: Result<Ended, C::Error>) -> Result<(), C::Error> {
        let meanwhile = self.schedule.end(&target);
        match ended {
            Ok(Ended::Done) => {
                self.stop_waiting(target.key());
                meanwhile.into_iter().for_each(|again| self.schedule.add(again));
                Ok(())
            }
            Ok(Ended::Again(after)) => {
                match meanwhile {
                    Some(again) => {
                        self.stop_waiting(target.key());
                        self.schedule.add(again);
                    }
                    None => self.wait(target, 0, after),
                }
                Ok(())
            }
            Ok(Ended::Gone) => self.forget(target).await,
            Ok(Ended::Failed(..)) if meanwhile.as_ref().is_some_and(Target::is_urgent) => {
                self.stop_waiting(target.key());
                meanwhile.into_iter().for_each(|again| self.schedule.add(again));
                Ok(())
            }
            Ok(Ended::Failed(asked, why)) => self.later(meanwhile.unwrap_or(target), asked, &why).await,
            Err(error) => {
                // It is due again with all others.
                self.stop_waiting(target.key());
                Err(error)
            }
        }
    }

    async fn later(&mut self, target: C::Target, asked: Option<Duration>, why: &str) -> Result<(), C::Error> {
        let (host, name) = (target.host(), self.courier.name());
        let times = self.waiting.get(target.key()).map_or(0, |waiting| waiting.times).saturating_add(1);
        if self.courier.patience().is_some_and(|patience| times >= patience) {
            tracing::info!(host, why, courier = name, "a receiver failed too often and is given up");
            return self.forget(target).await;
        }
        tracing::info!(host, why, times, courier = name, "a receiver failed; trying again later");
        let after = self.courier.backoff().wait(times, asked);
        self.wait(target, times, after);
        Ok(())
    }

    fn wait(&mut self, target: C::Target, times: u32, after: Duration) {
        self.stop_waiting(target.key());
        let (due, key) = (Instant::now() + after, target.key().to_owned());
        self.retries.insert((due, key.clone()));
        self.waiting.insert(key, Waiting { target, times, due: Some(due) });
    }

    fn stop_waiting(&mut self, key: &str) {
        if let Some(Waiting { due: Some(due), .. }) = self.waiting.remove(key) {
            self.retries.remove(&(due, key.to_owned()));
        }
    }

    async fn forget(&mut self, target: C::Target) -> Result<(), C::Error> {
        self.stop_waiting(target.key());
        self.courier.forget(target).await
    }
}
