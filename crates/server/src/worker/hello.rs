//! The first message of a worker.

use std::collections::HashSet;
use std::sync::Arc;

use courant_joblog::ids::WorkerId;
use courant_proto::v1::Hello;

use super::parts::{Holder, holder_in};
use super::registry::{MAX_SLOTS, WorkerCapabilities};
use crate::credential::Credentials;
use crate::error::Error;
use crate::text::is_kind;

/// The most kinds a worker may name.
pub const MAX_KINDS: usize = 64;
/// The longest id of a worker in bytes.
pub const MAX_WORKER_ID: usize = 64;

/// Letters that are kept of the name of a worker's program.
pub const MAX_SOFTWARE: usize = 64;

/// How many jobs a worker takes at once.
pub(super) fn slots_in(field: &'static str, slots: i32) -> Result<u32, Error> {
    let most = format!("must be 0 to {MAX_SLOTS}");
    u32::try_from(slots).ok().filter(|_| slots <= MAX_SLOTS).ok_or_else(|| Error::field(field, most))
}

/// Each once, in the order they came.
fn distinct(names: Vec<String>) -> Arc<[Box<str>]> {
    let mut seen = HashSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).map(Box::from).collect()
}

/// A hello whose every field is in its range.
pub(super) struct ValidatedHello {
    pub(super) worker: WorkerId,
    pub(super) capabilities: WorkerCapabilities,
    pub(super) in_flight: HashSet<Holder>,
    /// Whether reports can be deferred.
    pub(super) resends_reports: bool,
}

impl ValidatedHello {
    /// Attempts in flight without their credential are not the worker's.
    pub(super) fn check(hello: Hello, credentials: &Credentials) -> Result<Self, Error> {
        let id_fits = (1..=MAX_WORKER_ID).contains(&hello.worker_id.len())
            && hello.worker_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !id_fits {
            return Err(Error::field("hello.worker_id", "must be 1 to 64 of [A-Za-z0-9._-]"));
        }
        let kinds_fit = (1..=MAX_KINDS).contains(&hello.kinds.len()) && hello.kinds.iter().all(|kind| is_kind(kind));
        if !kinds_fit {
            return Err(Error::field("hello.kinds", "must be 1 to 64 names of [a-z0-9-]"));
        }
        let slots = slots_in("hello.slots", hello.slots)?;
        if hello.in_flight.len() > MAX_SLOTS as usize {
            return Err(Error::field("hello.in_flight", format!("must be at most {MAX_SLOTS}")));
        }
        let worker = WorkerId::new(hello.worker_id);
        let mut in_flight = HashSet::new();
        for at in hello.in_flight {
            let credential = at.credential.clone();
            let holder = holder_in(Some(at))?;
            if credentials.is_of(&credential, holder.holding(&worker)) {
                in_flight.insert(holder);
            }
        }
        let letters = hello.software.chars().filter(|letter| !letter.is_control());
        Ok(Self {
            worker,
            capabilities: WorkerCapabilities {
                kinds: distinct(hello.kinds),
                slots,
                software: letters.take(MAX_SOFTWARE).collect(),
                takes_parts: hello.takes_parts,
                process: hello.process,
                stream: hello.stream,
            },
            in_flight,
            resends_reports: hello.resends_reports,
        })
    }
}
