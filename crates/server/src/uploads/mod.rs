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
mod stored_upload;
pub mod sweep;
mod write;

use std::sync::Arc;

use courant_engine::Error as Refused;
use courant_proto::v1::upload_service_server::UploadService;
use courant_proto::v1::{
    CreateUploadRequest, CreateUploadResponse, DeleteUploadRequest, DeleteUploadResponse, GetUploadRequest,
    GetUploadResponse, WriteUploadRequest, WriteUploadResponse,
};
use tonic::{Request, Response, Status, Streaming};

use self::finish::UploadState;
use self::stored_upload::{StoredUpload, UploadKey};
use crate::audit;
use crate::auth::caller;
use crate::error::Error;
use crate::services::Services;

/// Why a finished upload is not given up.
const IS_A_JOB: &str = "its upload is finished: cancel or delete the job instead";

pub struct Uploads(pub Arc<Services>);

#[tonic::async_trait]
impl UploadService for Uploads {
    async fn create_upload(
        &self,
        request: Request<CreateUploadRequest>,
    ) -> Result<Response<CreateUploadResponse>, Status> {
        let identity = caller(&request)?;
        let header = request.into_inner().header.unwrap_or_default();
        let work = create::create(self.0.clone(), identity, header);
        let UploadState { upload, job, cursor } = self.0.run_detached(work).await?;
        Ok(Response::new(CreateUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn write_upload(
        &self,
        request: Request<Streaming<WriteUploadRequest>>,
    ) -> Result<Response<WriteUploadResponse>, Status> {
        let identity = caller(&request)?;
        // To its end also when the caller goes away: what came is kept.
        let work = write::write(self.0.clone(), identity, request.into_inner());
        let UploadState { upload, job, cursor } = self.0.run_detached(work).await?;
        Ok(Response::new(WriteUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn get_upload(&self, request: Request<GetUploadRequest>) -> Result<Response<GetUploadResponse>, Status> {
        let identity = caller(&request)?;
        let GetUploadRequest { upload_id, owner } = request.get_ref();
        let key = UploadKey::read(&identity, owner, upload_id)?;
        let found = self.0.run_detached(finish::state(self.0.clone(), identity, key)).await?;
        let UploadState { upload, job, cursor } = found;
        Ok(Response::new(GetUploadResponse { upload: Some(upload), job, cursor }))
    }

    async fn delete_upload(
        &self,
        request: Request<DeleteUploadRequest>,
    ) -> Result<Response<DeleteUploadResponse>, Status> {
        let identity = caller(&request)?;
        let DeleteUploadRequest { upload_id, owner } = request.get_ref();
        audit::note_target(upload_id);
        let key = UploadKey::read(&identity, owner, upload_id)?;
        let services = self.0.clone();
        self.0
            .run_detached(async move {
                let _turn = key.turn(&services).await;
                if let Some(finished) = services.engine.get(&key.id) {
                    let (job, state) = (key.id.clone(), finished.current.job.state);
                    return Err(Error::from(Refused::JobState { job, state, needs: IS_A_JOB }));
                }
                let held = stored_upload::find(&services, &key).await?;
                let StoredUpload { path, .. } = held.ok_or_else(|| key.not_found())?;
                services.objects.remove_upload(&path).await
            })
            .await?;
        Ok(Response::new(DeleteUploadResponse {}))
    }
}
