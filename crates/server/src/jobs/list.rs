//! Listing jobs, newest first. A page token is a position in that order, so a list stays right while jobs come in.
//!
//! Callers choose how much work a list is: the filter, the labels, how many jobs there are. So a call has a budget, after
//! which the page is shorter and its token goes on from there, and filters are asked outside of the engine's lock, off the
//! runtime's threads, in slices between which users take turns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use courant_auth::Identity;
use courant_engine::engine::CHUNK;
use courant_engine::filter::{self, Candidate, Filter};
use courant_engine::view::{CurrentJob, ListKey, StoredJob, View};
use courant_joblog::ids::{JobId, Owner, Timestamp};
use courant_joblog::job::{Job, State};
use courant_proto::v1::{self, ListJobsRequest, ListJobsResponse};
use prost::Message as _;
use sha2::{Digest, Sha256};

use super::submit_request::MAX_LABELS;
use crate::auth::scope;
use crate::convert;
use crate::convert::id_in;
use crate::error::Error;
use crate::services::Services;

/// The page size when none is asked for.
pub const DEFAULT_PAGE: usize = 50;
/// The largest page, in jobs.
pub const MAX_PAGE: usize = 1000;
/// The largest page, in bytes: most gRPC clients take no message over 4 MiB unless they are told to.
pub const MAX_PAGE_BYTES: usize = 3 << 20;
/// What one call may spend, in the unit of [`Candidate::cost`] (about a byte compared): some tenths of a second.
const CALL_BUDGET: u64 = 128 << 20;
/// What is spent before others have their turn: some milliseconds.
const SLICE_BUDGET: u64 = 4 << 20;
/// How long a call waits for other lists of the same user, and for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(10);

pub async fn list(
    services: &Services,
    identity: &Identity,
    request: ListJobsRequest,
) -> Result<ListJobsResponse, Error> {
    let owner = scope(identity, &request.owner)?;
    let wanted = Arc::new(ListFilter::check(&request)?);
    let size = page_size(request.page_size)?;
    let mark = filter_mark(&request);
    let before = token_in(&request.page_token, mark)?;
    let _turn = services.shares.lists.take(&identity.subject, 1, TURN_WITHIN).await?;
    let revision = services.engine.read(View::revision);
    let mut page = Page { size, ..Page::default() };
    let next = Listing { services, owner: owner.as_ref(), wanted, budget: CALL_BUDGET }.fill(&mut page, before).await?;
    let next_page_token = next.map(|key| token_out(&key, mark)).unwrap_or_default();
    Ok(ListJobsResponse { jobs: page.jobs, next_page_token, cursor: services.engine.cursor(revision).encode() })
}

/// A page being filled.
#[derive(Default)]
struct Page {
    size: usize,
    jobs: Vec<v1::Job>,
    bytes: usize,
    last: Option<ListKey>,
}

impl Page {
    /// `false` when it has no room for the job.
    fn push(&mut self, key: ListKey, job: v1::Job) -> bool {
        let bytes = job.encoded_len();
        if self.jobs.len() == self.size || (!self.jobs.is_empty() && self.bytes + bytes > MAX_PAGE_BYTES) {
            return false;
        }
        self.bytes += bytes;
        self.jobs.push(job);
        self.last = Some(key);
        true
    }
}

struct Listing<'a> {
    services: &'a Services,
    owner: Option<&'a Owner>,
    wanted: Arc<ListFilter>,
    budget: u64,
}

impl Listing<'_> {
    /// Fills the page with the jobs before a key. Gives back the key that the next page begins after; `None` at the end of
    /// the list.
    async fn fill(&mut self, page: &mut Page, mut before: Option<ListKey>) -> Result<Option<ListKey>, Error> {
        loop {
            // One more than there is room for tells that there is a next page.
            let wanted = page.size - page.jobs.len() + 1;
            let most = if self.wanted.holds_all() { wanted } else { CHUNK };
            let mut slice = Slice::of(self.services.engine.newest(self.owner, before.as_ref(), most));
            if slice.jobs.is_empty() {
                return Ok(None);
            }
            while slice.next < slice.jobs.len() {
                slice.wanted = page.size - page.jobs.len() + 1;
                slice = self.look_through(slice).await?;
                for (key, current) in slice.found.drain(..) {
                    let snapshot = self.services.engine.snapshot(current);
                    let job = convert::with_expire_time(self.services.config.retention, convert::snapshot(&snapshot));
                    if !page.push(key, job) {
                        return Ok(page.last.take());
                    }
                }
                before = slice.last_looked_at();
                if self.budget == 0 {
                    return Ok(before);
                }
            }
        }
    }

    async fn look_through(&mut self, slice: Slice) -> Result<Slice, Error> {
        let wanted = self.wanted.clone();
        let slice = if wanted.is_short() {
            tokio::task::yield_now().await;
            slice.look_through(&wanted)
        } else {
            let _slot = self.services.shares.filter_slots.acquire().await.map_err(|_| Error::Draining)?;
            let work = tokio::task::spawn_blocking(move || slice.look_through(&wanted));
            work.await.map_err(|_| Error::Draining)?
        };
        self.budget = self.budget.saturating_sub(slice.spent);
        Ok(slice)
    }
}

/// Jobs to look through, and those of them that are wanted.
struct Slice {
    jobs: Vec<(ListKey, StoredJob)>,
    next: usize,
    found: Vec<(ListKey, CurrentJob)>,
    /// How many are looked for.
    wanted: usize,
    spent: u64,
}

impl Slice {
    fn of(jobs: Vec<(ListKey, StoredJob)>) -> Self {
        Self { jobs, next: 0, found: Vec::new(), wanted: 0, spent: 0 }
    }

    /// Looks at jobs until they end, enough are found or a slice's budget is spent.
    fn look_through(mut self, wanted: &ListFilter) -> Self {
        self.spent = 0;
        while self.spent < SLICE_BUDGET
            && self.found.len() < self.wanted
            && let Some((key, stored)) = self.jobs.get(self.next)
        {
            self.next += 1;
            self.spent += JOB_COST;
            if !wanted.has_state(stored.state()) {
                continue;
            }
            self.spent += if stored.is_packed() { UNPACK_COST } else { 0 };
            let Some(current) = stored.current() else { continue };
            let candidate = Candidate::new(&current.job);
            let holds = wanted.holds(&candidate);
            self.spent += candidate.cost();
            if holds {
                self.found.push((key.clone(), current.into_owned()));
            }
        }
        self
    }

    fn last_looked_at(&self) -> Option<ListKey> {
        self.next.checked_sub(1).and_then(|last| self.jobs.get(last)).map(|(key, _)| key.clone())
    }
}

/// What looking at a job costs in any case, in the unit of [`Candidate::cost`].
const JOB_COST: u64 = 256;
/// What unpacking one that has ended costs besides, in the same unit: some microseconds.
const UNPACK_COST: u64 = 1024;

struct ListFilter {
    states: Vec<State>,
    document: Option<String>,
    batch: Option<String>,
    labels: HashMap<String, String>,
    filter: Option<Filter>,
}

impl ListFilter {
    fn check(request: &ListJobsRequest) -> Result<Self, Error> {
        if request.labels.len() > MAX_LABELS {
            return Err(Error::field("labels", format!("must be at most {MAX_LABELS}: no job has more")));
        }
        let mut states = Vec::new();
        for state in &request.states {
            let state = convert::state_in(*state)?;
            if !states.contains(&state) {
                states.push(state);
            }
        }
        Ok(Self {
            states,
            document: id_in("document_id", &request.document_id)?.map(str::to_owned),
            batch: id_in("batch_id", &request.batch_id)?.map(str::to_owned),
            labels: request.labels.clone(),
            filter: filter::parse(&request.filter).map_err(Error::Filter)?,
        })
    }

    fn holds_all(&self) -> bool {
        self.is_short() && self.states.is_empty()
    }

    /// Whether only jobs that are found are unpacked.
    fn is_short(&self) -> bool {
        let Self { states: _, document, batch, labels, filter } = self;
        document.is_none() && batch.is_none() && labels.is_empty() && filter.is_none()
    }

    fn has_state(&self, state: State) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    fn holds(&self, candidate: &Candidate) -> bool {
        self.fits(candidate.job) && self.filter.as_ref().is_none_or(|filter| filter.holds(candidate))
    }

    fn fits(&self, job: &Job) -> bool {
        self.has_state(job.state)
            && self.document.as_ref().is_none_or(|document| job.document.id.as_str() == document)
            && self.batch.as_ref().is_none_or(|batch| job.batch.as_ref().is_some_and(|of| of.as_str() == batch))
            && self.labels.iter().all(|(key, value)| job.labels.get(key) == Some(value))
    }
}

fn page_size(asked: i32) -> Result<usize, Error> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_PAGE),
        Ok(size) => Ok(size.min(MAX_PAGE)),
        Err(_) => Err(Error::field("page_size", "must not be negative")),
    }
}

/// What a token is bound to, so that it is not used with another filter.
fn filter_mark(request: &ListJobsRequest) -> [u8; 4] {
    let mut hash = Sha256::new();
    let mut labels: Vec<_> = request.labels.iter().collect();
    labels.sort();
    hash.update(format!(
        "{:?}{:?}{:?}{:?}{labels:?}{:?}",
        request.states, request.owner, request.document_id, request.batch_id, request.filter
    ));
    let digest = hash.finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn token_out((created, id): &ListKey, mark: [u8; 4]) -> String {
    URL_SAFE_NO_PAD.encode([&mark[..], &created.0.to_be_bytes(), id.as_str().as_bytes()].concat())
}

fn token_in(token: &str, mark: [u8; 4]) -> Result<Option<ListKey>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Error::PageToken)?;
    let rest = bytes.strip_prefix(&mark).ok_or(Error::PageToken)?;
    let (created, id) = rest.split_first_chunk::<8>().ok_or(Error::PageToken)?;
    let id = std::str::from_utf8(id).map_err(|_| Error::PageToken)?;
    Ok(Some((Timestamp(i64::from_be_bytes(*created)), JobId::new(id))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_bound_to_its_filter() {
        let key = (Timestamp(42), JobId::new("J"));
        let request = ListJobsRequest::default();
        let token = token_out(&key, filter_mark(&request));
        assert_eq!(token_in(&token, filter_mark(&request)).unwrap(), Some(key));
        let filtered = ListJobsRequest { filter: "state = FAILED".into(), ..request.clone() };
        assert!(matches!(token_in(&token, filter_mark(&filtered)), Err(Error::PageToken)));
        let other = ListJobsRequest { owner: "-".into(), ..request };
        assert!(matches!(token_in(&token, filter_mark(&other)), Err(Error::PageToken)));
        assert!(matches!(token_in("%", filter_mark(&other)), Err(Error::PageToken)));
    }

    #[test]
    fn page_sizes_are_cut_and_negatives_refused() {
        assert_eq!(page_size(0).unwrap(), DEFAULT_PAGE);
        assert_eq!(page_size(5000).unwrap(), MAX_PAGE);
        assert!(page_size(-1).is_err());
    }
}
