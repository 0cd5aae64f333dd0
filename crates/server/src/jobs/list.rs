//! Listing jobs, newest first. A page token is a place in that order, so a list stays right while jobs come in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use courant_auth::Identity;
use courant_joblog::ids::{JobId, Timestamp};
use courant_joblog::job::{Job, State};
use courant_proto::v1::{ListJobsRequest, ListJobsResponse};
use sha2::{Digest, Sha256};

use super::filter::{self, Filter};
use super::id_in;
use crate::auth::scope;
use crate::convert;
use crate::engine::Engine;
use crate::error::Error;
use crate::view::ListKey;

/// The page size when none is asked for.
pub const DEFAULT_PAGE: usize = 50;
/// The largest page.
pub const MAX_PAGE: usize = 1000;

/// One page.
pub async fn list(engine: &Engine, identity: &Identity, request: ListJobsRequest) -> Result<ListJobsResponse, Error> {
    let owner = scope(identity, &request.owner)?;
    let wanted = Wanted::check(&request)?;
    let size = page_size(request.page_size)?;
    let mark = filter_mark(&request);
    let before = token_in(&request.page_token, mark)?;
    let found = engine.find(owner.as_ref(), before, size + 1, |known| wanted.holds(&known.job)).await;
    let (mut found, revision) = (found.jobs, found.revision);
    let more = found.len() > size;
    found.truncate(size);
    let next_page_token = found.last().filter(|_| more).map(|(key, _)| token_out(key, mark)).unwrap_or_default();
    let jobs = found.iter().map(|(_, seen)| convert::dated(engine.config.retention, convert::seen(seen))).collect();
    Ok(ListJobsResponse { jobs, next_page_token, cursor: engine.cursor(revision).encode() })
}

struct Wanted<'a> {
    states: Vec<State>,
    document: Option<&'a str>,
    batch: Option<&'a str>,
    labels: &'a std::collections::HashMap<String, String>,
    filter: Option<Filter>,
}

impl<'a> Wanted<'a> {
    fn check(request: &'a ListJobsRequest) -> Result<Self, Error> {
        Ok(Self {
            states: request.states.iter().map(|state| convert::state_in(*state)).collect::<Result<_, _>>()?,
            document: id_in("document_id", &request.document_id)?,
            batch: id_in("batch_id", &request.batch_id)?,
            labels: &request.labels,
            filter: filter::parse(&request.filter).map_err(Error::Filter)?,
        })
    }

    fn holds(&self, job: &Job) -> bool {
        (self.states.is_empty() || self.states.contains(&job.state))
            && self.document.is_none_or(|document| job.document.id.as_str() == document)
            && self.batch.is_none_or(|batch| job.batch.as_ref().is_some_and(|of| of.as_str() == batch))
            && self.labels.iter().all(|(key, value)| job.labels.get(key) == Some(value))
            && self.filter.as_ref().is_none_or(|filter| filter.holds(job))
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
