//! All watches of jobs on one stream to the server: what a topic costs there and on the way is a scope, not a stream.
//!
//! The stream is opened with the first watch, and again with the next one after a loss, which every watch on it hears of.
//! Each watch has a queue here, as long as the credit that the server has for it, so that one that is read slowly holds up no
//! other.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::scope_step::What;
use courant_proto::v1::watch_scopes_request::Request as Ask;
use courant_proto::v1::{
    AddCredit, AddScope, CallError, RemoveScope, ScopeStep, WatchJobsRequest, WatchJobsResponse, WatchScopesRequest,
};
use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::bearer::with_token;
use super::channel_pool::MAX_MESSAGE;
use crate::config::TokenSource;

/// Steps of one watch on the way and in its queue.
const CREDIT: usize = 32;
/// The stream has a newer token this often, well before the first runs out.
const RENEW_EVERY: Duration = Duration::from_secs(30);

/// The watches of a bridge.
#[derive(Clone)]
pub struct Watches {
    channel: Channel,
    /// The bridge's own token, as good as new.
    token: TokenSource,
    link: Arc<Mutex<Option<Arc<Link>>>>,
}

/// A stream to the server and the watches on it.
struct Link {
    /// Not bounded by itself: a watch has one request to begin, one to end, and one for each half of its credit.
    requests: mpsc::UnboundedSender<WatchScopesRequest>,
    open: Mutex<OpenWatches>,
}

struct OpenWatches {
    newest: i64,
    queues: HashMap<i64, Queue>,
    /// Why the stream has ended.
    ended: Option<Status>,
}

/// Boxed: a channel has room for 32 of these from the beginning, and a step is half a kilobyte.
type Queue = mpsc::Sender<Box<Result<WatchJobsResponse, Status>>>;

/// The steps of one watch. Dropping it ends the watch.
pub struct Steps {
    link: Arc<Link>,
    scope: i64,
    queue: mpsc::Receiver<Box<Result<WatchJobsResponse, Status>>>,
    /// Steps that were taken since credit was given last.
    taken: usize,
}

impl Watches {
    /// On a connection of their own.
    pub fn new(channel: Channel, token: TokenSource) -> Self {
        Self { channel, token, link: Arc::default() }
    }

    /// Begins a watch: of one job, or of all of a request.
    pub fn watch(&self, watch: WatchJobsRequest, job_id: Option<&str>) -> Steps {
        let (queue, steps) = mpsc::channel(CREDIT);
        let (link, scope) = self.join(queue);
        let add = AddScope {
            scope,
            watch: Some(watch),
            job_id: job_id.unwrap_or_default().to_owned(),
            credit: CREDIT as i32,
        };
        link.ask(Ask::Add(add));
        Steps { link, scope, queue: steps, taken: 0 }
    }

    /// Puts a queue on the stream, on a new one if there is none.
    fn join(&self, queue: Queue) -> (Arc<Link>, i64) {
        let mut current = self.link.lock();
        if let Some(link) = &*current
            && let Some(scope) = link.add(&queue)
        {
            return (link.clone(), scope);
        }
        let (requests, sent) = mpsc::unbounded_channel();
        let open = OpenWatches { newest: 1, queues: HashMap::from([(1, queue)]), ended: None };
        let link = Arc::new(Link { requests, open: Mutex::new(open) });
        tokio::spawn(self.clone().run(link.clone(), sent));
        *current = Some(link.clone());
        (link, 1)
    }

    async fn run(self, link: Arc<Link>, sent: mpsc::UnboundedReceiver<WatchScopesRequest>) {
        let status = match self.serve(&link, sent).await {
            Ok(()) => Status::unavailable("the server ended the stream"),
            Err(status) => status,
        };
        link.end(&status);
    }

    async fn serve(&self, link: &Link, sent: mpsc::UnboundedReceiver<WatchScopesRequest>) -> Result<(), Status> {
        let request = with_token(UnboundedReceiverStream::new(sent), &(self.token)());
        let request = request.map_err(|_| Status::unauthenticated("the bridge's own token cannot be sent"))?;
        let mut client = JobServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        let mut steps = client.watch_scopes(request).await?.into_inner();
        let mut renew = tokio::time::interval(RENEW_EVERY);
        renew.tick().await;
        loop {
            tokio::select! {
                message = steps.message() => match message? {
                    Some(message) => message.steps.into_iter().for_each(|step| link.deliver(step)),
                    None => return Ok(()),
                },
                _ = renew.tick() => link.ask(Ask::Token((self.token)())),
            }
        }
    }
}

impl Link {
    /// The number of a new watch; `None` if the stream has ended.
    fn add(&self, queue: &Queue) -> Option<i64> {
        let mut open = self.open.lock();
        if open.ended.is_some() {
            return None;
        }
        open.newest += 1;
        let scope = open.newest;
        open.queues.insert(scope, queue.clone());
        Some(scope)
    }

    fn ask(&self, ask: Ask) {
        // When the stream has ended every watch hears of it.
        let _ = self.requests.send(WatchScopesRequest { request: Some(ask) });
    }

    fn deliver(&self, ScopeStep { scope, what }: ScopeStep) {
        let mut open = self.open.lock();
        // A watch that was ended here meanwhile.
        let Some(queue) = open.queues.get(&scope) else { return };
        let step = match what {
            Some(What::Step(step)) => Ok(step),
            Some(What::Ended(error)) => Err(status(error)),
            // Something newer than this version.
            None => return,
        };
        let ends = step.is_err();
        if queue.try_send(Box::new(step)).is_err() {
            tracing::error!(scope, "the server sent more than it had credit for");
            open.queues.remove(&scope);
        } else if ends {
            open.queues.remove(&scope);
        }
    }

    fn end(&self, status: &Status) {
        let mut open = self.open.lock();
        open.ended = Some(status.clone());
        for (_, queue) in open.queues.drain() {
            // Where it is full, the end of the queue says as much.
            let _ = queue.try_send(Box::new(Err(status.clone())));
        }
    }
}

impl Stream for Steps {
    type Item = Result<WatchJobsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let step = ready!(self.queue.poll_recv(context));
        self.taken += 1;
        if self.taken >= CREDIT / 2 {
            let (scope, steps) = (self.scope, self.taken as i32);
            self.link.ask(Ask::Credit(AddCredit { scope, steps }));
            self.taken = 0;
        }
        Poll::Ready(step.map(|step| *step))
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.link.open.lock().queues.remove(&self.scope);
        self.link.ask(Ask::Remove(RemoveScope { scope: self.scope }));
    }
}

fn status(error: CallError) -> Status {
    use tonic_types::{ErrorDetails, StatusExt as _};
    let name = error.reason().as_str_name().trim_start_matches("ERROR_REASON_").to_owned();
    let mut details = ErrorDetails::with_error_info(name, "courant", HashMap::new());
    details.set_retry_info(error.retry_after.and_then(|after| Duration::try_from(after).ok()));
    Status::with_error_details(Code::from(error.code), error.message, details)
}
