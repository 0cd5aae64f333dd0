//! Unfinished uploads of the server in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use courant_proto::v1::upload_service_server::{UploadService, UploadServiceServer};
use courant_proto::v1::write_upload_request::Part;
use courant_proto::v1::*;
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status, Streaming};

use super::server::fault;
use super::{PATIENCE, verifier};

/// All uploads. Clones are the same.
#[derive(Clone)]
pub struct Uploads(Arc<Mutex<BTreeMap<String, One>>>, watch::Sender<usize>);

#[derive(Clone, Debug)]
pub struct One {
    pub owner: String,
    pub header: SubmitJobHeader,
    pub bytes: Vec<u8>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self(Arc::default(), watch::channel(0).0)
    }
}

type Answer = (Upload, Option<Job>, String);

impl Uploads {
    pub fn server(&self) -> UploadServiceServer<Self> {
        UploadServiceServer::new(self.clone())
    }

    pub fn one(&self, id: &str) -> Option<One> {
        self.0.lock().get(id).cloned()
    }

    /// Waits until so many bytes have come in all.
    pub async fn came(&self, bytes: usize) {
        let mut came = self.1.subscribe();
        let found = tokio::time::timeout(PATIENCE, came.wait_for(|came| *came >= bytes)).await;
        assert!(found.is_ok(), "only {} bytes came", *self.1.borrow());
    }

    /// One that has expired.
    pub fn expire(&self, id: &str) {
        self.0.lock().remove(id);
    }

    fn caller<T>(request: &Request<T>) -> Result<String, Status> {
        let value = request.metadata().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = value.strip_prefix("Bearer ").unwrap_or_default();
        let identity = verifier().verify(token);
        identity.map(|known| known.subject).map_err(|_| fault(Code::Unauthenticated, "TOKEN_INVALID", "bad token"))
    }

    fn answer(&self, owner: &str, id: &str) -> Result<Answer, Status> {
        let one = self.one(id).filter(|one| one.owner == owner);
        let one = one.ok_or_else(|| fault(Code::NotFound, "UPLOAD_NOT_FOUND", "there is no such upload"))?;
        let (length, offset) = (one.header.document_bytes, one.bytes.len() as i64);
        let expire_time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 });
        let upload = Upload { upload_id: id.into(), length_bytes: length, offset_bytes: offset, expire_time };
        if offset < length {
            return Ok((upload, None, String::new()));
        }
        let job = Job { job_id: id.into(), owner: one.owner, filename: one.header.filename, ..Job::default() };
        Ok((Upload { expire_time: None, ..upload }, Some(job), "at-7".into()))
    }

    fn push(&self, id: &str, chunk: &[u8]) -> Result<(), Status> {
        let mut all = self.0.lock();
        let one = all.get_mut(id).unwrap();
        if one.bytes.len() + chunk.len() > one.header.document_bytes as usize {
            return Err(fault(Code::InvalidArgument, "DOCUMENT_CUT", "more than was said"));
        }
        one.bytes.extend_from_slice(chunk);
        self.1.send_modify(|came| *came += chunk.len());
        Ok(())
    }
}

#[tonic::async_trait]
impl UploadService for Uploads {
    async fn create_upload(
        &self,
        request: Request<CreateUploadRequest>,
    ) -> Result<Response<CreateUploadResponse>, Status> {
        let caller = Self::caller(&request)?;
        let header = request.into_inner().header.unwrap();
        let owner = if header.owner.is_empty() { caller } else { header.owner.clone() };
        let id = format!("UP-{}", header.request_id);
        let new = One { owner: owner.clone(), header, bytes: Vec::new() };
        self.0.lock().entry(id.clone()).or_insert(new);
        let (upload, job, cursor) = self.answer(&owner, &id)?;
        Ok(Response::new(CreateUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn write_upload(
        &self,
        request: Request<Streaming<WriteUploadRequest>>,
    ) -> Result<Response<WriteUploadResponse>, Status> {
        let caller = Self::caller(&request)?;
        let mut stream = request.into_inner();
        let Some(Part::Header(at)) = stream.message().await?.and_then(|message| message.part) else {
            return Err(fault(Code::InvalidArgument, "WRONG_ORDER", "no header"));
        };
        let owner = if at.owner.is_empty() { caller } else { at.owner };
        let (upload, ..) = self.answer(&owner, &at.upload_id)?;
        if at.offset_bytes != upload.offset_bytes {
            return Err(fault(Code::Aborted, "UPLOAD_OFFSET", "not the end"));
        }
        while let Ok(Some(message)) = stream.message().await {
            if let Some(Part::Chunk(chunk)) = message.part {
                assert!(!chunk.is_empty() && chunk.len() <= 1 << 20);
                self.push(&at.upload_id, &chunk)?;
            }
        }
        let (upload, job, cursor) = self.answer(&owner, &at.upload_id)?;
        Ok(Response::new(WriteUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn get_upload(&self, request: Request<GetUploadRequest>) -> Result<Response<GetUploadResponse>, Status> {
        let caller = Self::caller(&request)?;
        let request = request.into_inner();
        let owner = if request.owner.is_empty() { caller } else { request.owner };
        let (upload, job, cursor) = self.answer(&owner, &request.upload_id)?;
        Ok(Response::new(GetUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn delete_upload(
        &self,
        request: Request<DeleteUploadRequest>,
    ) -> Result<Response<DeleteUploadResponse>, Status> {
        let caller = Self::caller(&request)?;
        let id = request.into_inner().upload_id;
        self.answer(&caller, &id)?;
        self.0.lock().remove(&id);
        Ok(Response::new(DeleteUploadResponse {}))
    }
}
