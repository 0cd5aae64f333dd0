//! The gRPC endpoint, as a client sees it.

use courant_proto::v1::admin_service_client::AdminServiceClient;
use courant_proto::v1::download_document_response::Part as DocumentPart;
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::read_result_response::Part as ResultPart;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::upload_service_client::UploadServiceClient;
use courant_proto::v1::watch_job_response::Step;
use courant_proto::v1::webhook_service_client::WebhookServiceClient;
use courant_proto::v1::{
    DownloadDocumentRequest, GetJobRequest, Job, JobEvent, JobState, ReadResultRequest, ResultFormat, SubmitJobHeader,
    SubmitJobRequest, SubmitJobResponse, WatchJobRequest, WatchJobResponse,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::{Interceptor, interceptor::InterceptedService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt;

use crate::within;

/// The generated client with a token.
pub type Client = JobServiceClient<InterceptedService<Channel, Bearer>>;

/// Puts a token on every call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Bearer {
    pub(crate) fn new(token: &str) -> anyhow::Result<Self> {
        Ok(Self(Some(format!("Bearer {token}").parse()?)))
    }
}

/// The admin service with a token.
pub type Admin = AdminServiceClient<InterceptedService<Channel, Bearer>>;

/// Connects to the admin service.
pub async fn admin(address: &str, token: &str) -> anyhow::Result<Admin> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    Ok(AdminServiceClient::with_interceptor(channel, Bearer::new(token)?))
}

/// The webhook service with a token.
pub type Webhooks = WebhookServiceClient<InterceptedService<Channel, Bearer>>;

/// Connects to the webhook service.
pub async fn webhooks(address: &str, token: &str) -> anyhow::Result<Webhooks> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    Ok(WebhookServiceClient::with_interceptor(channel, Bearer::new(token)?))
}

/// The upload service with a token.
pub type Uploads = UploadServiceClient<InterceptedService<Channel, Bearer>>;

/// Connects to the upload service.
pub async fn uploads(address: &str, token: &str) -> anyhow::Result<Uploads> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    Ok(UploadServiceClient::with_interceptor(channel, Bearer::new(token)?))
}

/// The job service for one user.
#[derive(Clone)]
pub struct Jobs {
    /// For calls that have no helper here.
    pub client: Client,
}

impl Jobs {
    /// Connects with a token.
    pub async fn connect(address: &str, token: &str) -> anyhow::Result<Self> {
        Self::dial(address, Bearer::new(token)?).await
    }

    /// With a token, on a connection that others use too.
    pub(crate) fn over(channel: Channel, token: &str) -> anyhow::Result<Self> {
        Ok(Self { client: JobServiceClient::with_interceptor(channel, Bearer::new(token)?) })
    }

    /// Connects without a token.
    pub async fn anonymous(address: &str) -> anyhow::Result<Self> {
        Self::dial(address, Bearer(None)).await
    }

    async fn dial(address: &str, bearer: Bearer) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        Ok(Self { client: JobServiceClient::with_interceptor(channel, bearer) })
    }

    /// Submits a document with nothing but a name.
    pub async fn submit(&self, filename: &str, document: Vec<u8>) -> Result<SubmitJobResponse, Status> {
        let header = SubmitJobHeader { filename: filename.to_owned(), ..SubmitJobHeader::default() };
        self.submit_with(header, document).await
    }

    pub async fn submit_with(&self, header: SubmitJobHeader, document: Vec<u8>) -> Result<SubmitJobResponse, Status> {
        let chunks = document.chunks(64 << 10).map(|chunk| Part::Chunk(chunk.to_vec().into()));
        let parts: Vec<_> = [Part::Header(header)].into_iter().chain(chunks).collect();
        let messages = tokio_stream::iter(parts.into_iter().map(|part| SubmitJobRequest { part: Some(part) }));
        Ok(self.client.clone().submit_job(messages).await?.into_inner())
    }

    /// A document of the given kind of work, for a worker of the test's own.
    pub async fn submit_kind(&self, kind: &str, filename: &str) -> anyhow::Result<(Job, String)> {
        let header =
            SubmitJobHeader { kind: kind.to_owned(), filename: filename.to_owned(), ..SubmitJobHeader::default() };
        accepted(self.submit_with(header, filename.as_bytes().to_vec()).await?)
    }

    pub async fn get(&self, job_id: &str) -> Result<Job, Status> {
        let answer = self.client.clone().get_job(GetJobRequest { job_id: job_id.to_owned() }).await?.into_inner();
        answer.job.ok_or_else(|| Status::internal("an answer without a job"))
    }

    /// Begins to follow a job after a cursor (empty: from a snapshot), with everything that happens.
    pub async fn watch(&self, job_id: &str, after: &str) -> Result<Watch, Status> {
        let request =
            WatchJobRequest { job_id: job_id.to_owned(), after_cursor: after.to_owned(), ..WatchJobRequest::default() };
        let stream = self.client.clone().watch_job(request).await?.into_inner();
        Ok(Watch { stream, cursor: after.to_owned(), seen: Vec::new() })
    }

    /// Waits until the job has ended and gives it back.
    pub async fn ended(&self, job_id: &str) -> anyhow::Result<Job> {
        let mut watch = self.watch(job_id, "").await?;
        watch.to_end().await?;
        Ok(self.get(job_id).await?)
    }

    /// Reads the document from an offset, at most so many bytes; 0 for all.
    pub async fn document(&self, job_id: &str, offset: i64, limit: i64) -> Result<Vec<u8>, Status> {
        let request = DownloadDocumentRequest { job_id: job_id.to_owned(), offset, limit };
        let mut stream = self.client.clone().download_document(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = stream.message().await? {
            if let Some(DocumentPart::Chunk(chunk)) = message.part {
                bytes.extend_from_slice(&chunk);
            }
        }
        Ok(bytes)
    }

    /// Reads a whole result.
    pub async fn result(&self, job_id: &str, format: ResultFormat) -> Result<String, Status> {
        let request = ReadResultRequest { job_id: job_id.to_owned(), format: format.into(), offset: 0, limit: 0 };
        let mut stream = self.client.clone().read_result(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = stream.message().await? {
            if let Some(ResultPart::Chunk(chunk)) = message.part {
                bytes.extend_from_slice(&chunk);
            }
        }
        String::from_utf8(bytes).map_err(|error| Status::data_loss(error.to_string()))
    }
}

/// The job and the cursor of an accepted submit.
pub fn accepted(answer: SubmitJobResponse) -> anyhow::Result<(Job, String)> {
    let job = answer.job.ok_or_else(|| anyhow::anyhow!("an answer without a job"))?;
    Ok((job, answer.cursor))
}

/// A watch and all it has been told.
pub struct Watch {
    stream: Streaming<WatchJobResponse>,
    /// Where to continue after what was seen.
    pub cursor: String,
    /// Everything, in order.
    pub seen: Vec<WatchJobResponse>,
}

impl Watch {
    /// The next message; none at the end of the stream.
    pub async fn next(&mut self) -> anyhow::Result<Option<WatchJobResponse>> {
        let message = within("the next message of a watch", async { Ok(self.stream.message().await?) }).await?;
        if let Some(message) = &message {
            if !message.cursor.is_empty() {
                self.cursor.clone_from(&message.cursor);
            }
            self.seen.push(message.clone());
        }
        Ok(message)
    }

    /// Reads until an event of which this holds.
    pub async fn until(&mut self, holds: impl Fn(&JobEvent) -> bool) -> anyhow::Result<JobEvent> {
        while let Some(message) = self.next().await? {
            if let Some(Step::Event(event)) = message.step
                && holds(&event)
            {
                return Ok(event);
            }
        }
        anyhow::bail!("the watch ended before it happened; seen: {:?}", self.revisions())
    }

    /// Reads to the end of the stream.
    pub async fn to_end(&mut self) -> anyhow::Result<()> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &JobEvent> {
        self.seen.iter().filter_map(|message| match &message.step {
            Some(Step::Event(event)) => Some(event),
            _ => None,
        })
    }

    /// The revisions of the durable events, in order.
    pub fn revisions(&self) -> Vec<i64> {
        self.events().map(|event| event.revision).filter(|revision| *revision > 0).collect()
    }
}

/// Whether the job is in this state after the event.
pub fn becomes(event: &JobEvent, state: JobState) -> bool {
    event.job.as_ref().is_some_and(|job| job.state() == state)
}

/// The reason of an error, as programs read it.
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}
