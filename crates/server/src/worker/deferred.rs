//! Reports that cannot be taken now, because the object store or the log's disk does not do its part. Only the attempt that
//! they are of waits: its worker is asked to send them again, and until it does nothing that was sent behind them is taken, so
//! that their order holds. The other attempts on the stream go on.

use std::collections::HashSet;

use courant_joblog::ids::WorkerId;
use courant_proto::v1::work_request::Message as In;
use courant_proto::v1::work_response::Message as Out;
use courant_proto::v1::{AttemptRef, DeferReports, LeaseLost};

use super::messages;
use super::parts::Holder;
use super::registry::Registry;
use crate::convert;
use crate::error::Error;
use crate::services::Services;
use crate::status;

/// The attempts and parts of one stream whose reports wait. A new stream begins without any: on it everything is sent again.
#[derive(Debug, Default)]
pub struct DeferredReports {
    /// Whether the worker knows what to do. Otherwise the stream ends, which makes it send everything again.
    understood: bool,
    holders: HashSet<Holder>,
}

/// What is done with a report.
pub(super) enum Turn {
    Take,
    /// Nothing more, apart from an answer.
    Over(Option<LeaseLost>),
}

impl DeferredReports {
    /// Of a stream whose worker declared whether it sends reports again.
    pub fn new(understood: bool) -> Self {
        Self { understood, holders: HashSet::new() }
    }

    /// Whether reports of it wait.
    pub(super) fn holds(&self, holder: &Holder) -> bool {
        self.holders.contains(holder)
    }

    /// Decides about a report whose turn it is.
    pub(super) fn turn(
        &mut self,
        services: &Services,
        registry: &Registry,
        worker: &WorkerId,
        holder: &Holder,
        message: &In,
    ) -> Turn {
        if matches!(message, In::ResumeReports(_)) {
            self.holders.remove(holder);
            return Turn::Over(None);
        }
        if matches!(message, In::Cancelled(_) | In::Released(_)) || !self.holders.contains(holder) {
            return Turn::Take;
        }
        Turn::Over(self.behind(services, registry, worker, holder, messages::attempt(message).cloned()))
    }

    /// The answer to a report that was taken, or not.
    pub(super) fn after(
        &mut self,
        services: &Services,
        registry: &Registry,
        worker: &WorkerId,
        holder: Holder,
        at: Option<AttemptRef>,
        taken: Result<Option<Out>, Error>,
    ) -> Result<Option<Out>, Error> {
        match taken {
            Err(error) if self.understood => self.defer(services, registry, worker, holder, at, error),
            taken => taken,
        }
    }

    /// A report behind one that waits: the worker sends it again with that one, unless the attempt is over.
    fn behind(
        &mut self,
        services: &Services,
        registry: &Registry,
        worker: &WorkerId,
        holder: &Holder,
        at: Option<AttemptRef>,
    ) -> Option<LeaseLost> {
        if holder.is_of(services, &registry.parts, worker) {
            return None;
        }
        self.holders.remove(holder);
        Some(LeaseLost { attempt: at })
    }

    fn defer(
        &mut self,
        services: &Services,
        registry: &Registry,
        worker: &WorkerId,
        holder: Holder,
        at: Option<AttemptRef>,
        error: Error,
    ) -> Result<Option<Out>, Error> {
        let Some((reason, after)) = status::deferral(&error) else { return Err(error) };
        tracing::debug!(job = %holder.attempt.job, %worker, %error, ?after, "a report has to wait");
        // Those that ended while they waited; so there are never more than the worker holds.
        self.holders.retain(|holder| holder.is_of(services, &registry.parts, worker));
        self.holders.insert(holder);
        Ok(Some(Out::DeferReports(DeferReports {
            attempt: at,
            retry_after: Some(convert::duration(after)),
            reason: reason.into(),
            message: error.to_string(),
        })))
    }
}
