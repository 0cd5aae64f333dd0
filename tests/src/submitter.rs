//! A client of the stream of submits, as a service would write it: whoever submits waits for the own answer.

use std::collections::HashMap;
use std::sync::Arc;

use courant_proto::v1::submit_jobs_response::Outcome;
use courant_proto::v1::{CallError, SubmitJobHeader, SubmitJobResponse, SubmitJobsRequest, SubmitJobsResponse};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::grpc::Jobs;

/// Requests that were not sent yet.
const UNSENT: usize = 64;

/// One stream, for any number of tasks.
#[derive(Clone)]
pub struct Submitter {
    requests: mpsc::Sender<SubmitJobsRequest>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    newest: i64,
    answers: HashMap<i64, oneshot::Sender<Outcome>>,
    /// Why the stream ended.
    ended: Option<Status>,
}

impl Submitter {
    pub async fn open(jobs: &Jobs) -> Result<Self, Status> {
        let (requests, sent) = mpsc::channel(UNSENT);
        let stream = jobs.client.clone().submit_jobs(ReceiverStream::new(sent)).await?.into_inner();
        let waiting = Arc::<Mutex<Waiting>>::default();
        tokio::spawn(receive(stream, waiting.clone()));
        Ok(Self { requests, waiting })
    }

    /// Submits one document and waits for its answer. The outer error is that of the stream: it is not known what became of
    /// the request.
    pub async fn submit(
        &self,
        header: SubmitJobHeader,
        document: Vec<u8>,
    ) -> Result<Result<SubmitJobResponse, CallError>, Status> {
        let (answer, answered) = oneshot::channel();
        let number = {
            let mut waiting = self.waiting.lock();
            if let Some(ended) = &waiting.ended {
                return Err(ended.clone());
            }
            waiting.newest += 1;
            let number = waiting.newest;
            waiting.answers.insert(number, answer);
            number
        };
        let request = SubmitJobsRequest { number, header: Some(header), document: document.into() };
        // Where it cannot be sent, the stream's end says why.
        let _ = self.requests.send(request).await;
        match answered.await {
            Ok(Outcome::Submitted(submitted)) => Ok(Ok(submitted)),
            Ok(Outcome::Error(error)) => Ok(Err(error)),
            Err(_) => Err(self.waiting.lock().ended.clone().unwrap_or_else(|| Status::internal("no answer came"))),
        }
    }
}

async fn receive(mut stream: Streaming<SubmitJobsResponse>, waiting: Arc<Mutex<Waiting>>) {
    let ended = loop {
        match stream.message().await {
            Ok(Some(SubmitJobsResponse { number, outcome: Some(outcome) })) => {
                if let Some(answer) = waiting.lock().answers.remove(&number) {
                    let _ = answer.send(outcome);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => break Status::cancelled("the server ended the stream"),
            Err(status) => break status,
        }
    };
    let mut waiting = waiting.lock();
    waiting.ended = Some(ended);
    waiting.answers.clear();
}
