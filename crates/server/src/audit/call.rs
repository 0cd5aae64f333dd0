//! Writes calls into the audit log: a layer around all services, which sees who called and how it ended. A call is written
//! when its answer has been sent.
//!
//! What the layer cannot see is noted while the call runs, from wherever it is known: the record is the task's own, so that
//! it need not be handed through every function. Work that is given to another task takes it along with [`carry`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use courant_auth::{Identity, Role};
use courant_runtime::request;
use courant_tls::ConnectionInfo;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::task_local;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::actions::{ACCESS_REFUSED, Rule, TOKEN_REFUSED, When, rule};
use super::event::{AuditEvent, Source, cut, role_name};
use super::limits::Category;
use super::log::AuditLog;

/// The metadata in which bridges say from where they were called.
const CLIENT_ADDRESS: &str = "courant-client-address";

task_local! {
    static CURRENT: Arc<CallRecord>;
}

/// A call under way, as far as the audit log is concerned.
#[derive(Debug)]
pub struct CallRecord {
    log: Arc<AuditLog>,
    rule: Rule,
    method: String,
    address: Option<String>,
    client_address: Option<String>,
    request_id: Option<String>,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    actor: Option<String>,
    roles: Vec<Role>,
    job: Option<String>,
    target: Option<String>,
    /// Whether it is about what is somebody else's.
    others: bool,
}

/// Who calls: the token was good.
pub fn note_actor(identity: &Identity) {
    note(|noted| {
        noted.actor = Some(identity.subject.clone());
        noted.roles = identity.roles.iter().copied().collect();
    });
}

/// Which job the call is about.
pub fn note_job(job: &str) {
    note(|noted| noted.job = Some(cut(job)));
}

/// What else it is about.
pub fn note_target(target: &str) {
    note(|noted| noted.target = Some(cut(target)));
}

/// It is about what is somebody else's, which only a role allows.
pub fn note_others() {
    note(|noted| noted.others = true);
}

fn note(change: impl FnOnce(&mut Noted)) {
    // Outside of a call there is nothing to note it for.
    let _ = CURRENT.try_with(|record| change(&mut record.noted.lock()));
}

/// The record of the call that runs here.
fn current() -> Option<Arc<CallRecord>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Writes something that the call that runs here has done.
pub fn record_now(action: &str, code: Code, job: Option<&str>, target: Option<&str>) {
    if let Some(record) = current() {
        record.record(action, code, job, target);
    }
}

/// Work that is done for the call that runs here, by another task.
pub fn carry<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let record = current();
    async move {
        match record {
            Some(record) => CURRENT.scope(record, work).await,
            None => work.await,
        }
    }
}

impl CallRecord {
    fn begin<B>(log: Arc<AuditLog>, rule: Rule, called: &Request<B>) -> Arc<Self> {
        let text = |name| Some(cut(called.headers().get(name)?.to_str().ok()?));
        let from = called.extensions().get::<ConnectionInfo>().and_then(|connection| connection.tcp.remote_addr());
        Arc::new(Self {
            log,
            rule,
            method: called.uri().path().trim_start_matches('/').to_owned(),
            address: from.map(|from| from.ip().to_string()),
            client_address: text(CLIENT_ADDRESS),
            request_id: request::current().and_then(|context| context.request).map(|id| id.to_string()),
            noted: Mutex::default(),
        })
    }

    /// Writes something that the call did besides, such as one of many submits.
    fn record(&self, action: &str, code: Code, job: Option<&str>, target: Option<&str>) {
        let event = AuditEvent {
            job_id: job.map(str::to_owned),
            target: target.map(str::to_owned),
            code: code_name(code).to_owned(),
            ..self.event(action)
        };
        self.log.record(Category::Action, event);
    }

    fn event(&self, action: &str) -> AuditEvent {
        let noted = self.noted.lock();
        AuditEvent {
            actor: noted.actor.clone(),
            roles: noted.roles.iter().map(|role| role_name(*role).to_owned()).collect(),
            job_id: noted.job.clone(),
            target: noted.target.clone(),
            method: Some(self.method.clone()),
            address: self.address.clone(),
            client_address: self.client_address.clone(),
            request_id: self.request_id.clone(),
            ..AuditEvent::now(Source::Grpc, action)
        }
    }

    fn end(&self, code: Code) {
        let Some((action, category)) = self.outcome(code) else { return };
        let mut event = AuditEvent { code: code_name(code).to_owned(), ..self.event(action) };
        if event.target.is_none() && action == self.rule.action && self.rule.when == When::OperatorsRead {
            event.target = self.method.rsplit('/').next().map(str::to_owned);
        }
        self.log.record(category, event);
    }

    /// How the call is written, if it is.
    fn outcome(&self, code: Code) -> Option<(&'static str, Category)> {
        if code == Code::Unauthenticated {
            return Some((TOKEN_REFUSED, Category::Refusal));
        }
        let Rule { action, when } = self.rule;
        let noted = self.noted.lock();
        let is_written = match when {
            When::Always => true,
            When::WithJob => noted.job.is_some(),
            When::OthersRead => noted.others && !noted.roles.contains(&Role::Bridge),
            When::OperatorsRead => !noted.roles.contains(&Role::Bridge),
            When::Refused => false,
        };
        if code == Code::PermissionDenied {
            return Some((if when == When::Always { action } else { ACCESS_REFUSED }, Category::Refusal));
        }
        is_written.then_some((action, Category::Action))
    }
}

/// Writes the calls of all services behind it.
#[derive(Clone, Debug)]
pub struct AuditCalls(pub Arc<AuditLog>);

impl<S> Layer<S> for AuditCalls {
    type Service = AuditedCalls<S>;

    fn layer(&self, inner: S) -> AuditedCalls<S> {
        AuditedCalls { log: self.0.clone(), inner }
    }
}

/// Services whose calls are written.
#[derive(Clone, Debug)]
pub struct AuditedCalls<S> {
    log: Arc<AuditLog>,
    inner: S,
}

impl<S, B> Service<Request<B>> for AuditedCalls<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(rule) = rule(request.uri().path()) else { return Box::pin(self.inner.call(request)) };
        let record = CallRecord::begin(self.log.clone(), rule, &request);
        // Interceptors run here already.
        let answer = CURRENT.sync_scope(record.clone(), || self.inner.call(request));
        let mut end = CallEnd { record: record.clone(), code: None };
        Box::pin(CURRENT.scope(record, async move {
            let answer = answer.await?;
            // An answer without messages has its status here.
            end.take_code(answer.headers());
            Ok(answer.map(|inner| Body::new(Audited { inner, end })))
        }))
    }
}

/// A call is written when this is dropped.
struct CallEnd {
    record: Arc<CallRecord>,
    /// None: the caller went away before the end.
    code: Option<Code>,
}

impl CallEnd {
    fn take_code(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.code = Some(status.code());
        }
    }
}

impl Drop for CallEnd {
    fn drop(&mut self) {
        self.record.end(self.code.unwrap_or(Code::Cancelled));
    }
}

/// An answer, with its call.
struct Audited {
    inner: Body,
    end: CallEnd,
}

impl HttpBody for Audited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            this.end.take_code(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A code as gRPC names it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
