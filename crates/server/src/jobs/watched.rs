//! What watches ask for.

use courant_auth::Identity;
use courant_engine::cursor::Cursor;
use courant_engine::hub::{Scope, Topic};
use courant_engine::watch::OnGap;
use courant_joblog::ids::{BatchId, DocumentId};
use courant_proto::v1::WatchJobsRequest;

use crate::auth::scope;
use crate::convert::id_in;
use crate::error::Error;

/// The scope of a watch over many jobs, if the caller may follow it.
pub fn watched_jobs(identity: &Identity, request: &WatchJobsRequest) -> Result<Scope, Error> {
    Ok(Scope {
        topic: scope(identity, &request.owner)?.map_or(Topic::All, Topic::Owner),
        document: id_in("document_id", &request.document_id)?.map(DocumentId::new),
        batch: id_in("batch_id", &request.batch_id)?.map(BatchId::new),
    })
}

pub fn on_gap(fail: bool) -> OnGap {
    if fail { OnGap::Fail } else { OnGap::StartOver }
}

pub fn cursor_in(text: &str) -> Result<Option<Cursor>, Error> {
    if text.is_empty() { Ok(None) } else { Ok(Some(Cursor::decode(text)?)) }
}
