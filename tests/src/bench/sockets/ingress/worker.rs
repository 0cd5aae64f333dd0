//! One worker's stream: it takes what is assigned, says that it is there, and leaves the reports to its owner.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use courant_auth::Role;
use courant_proto::v1::work_request::Message as Out;
use courant_proto::v1::work_response::Message as In;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::{Accepted, AttemptRef, Heartbeat, Hello, WorkRequest, WorkResponse};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::KIND;
use crate::bench::sockets::courant::Courant;
use crate::grpc::Bearer;

/// Reports on their way into one stream: few, so that what the server does not take in shows at once.
const QUEUE: usize = 512;
/// How often a worker says that it is there; the lease lasts for 30 s.
const HEARTBEAT: Duration = Duration::from_secs(5);

pub(super) struct Worker {
    pub reports: mpsc::Sender<WorkRequest>,
    reading: JoinHandle<()>,
}

pub(super) type Assigned = mpsc::UnboundedSender<(usize, AttemptRef)>;

impl Worker {
    /// Connects the worker with this number; it says what it is assigned, and in `failed` why it cannot go on.
    pub async fn start(
        courant: &Courant,
        number: usize,
        slots: usize,
        assigned: Assigned,
        failed: Arc<Mutex<Option<String>>>,
    ) -> anyhow::Result<Self> {
        let name = format!("ingress-{number}");
        let bearer = Bearer::new(&courant.token(&name, &[Role::Worker])?)?;
        let mut client = WorkerServiceClient::with_interceptor(connect(courant).await?, bearer);
        let (reports, requests) = mpsc::channel(QUEUE);
        let hello =
            Hello { worker_id: name, kinds: vec![KIND.to_owned()], slots: i32::try_from(slots)?, ..Hello::default() };
        reports.send(WorkRequest { message: Some(Out::Hello(hello)) }).await?;
        let mut responses = client.work(ReceiverStream::new(requests)).await?.into_inner();
        let accepts = reports.downgrade();
        let reading = tokio::spawn(async move {
            let ended = answer(number, &mut responses, accepts, assigned).await;
            *failed.lock() = Some(ended.map_or_else(|error| format!("{error:#}"), |()| "it ended".to_owned()));
        });
        Ok(Self { reports, reading })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Does what a worker has to do besides reporting.
async fn answer(
    worker: usize,
    responses: &mut Streaming<WorkResponse>,
    requests: mpsc::WeakSender<WorkRequest>,
    assigned: Assigned,
) -> anyhow::Result<()> {
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        let message = tokio::select! {
            message = responses.message() => message?.context("the server ended the stream")?.message,
            _ = beat.tick() => {
                let Some(requests) = requests.upgrade() else { return Ok(()) };
                // When the queue is full, what is in it is a sign of life.
                let _ = requests.try_send(WorkRequest { message: Some(Out::Heartbeat(Heartbeat { number: 0 })) });
                continue;
            }
        };
        match message {
            Some(In::Assignment(assignment)) => {
                let attempt = assignment.attempt.context("an assignment without an attempt")?;
                let accepted = Out::Accepted(Accepted { attempt: Some(attempt.clone()) });
                let Some(requests) = requests.upgrade() else { return Ok(()) };
                requests.send(WorkRequest { message: Some(accepted) }).await?;
                if assigned.send((worker, attempt)).is_err() {
                    bail!("a job was assigned again");
                }
            }
            Some(In::LeaseLost(lost)) => bail!("the server refused a report of {lost:?}"),
            Some(In::Cancel(cancel)) => bail!("the server asked to stop {cancel:?}"),
            _ => {}
        }
    }
}

pub(super) async fn connect(courant: &Courant) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{}", courant.grpc))?.tcp_nodelay(true).connect().await?)
}
