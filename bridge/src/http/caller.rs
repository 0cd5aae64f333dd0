//! Who calls over HTTP: `Authorization: Bearer <JWT>`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use courant_auth::{Identity, Role};
use courant_proto::v1::ErrorReason;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::headers;
use crate::app::{App, Peer};
use crate::audit::Deed;
use crate::fault::{Code, Fault};

/// A caller whose token is good.
pub struct Caller {
    /// Who it is.
    pub identity: Identity,
    /// For calling the core in the caller's name.
    pub token: String,
    /// Where it calls from.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// Writes down what the caller did.
    pub fn note(&self, app: &App, deed: Deed, target: Option<&str>) {
        app.trail.note(deed, Some(&self.identity.subject), self.address, target);
    }

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
        let peer = parts.extensions.get::<Peer>();
        let address = peer.map(|peer| headers::address(*peer, &parts.headers, &app.config));
        let identity = app.config.verifier.verify(&token).inspect_err(|_| {
            app.trail.note(Deed::TokenRefused, None, address, None);
        })?;
        Ok(Self { identity, token, address })
    }
}
