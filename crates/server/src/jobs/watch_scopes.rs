//! Any number of watches on one stream, for bridges. Each scope is a watch like any other; what they share is the way to the
//! bridge. A scope sends no more than it has credit for, so that what a bridge does not take of one holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use courant_auth::{Identity, Role, TokenError};
use courant_engine::hub::Scope;
use courant_engine::watch::{End, Outlet, Update, Watch, WatchError, start_into};
use courant_proto::v1::scope_step::What;
use courant_proto::v1::watch_scopes_request::Request as Asked;
use courant_proto::v1::{AddCredit, AddScope, ScopeStep, WatchScopesRequest, WatchScopesResponse};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use prost::Message as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, Streaming};

use super::actions::Jobs;
use super::watched::{cursor_in, on_gap, watched_jobs};
use crate::auth::{require, time_left};
use crate::convert::{self, job_id};
use crate::error::Error;
use crate::share::{Exhausted, Limit};
use crate::status::call_error;

/// Scopes of one stream.
const MAX_SCOPES: usize = 100_000;
/// Credit that a scope may have.
const MAX_CREDIT: usize = 100_000;
/// Steps of all scopes on their way to the bridge.
const STEPS: usize = 1024;
/// About how many bytes of steps go into one message. A single step may have more.
const MESSAGE_BYTES: usize = 256 << 10;

pub type WatchScopesStream = BoxStream<'static, Result<WatchScopesResponse, Status>>;

/// Serves the stream of a bridge.
pub fn start(
    jobs: Jobs,
    identity: Arc<Identity>,
    inbound: Streaming<WatchScopesRequest>,
) -> Result<WatchScopesStream, Error> {
    require(&identity, Role::Bridge, "bridge")?;
    let (out, steps) = mpsc::channel(STEPS);
    let (failed, failure) = mpsc::channel(1);
    jobs.services.clone().streams.spawn(async move {
        let mut scopes = Scopes { expires: expiry(&identity), jobs, identity, open: HashMap::new(), newest: 0, out };
        if let Err(error) = scopes.serve(inbound).await {
            tracing::debug!(%error, "a stream of scopes ended");
            let _ = failed.try_send(Status::from(error));
        }
    });
    Ok(batched(steps, failure).boxed())
}

struct Scopes {
    jobs: Jobs,
    identity: Arc<Identity>,
    expires: Instant,
    /// Until the bridge removes them, also those that have ended.
    open: HashMap<i64, OpenScope>,
    newest: i64,
    out: mpsc::Sender<ScopeStep>,
}

struct OpenScope {
    credit: Arc<Semaphore>,
    _removed: DropGuard,
}

impl Scopes {
    async fn serve(&mut self, mut inbound: Streaming<WatchScopesRequest>) -> Result<(), Error> {
        loop {
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(request)) => self.take(request.request)?,
                    Ok(None) => return Ok(()),
                    Err(status) => {
                        return Err(Error::field("message", format!("cannot be read: {}", status.message())));
                    }
                },
                () = self.jobs.services.stopping.cancelled() => return Err(Error::Draining),
                () = sleep_until(self.expires) => return Err(TokenError::Expired.into()),
                () = self.out.closed() => return Ok(()),
            }
        }
    }

    fn take(&mut self, asked: Option<Asked>) -> Result<(), Error> {
        match asked {
            Some(Asked::Add(add)) => self.add(add),
            Some(Asked::Remove(remove)) => {
                self.open.remove(&remove.scope);
                Ok(())
            }
            Some(Asked::Credit(AddCredit { scope, steps })) => {
                let steps = credit_in("credit.steps", steps)?;
                if let Some(open) = self.open.get(&scope) {
                    open.credit.add_permits(steps.min(MAX_CREDIT.saturating_sub(open.credit.available_permits())));
                }
                Ok(())
            }
            Some(Asked::Token(token)) => self.renew(&token),
            // A request of a newer protocol.
            None => Ok(()),
        }
    }

    fn add(&mut self, add: AddScope) -> Result<(), Error> {
        let scope = add.scope;
        if scope <= self.newest {
            return Err(Error::field("add.scope", "must be larger than that of every scope before"));
        }
        if self.open.len() >= MAX_SCOPES {
            let limit = Limit::PerUser(MAX_SCOPES as u32);
            return Err(Exhausted { what: "scopes of one stream", limit }.into());
        }
        self.newest = scope;
        let credit = Arc::new(Semaphore::new(credit_in("add.credit", add.credit)?));
        let removed = CancellationToken::new();
        let outlet = ScopeOutlet { out: self.out.clone(), credit: credit.clone(), removed: removed.clone() };
        self.open.insert(scope, OpenScope { credit, _removed: removed.drop_guard() });
        let retention = self.jobs.services.config.retention;
        let form = move |step: Result<Update, WatchError>| ScopeStep {
            scope,
            what: Some(match step {
                Ok(update) => What::Step(convert::watch_updates(retention, update)),
                Err(error) => What::Ended(call_error(error.into())),
            }),
        };
        match self.watch(add) {
            Ok(watch) => {
                let services = &self.jobs.services;
                start_into(services.engine.clone(), &services.watch_tasks(), watch, form, outlet);
            }
            Err(error) => {
                let ended = ScopeStep { scope, what: Some(What::Ended(call_error(error))) };
                self.jobs.services.streams.spawn(async move { outlet.send(ended).await });
            }
        }
        Ok(())
    }

    fn watch(&self, AddScope { watch, job_id: job, .. }: AddScope) -> Result<Watch, Error> {
        let watch = watch.ok_or_else(|| Error::field("add.watch", "must be set"))?;
        let scope = match job.as_str() {
            "" => watched_jobs(&self.identity, &watch)?,
            job => Scope::job(job_id(job)?),
        };
        Ok(Watch {
            scope,
            after: cursor_in(&watch.after_cursor)?,
            min_interval: convert::interval_in(watch.min_interval)?,
            end: End::Never,
            on_gap: on_gap(watch.fail_on_gap),
            // The stream ends with its token.
            token_left: Duration::MAX,
        })
    }

    fn renew(&mut self, token: &str) -> Result<(), Error> {
        let newer = self.jobs.verifier.verify(token)?;
        require(&newer, Role::Bridge, "bridge")?;
        if newer.subject != self.identity.subject {
            return Err(Error::field("token", "must be of the same subject"));
        }
        self.expires = expiry(&newer);
        Ok(())
    }
}

fn expiry(identity: &Identity) -> Instant {
    Instant::now() + time_left(identity).min(Duration::from_secs(366 * 24 * 3600))
}

fn credit_in(field: &'static str, steps: i32) -> Result<usize, Error> {
    match usize::try_from(steps) {
        Ok(steps) if (1..=MAX_CREDIT).contains(&steps) => Ok(steps),
        _ => Err(Error::field(field, format!("must be 1 to {MAX_CREDIT}"))),
    }
}

#[derive(Clone)]
struct ScopeOutlet {
    out: mpsc::Sender<ScopeStep>,
    credit: Arc<Semaphore>,
    removed: CancellationToken,
}

impl Outlet<ScopeStep> for ScopeOutlet {
    async fn send(&self, step: ScopeStep) -> bool {
        let send = async {
            // The semaphore is never closed, so this waits until there is credit.
            if let Ok(credit) = self.credit.acquire().await {
                credit.forget();
            }
            self.out.send(step).await.is_ok()
        };
        self.removed.run_until_cancelled(send).await.unwrap_or(false)
    }

    async fn closed(&self) {
        tokio::select! {
            () = self.removed.cancelled() => {}
            () = self.out.closed() => {}
        }
    }
}

/// What waits goes together: a message costs more than a step.
fn batched(
    steps: mpsc::Receiver<ScopeStep>,
    failure: mpsc::Receiver<Status>,
) -> impl Stream<Item = Result<WatchScopesResponse, Status>> {
    futures::stream::unfold((steps, failure), |(mut steps, mut failure)| async move {
        let first = tokio::select! {
            biased;
            Some(status) = failure.recv() => {
                steps.close();
                return Some((Err(status), (steps, failure)));
            }
            first = steps.recv() => first?,
        };
        let mut bytes = first.encoded_len();
        let mut all = vec![first];
        while bytes < MESSAGE_BYTES
            && let Ok(next) = steps.try_recv()
        {
            bytes += next.encoded_len();
            all.push(next);
        }
        Some((Ok(WatchScopesResponse { steps: all }), (steps, failure)))
    })
}
