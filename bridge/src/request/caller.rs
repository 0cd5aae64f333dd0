//! Who calls over HTTP: `Authorization: Bearer <JWT>`, or the session cookie.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use courant_auth::{Identity, Role};
use courant_proto::v1::ErrorReason;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::origin::Origins;
use super::{cookie, headers};
use crate::api_error::{ApiError, Code};
use crate::app::{App, Peer};
use crate::ledger::{Resource, Share, User};
use crate::metrics::Limit;
use crate::server::UserToken;
use crate::wire::admin::AuditAction;

/// A caller whose token is good.
pub struct Caller {
    pub identity: Arc<Identity>,
    /// For calling the server in the caller's name.
    pub token: UserToken,
    /// How the token was sent.
    pub token_location: TokenLocation,
    /// Where it calls from.
    pub address: Option<IpAddr>,
    /// What the user holds of the bridge.
    pub shares: Arc<User>,
    /// The request, among those of the user that are being answered.
    _request: Share,
}

/// How a token was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLocation {
    /// In the header, which no browser sends by itself.
    Header,
    /// In the cookie: then it matters which page began the request.
    Cookie,
}

impl Caller {
    /// Writes down what the caller did.
    pub fn audit(&self, app: &App, action: AuditAction, target: Option<&str>) {
        app.audit.record(action, Some(&self.identity.subject), self.address, target);
    }

    /// One more upload of the user.
    pub fn take_upload(&self, app: &App) -> Result<Share, ApiError> {
        self.shares.take(Resource::Uploads).map_err(|refused| {
            refuse(app, &self.identity, self.address, Limit::UploadsPerUser);
            refused.api_error("uploads", "--max-uploads-per-user", "wait for one to end")
        })
    }

    /// One more download of the user.
    pub fn take_download(&self, app: &App) -> Result<Share, ApiError> {
        self.shares.take(Resource::Downloads).map_err(|refused| {
            refuse(app, &self.identity, self.address, Limit::DownloadsPerUser);
            refused.api_error("downloads", "--max-downloads-per-user", "wait for one to end")
        })
    }

    /// Refuses callers without the role.
    pub fn require(&self, role: Role) -> Result<(), ApiError> {
        if self.identity.has(role) {
            return Ok(());
        }
        Err(ApiError::new(Code::Server(ErrorReason::RoleRequired), "your token does not allow this"))
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let (token, token_location) = token(parts, app)?;
        let peer = parts.extensions.get::<Peer>();
        let address = peer.map(|peer| headers::address(*peer, &parts.headers, &app.config));
        let identity = app.config.verifier.verify(&token).inspect_err(|_| {
            app.audit.record(AuditAction::TokenRefused, None, address, None);
        })?;
        if let Some(address) = address {
            app.permits.check_user_rate(&identity.subject, address)?;
        }
        let shares = app.ledger.user(&identity.subject);
        let request = shares.take(Resource::Requests).map_err(|refused| {
            refuse(app, &identity, address, Limit::RequestsPerUser);
            refused.api_error("HTTP requests", "--max-requests-per-user", "wait for their answers")
        })?;
        let token = UserToken { jwt: token, address };
        Ok(Self { identity, token, token_location, address, shares, _request: request })
    }
}

fn refuse(app: &App, identity: &Identity, address: Option<IpAddr>, limit: Limit) {
    if let Some(address) = address {
        app.permits.refused(limit, Some(&identity.subject), address);
    }
}

/// The header counts more than the cookie.
fn token(parts: &Parts, app: &App) -> Result<(String, TokenLocation), ApiError> {
    let missing =
        || ApiError::new(Code::Server(ErrorReason::TokenMissing), "send the header Authorization: Bearer <token>");
    if let Some(value) = parts.headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing());
        }
        return Ok((token.trim().to_owned(), TokenLocation::Header));
    }
    let token = cookie::token(&parts.headers, &app.config).ok_or_else(missing)?;
    Origins::of(&app.config).check_cookie(&parts.method, &parts.headers)?;
    Ok((token.to_owned(), TokenLocation::Cookie))
}
