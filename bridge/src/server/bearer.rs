//! Tokens on calls to the server.

use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::metadata::errors::InvalidMetadataValue;

/// The request with a token, which is never printed.
pub(super) fn with_token<T>(message: T, token: &str) -> Result<Request<T>, InvalidMetadataValue> {
    let mut value = MetadataValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}
