//! Who calls over HTTP: `Authorization: Bearer <JWT>`.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use courant_auth::{Identity, Role};
use courant_proto::v1::ErrorReason;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::app::App;
use crate::fault::{Code, Fault};

/// A caller whose token is good.
pub struct Caller {
    /// Who it is.
    pub identity: Identity,
    /// For calling the core in the caller's name.
    pub token: String,
}

impl Caller {
    /// Refuses callers without the role.
    pub fn needs(&self, role: Role) -> Result<(), Fault> {
        if self.identity.has(role) {
            return Ok(());
        }
        Err(Fault::new(Code::Core(ErrorReason::RoleRequired), "your token does not allow this"))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Fault> {
        let missing =
            || Fault::new(Code::Core(ErrorReason::TokenMissing), "send the header Authorization: Bearer <token>");
        let value = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
        let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing());
        }
        let token = token.trim().to_owned();
        let identity = app.config.verifier.verify(&token)?;
        Ok(Self { identity, token })
    }
}
