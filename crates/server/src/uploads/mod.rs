//! `UploadService`: documents that come in pieces, over as many calls as it takes.
//!
//! An upload's id is the id of the job it will be, so that nothing has to remember which became which. What came lies in
//! the object store, and nothing of it in memory: a crash at any point, a restart and several servers on one store are
//! the same case. The document is put together once it is whole, and submitted as any other ([`submit`]).
//!
//! [`submit`]: crate::jobs

mod append;
mod create;
mod finish;
mod held;
pub mod sweep;
mod write;

use std::sync::Arc;

use courant_auth::{Identity, Role};
use courant_joblog::ids::{JobId, Owner};
use courant_proto::v1::upload_service_server::UploadService;
use courant_proto::v1::{
    CreateUploadRequest, CreateUploadResponse, DeleteUploadRequest, DeleteUploadResponse, GetUploadRequest,
    GetUploadResponse, Upload, WriteUploadRequest, WriteUploadResponse,
};
use tonic::{Request, Response, Status, Streaming};

use self::finish::Outcome;
use self::held::Held;
use crate::auth::{caller, require};
use crate::engine::Engine;
use crate::error::Error;
use crate::holds::Hold;

/// The service.
pub struct Uploads(pub Arc<Engine>);

/// Whose upload it is, and its id.
#[derive(Clone, Debug)]
struct Name {
    owner: Owner,
    id: JobId,
}

impl Name {
    /// As a caller gives it. Other owners need a role.
    fn read(identity: &Identity, owner: &str, id: &str) -> Result<Self, Error> {
        if !owner.is_empty() && owner != identity.subject {
            require(identity, Role::Service, "service")?;
        }
        let owner = if owner.is_empty() { &identity.subject } else { owner };
        // Ids are made here; what looks otherwise is none, and no path.
        let is_id = id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        if !is_id {
            return Err(Error::UploadNotFound(id.chars().take(64).collect()));
        }
        Ok(Self { owner: Owner::new(owner), id: JobId::new(id) })
    }

    fn not_found(&self) -> Error {
        Error::UploadNotFound(self.id.to_string())
    }

    /// Waits until nobody else on this server puts it together or removes it.
    async fn turn(&self, engine: &Engine) -> Hold {
        // Not the id alone: that is the hold on the job's files.
        engine.holds.take(&JobId::new(format!("upload {}", self.id))).await
    }
}

#[tonic::async_trait]
impl UploadService for Uploads {
    async fn create_upload(
        &self,
        request: Request<CreateUploadRequest>,
    ) -> Result<Response<CreateUploadResponse>, Status> {
        let identity = caller(&request)?;
        let header = request.into_inner().header.unwrap_or_default();
        let work = create::create(self.0.clone(), identity, header);
        let Outcome { upload, job, cursor } = self.0.run_detached(work).await?;
        Ok(Response::new(CreateUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn write_upload(
        &self,
        request: Request<Streaming<WriteUploadRequest>>,
    ) -> Result<Response<WriteUploadResponse>, Status> {
        let identity = caller(&request)?;
        // To its end also when the caller goes away: what came is kept.
        let work = write::write(self.0.clone(), identity, request.into_inner());
        let Outcome { upload, job, cursor } = self.0.run_detached(work).await?;
        Ok(Response::new(WriteUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn get_upload(&self, request: Request<GetUploadRequest>) -> Result<Response<GetUploadResponse>, Status> {
        let identity = caller(&request)?;
        let GetUploadRequest { upload_id, owner } = request.get_ref();
        let name = Name::read(&identity, owner, upload_id)?;
        let found = self.0.run_detached(finish::state(self.0.clone(), identity, name)).await?;
        let Outcome { upload, job, cursor } = found;
        Ok(Response::new(GetUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn delete_upload(
        &self,
        request: Request<DeleteUploadRequest>,
    ) -> Result<Response<DeleteUploadResponse>, Status> {
        let identity = caller(&request)?;
        let DeleteUploadRequest { upload_id, owner } = request.get_ref();
        let name = Name::read(&identity, owner, upload_id)?;
        let engine = self.0.clone();
        self.0
            .run_detached(async move {
                let _turn = name.turn(&engine).await;
                let held = held::find(&engine, &name).await?.filter(|_| engine.get(&name.id).is_none());
                let Held { place, .. } = held.ok_or_else(|| name.not_found())?;
                engine.objects.remove_resumable(&place).await
            })
            .await?;
        Ok(Response::new(DeleteUploadResponse {}))
    }
}

/// An upload that is not finished, as its owner sees it.
fn unfinished(held: &Held) -> Upload {
    Upload {
        upload_id: held.name.id.to_string(),
        length_bytes: held.length() as i64,
        offset_bytes: held.offset as i64,
        expire_time: Some(held.expires.into()),
    }
}
