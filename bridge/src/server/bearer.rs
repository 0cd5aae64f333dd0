//! What every call to the server carries: a token, and what it belongs to.

use std::net::IpAddr;

use courant_runtime::request::{self, Context, REQUEST_ID, TRACEPARENT};
use tonic::Request;
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::metadata::{MetadataMap, MetadataValue};

/// The metadata that says from where a call came to the bridge, for the server's audit log.
const CLIENT_ADDRESS: &str = "courant-client-address";

/// In whose name a call is made.
pub trait CallToken {
    fn jwt(&self) -> &str;

    /// From where the user called.
    fn address(&self) -> Option<IpAddr> {
        None
    }
}

impl CallToken for str {
    fn jwt(&self) -> &str {
        self
    }
}

impl CallToken for String {
    fn jwt(&self) -> &str {
        self
    }
}

/// A user's token, and from where it came.
#[derive(Clone)]
pub struct UserToken {
    pub jwt: String,
    pub address: Option<IpAddr>,
}

impl CallToken for UserToken {
    fn jwt(&self) -> &str {
        &self.jwt
    }

    fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// The request with a token, which is never printed.
pub(super) fn with_token<T>(message: T, token: &(impl CallToken + ?Sized)) -> Result<Request<T>, InvalidMetadataValue> {
    let mut value = MetadataValue::try_from(format!("Bearer {}", token.jwt()))?;
    value.set_sensitive(true);
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", value);
    request::with_current(|context| name_request(context, request.metadata_mut()));
    if let Some(address) = token.address() {
        request.metadata_mut().insert(CLIENT_ADDRESS, MetadataValue::try_from(address.to_string())?);
    }
    Ok(request)
}

/// What the call belongs to: the server's log lines and spans name it.
fn name_request(context: &Context, metadata: &mut MetadataMap) {
    let id = context.request.as_deref().and_then(|id| id.parse().ok());
    id.map(|id| metadata.insert(REQUEST_ID, id));
    let trace = context.traceparent().and_then(|trace| trace.parse().ok());
    trace.map(|trace| metadata.insert(TRACEPARENT, trace));
}
