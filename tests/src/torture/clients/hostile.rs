//! A user who wants to stop the service for everybody: as many and as large requests as one token allows, half of them never
//! finished. Nothing of it is judged by itself; all that is promised to the others is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::queue_service_client::QueueServiceClient;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::upload_service_client::UploadServiceClient;
use courant_proto::v1::{
    CreateUploadRequest, DeleteUploadRequest, ListJobsRequest, SubmitJobHeader, SubmitJobRequest, WatchJobsRequest,
    WatchQueueRequest, WriteUploadHeader, WriteUploadRequest, write_upload_request,
};
use fastrand::Rng;
use futures::SinkExt as _;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tonic::Request;

use super::grpc::Grpc;
use super::{User, World};

/// How long something unfinished is held open.
const HELD: Duration = Duration::from_secs(4);
/// Requests of one attack at once.
const MANY: usize = 40;

pub struct Hostile {
    world: Arc<World>,
    user: Arc<User>,
    rng: Rng,
    grpc: Grpc,
}

impl Hostile {
    /// With a token like any other.
    pub fn new(world: &Arc<World>, user: &Arc<User>) -> anyhow::Result<Self> {
        let rng = super::super::plan::rng(world.seed, "hostile");
        Ok(Self { rng, grpc: Grpc::new(&world.grpc, user)?, world: world.clone(), user: user.clone() })
    }

    /// Attacks until it is calm.
    pub async fn run(mut self) {
        let calm = self.world.calm.clone();
        let attacks = async {
            loop {
                let attack = self.rng.u32(0..7);
                // Nothing of it has to succeed, and nothing lasts for ever.
                let _ = tokio::time::timeout(3 * HELD, self.attack(attack)).await;
                sleep(Duration::from_millis(self.rng.u64(200..3_000))).await;
            }
        };
        calm.run_until_cancelled(attacks).await;
    }

    async fn attack(&self, attack: u32) -> anyhow::Result<()> {
        match attack {
            0 => self.filters().await,
            1 => self.unfinished_submits().await,
            2 => self.watches().await,
            3 => self.uploads_given_up().await?,
            4 => silent_connections(&[self.world.grpc.any(), self.world.http.any()]).await,
            5 => self.topics().await?,
            _ => self.bad_tokens().await?,
        }
        Ok(())
    }

    async fn filters(&self) {
        let lists = (0..8).map(|_| async {
            let filter = format!("{}u", "u OR ".repeat(408));
            let list = ListJobsRequest { filter, page_size: 1000, ..ListJobsRequest::default() };
            let _ = self.grpc.client().list_jobs(self.grpc.with(list)).await;
        });
        futures::future::join_all(lists).await;
    }

    async fn unfinished_submits(&self) {
        let submits = (0..MANY).map(|_| async {
            let (sender, parts) = mpsc::channel(2);
            let mut client = self.grpc.client();
            let send = async {
                let header = Part::Header(header());
                for part in [header, Part::Chunk(vec![0; 1 << 20].into())] {
                    let _ = sender.send(SubmitJobRequest { part: Some(part) }).await;
                }
                sleep(HELD).await;
            };
            tokio::select! {
                _ = client.submit_job(self.grpc.with(ReceiverStream::new(parts))) => {}
                () = send => {}
            }
        });
        futures::future::join_all(submits).await;
    }

    async fn watches(&self) {
        let mut queue = QueueServiceClient::new(self.grpc.channel());
        let mut open = (Vec::new(), Vec::new());
        for number in 0..2 * MANY {
            let watch = WatchJobsRequest { document_id: format!("invented-{number}"), ..WatchJobsRequest::default() };
            open.0.extend(self.grpc.client().watch_jobs(self.grpc.with(watch)).await);
            open.1.extend(queue.watch_queue(self.grpc.with(WatchQueueRequest::default())).await);
        }
        sleep(HELD).await;
    }

    async fn uploads_given_up(&self) -> anyhow::Result<()> {
        let mut uploads = UploadServiceClient::new(self.grpc.channel());
        let header = SubmitJobHeader { document_bytes: 64 << 20, ..header() };
        let created = uploads.create_upload(self.grpc.with(CreateUploadRequest { header: Some(header) })).await?;
        let upload_id = created.into_inner().upload.unwrap_or_default().upload_id;
        let (sender, parts) = mpsc::channel(2);
        let (mut writer, request) = (uploads.clone(), self.grpc.with(ReceiverStream::new(parts)));
        let writing = tokio::spawn(async move { writer.write_upload(request).await.map(drop) });
        let header = WriteUploadHeader { upload_id: upload_id.clone(), ..WriteUploadHeader::default() };
        let chunks = (0..12).map(|_| write_upload_request::Part::Chunk(vec![1; 1 << 20].into()));
        for (number, part) in std::iter::once(write_upload_request::Part::Header(header)).chain(chunks).enumerate() {
            if sender.send(WriteUploadRequest { part: Some(part) }).await.is_err() {
                break;
            }
            if number == 7 {
                let delete = DeleteUploadRequest { upload_id: upload_id.clone(), ..DeleteUploadRequest::default() };
                uploads.delete_upload(self.grpc.with(delete)).await?;
            }
        }
        drop(sender);
        let _ = writing.await;
        Ok(())
    }

    /// Subscriptions to topics that nobody has ever heard of.
    async fn topics(&self) -> anyhow::Result<()> {
        let mut sockets = Vec::new();
        for socket in 0..4 {
            let (mut stream, _) = connect_async(format!("ws://{}/ws", self.world.http.any())).await?;
            stream.send(Message::text(json!({"id": 1, "type": "auth", "token": self.user.token}).to_string())).await?;
            for topic in 0..128 {
                let topic = format!("batch/{socket}-{topic}");
                let subscribe = json!({"id": 2 + topic.len(), "type": "subscribe", "topic": topic});
                if stream.send(Message::text(subscribe.to_string())).await.is_err() {
                    break;
                }
            }
            sockets.push(stream);
        }
        sleep(HELD).await;
        Ok(())
    }

    async fn bad_tokens(&self) -> anyhow::Result<()> {
        let url = format!("http://{}/v1/jobs", self.world.http.any());
        let web = reqwest::Client::builder().timeout(HELD).build()?;
        for number in 0..MANY {
            let _ = web.get(&url).bearer_auth(format!("a.b.{number}")).send().await;
            let mut request = Request::new(ListJobsRequest::default());
            request.metadata_mut().insert("authorization", format!("Bearer a.b.{number}").parse()?);
            let _ = self.grpc.client().list_jobs(request).await;
        }
        Ok(())
    }
}

/// Of a kind that no worker takes. What becomes a job all the same goes by itself, so that the others' calm is not waited for.
fn header() -> SubmitJobHeader {
    let cancel_when_unwatched = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    SubmitJobHeader { kind: "nobody".into(), cancel_when_unwatched, ..SubmitJobHeader::default() }
}

/// Connections on which nothing is ever said.
async fn silent_connections(addresses: &[SocketAddr]) {
    let mut open = Vec::new();
    for address in addresses {
        for _ in 0..MANY {
            open.extend(TcpStream::connect(address).await);
        }
    }
    sleep(HELD).await;
}
