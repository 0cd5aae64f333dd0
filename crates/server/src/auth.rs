//! Who calls: the token of every call becomes an [`Identity`], and the identity answers what it may see.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::{Identity, Role, TokenError, Verifier};
use courant_engine::Error as Refused;
use courant_joblog::ids::{JobId, Owner};
use courant_joblog::job::Job;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::audit;
use crate::error::Error;

/// Judges the token of each call before the service sees it.
#[derive(Clone)]
pub struct AuthInterceptor(Verifier);

impl AuthInterceptor {
    pub fn new(verifier: Verifier) -> Self {
        Self(verifier)
    }

    fn identify(&self, request: &Request<()>) -> Result<Arc<Identity>, Error> {
        let header = request.metadata().get("authorization").ok_or(Error::TokenMissing)?;
        let text = header.to_str().map_err(|_| TokenError::Invalid)?;
        let (scheme, token) = text.split_once(' ').ok_or(TokenError::Invalid)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenError::Invalid.into());
        }
        Ok(self.0.verify(token.trim())?)
    }
}

impl Interceptor for AuthInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let identity = self.identify(&request)?;
        audit::note_actor(&identity);
        request.extensions_mut().insert(identity);
        Ok(request)
    }
}

/// The caller, as the guard found it.
pub fn caller<T>(request: &Request<T>) -> Result<Arc<Identity>, Error> {
    request.extensions().get::<Arc<Identity>>().cloned().ok_or(Error::TokenMissing)
}

/// Refuses callers without the role.
pub fn require(identity: &Identity, role: Role, name: &'static str) -> Result<(), Error> {
    if identity.has(role) { Ok(()) } else { Err(Error::RoleRequired(name)) }
}

/// The job, if the caller may see it. Whether it exists shows nowhere else.
pub fn check_visible<'a>(identity: &Identity, id: &JobId, job: Option<&'a Job>) -> Result<&'a Job, Error> {
    audit::note_job(id.as_str());
    let visible = job.filter(|job| identity.sees_all() || job.owner.as_str() == identity.subject);
    if visible.is_some_and(|job| job.owner.as_str() != identity.subject) {
        audit::note_others();
    }
    visible.ok_or_else(|| Refused::JobNotFound(id.clone()).into())
}

/// Whose jobs a request is about: empty for one's own, `-` for all (`None`). Others need a role.
pub fn scope(identity: &Identity, owner: &str) -> Result<Option<Owner>, Error> {
    match owner {
        "" => Ok(Some(Owner::new(identity.subject.as_str()))),
        own if own == identity.subject => Ok(Some(Owner::new(own))),
        _ if !identity.sees_all() => Err(Error::RoleRequired("admin")),
        other => {
            audit::note_others();
            audit::note_target(other);
            Ok((other != "-").then(|| Owner::new(other)))
        }
    }
}

/// How long the token is still accepted: as long as it would be if it were shown again.
pub fn time_left(identity: &Identity) -> Duration {
    identity.accepted_until().duration_since(std::time::SystemTime::now()).unwrap_or_default()
}
