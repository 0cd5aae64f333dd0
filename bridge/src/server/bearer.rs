//! What every call to the server carries: a token, and what it belongs to.

use courant_runtime::request::{self, Context, REQUEST_ID, TRACEPARENT};
use tonic::Request;
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::metadata::{MetadataMap, MetadataValue};

/// The request with a token, which is never printed.
pub(super) fn with_token<T>(message: T, token: &str) -> Result<Request<T>, InvalidMetadataValue> {
    let mut value = MetadataValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", value);
    request::with_current(|context| name_request(context, request.metadata_mut()));
    Ok(request)
}

/// What the call belongs to: the server's log lines and spans name it.
fn name_request(context: &Context, metadata: &mut MetadataMap) {
    let id = context.request.as_deref().and_then(|id| id.parse().ok());
    id.map(|id| metadata.insert(REQUEST_ID, id));
    let trace = context.traceparent().and_then(|trace| trace.parse().ok());
    trace.map(|trace| metadata.insert(TRACEPARENT, trace));
}
