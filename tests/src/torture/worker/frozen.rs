//! A worker that accepts what it is given and then says nothing any more. Its streams stay open, and the library below it
//! goes on answering pings: only the protocol's own silence shows that it does nothing.

use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::work_request::Message as Out;
use courant_proto::v1::work_response::Message as In;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::{Accepted, Hello, WorkRequest, WorkResponse};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Streaming};

use super::super::clients::grpc::{CALL, channel};
use super::super::fact::KIND;
use super::super::record::{Folder, Record, RecordWriter};
use super::Workplace;

/// Attempts it takes.
const SLOTS: i32 = 2;
/// How long it stands still before it begins again from nothing.
const STILL: Duration = Duration::from_secs(40);
/// What was sent to it before its lease ran out may be under way for as long, on a link that is stalled.
const UNDER_WAY: Duration = Duration::from_secs(20);

pub struct Frozen {
    id: String,
    place: Workplace,
    writer: RecordWriter,
}

impl Frozen {
    pub fn new(id: &str, place: Workplace, folder: &Arc<Folder>) -> anyhow::Result<Self> {
        Ok(Self { id: id.to_owned(), place, writer: folder.writer(id)? })
    }

    /// Comes, freezes and comes again until told to stop.
    pub async fn run(self, over: CancellationToken) {
        let again = async {
            loop {
                let _ = self.session().await;
                sleep(Duration::from_secs(2)).await;
            }
        };
        over.run_until_cancelled(again).await;
    }

    async fn session(&self) -> anyhow::Result<()> {
        let (out, outbound) = mpsc::channel(16);
        let (worker_id, kinds) = (self.id.clone(), vec![KIND.to_owned()]);
        let hello = Hello { worker_id, kinds, slots: SLOTS, software: "torture".into(), ..Hello::default() };
        out.send(WorkRequest { message: Some(Out::Hello(hello)) }).await?;
        let mut client = WorkerServiceClient::new(channel(self.place.servers.any())?);
        let mut request = Request::new(ReceiverStream::new(outbound));
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.place.token).parse()?);
        let inbound = timeout(CALL, client.work(request)).await??.into_inner();
        self.freeze(out, inbound).await
    }

    /// Accepts what comes at first, then only listens.
    async fn freeze(&self, out: mpsc::Sender<WorkRequest>, mut inbound: Streaming<WorkResponse>) -> anyhow::Result<()> {
        let session = self.writer.number();
        let until = Instant::now() + STILL;
        let mut silent_since = None;
        while let Ok(message) = timeout_at(until, inbound.message()).await {
            let Some(WorkResponse { message: Some(In::Assignment(assignment)) }) = message? else { continue };
            let Some(at) = assignment.attempt else { continue };
            let (worker, job, att) = (self.id.clone(), at.job_id.clone(), at.attempt);
            self.writer.write(Record::Assigned { worker: worker.clone(), session, job: job.clone(), att });
            match silent_since {
                None => {
                    let accepted = Out::Accepted(Accepted { attempt: Some(at) });
                    out.send(WorkRequest { message: Some(accepted) }).await?;
                    silent_since = Some(Instant::now());
                }
                Some(since) if since.elapsed() > UNDER_WAY => {
                    let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                    self.writer.write(Record::AfterSilence { worker, session, job, att, ms });
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
