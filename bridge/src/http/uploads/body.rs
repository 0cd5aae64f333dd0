//! From a body to the server. When the body breaks off, the stream to the server ends in order, and what came is kept.

use std::sync::Arc;

use axum::body::BodyDataStream;
use bytes::Bytes;
use courant_proto::v1::write_upload_request::Part;
use courant_proto::v1::{self, ErrorReason};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::status::{UploadStatus, status};
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::http::document_body::{PIECE, drain};
use crate::http::pieces::IN_FLIGHT;
use crate::ledger::Share;
use crate::request::body_timeout::{BodyTimeout, TooSlow};
use crate::request::caller::Caller;
use crate::server::UserToken;

/// A body on its way to the server.
pub struct UploadBody {
    app: Arc<App>,
    token: UserToken,
    at: v1::WriteUploadHeader,
    left: u64,
    timeout: BodyTimeout,
    /// The user's share in uploads.
    _share: Share,
}

impl UploadBody {
    /// To that place of an upload.
    pub fn new(app: &Arc<App>, caller: &Caller, at: v1::WriteUploadHeader, share: Share) -> Self {
        let (left, timeout) = (app.config.limits.upload_bytes, BodyTimeout::new(&app.config));
        Self { app: app.clone(), token: caller.token.clone(), at, left, timeout, _share: share }
    }

    /// To its end also when the client goes away: what it sent is kept.
    pub async fn run(self, body: BodyDataStream) -> Result<UploadStatus, ApiError> {
        let app = self.app.clone();
        match app.spawn(self.stream_body(body)).await {
            Ok(Some(done)) => done,
            Ok(None) | Err(_) => {
                Err(ApiError::new(Code::Server(ErrorReason::Internal), "the upload failed; the bridge's log says more"))
            }
        }
    }

    async fn stream_body(mut self, mut body: BodyDataStream) -> Result<UploadStatus, ApiError> {
        let (parts, stream) = mpsc::channel(IN_FLIGHT);
        let first = Part::Header(self.at.clone());
        let messages = futures::stream::iter([first]).chain(ReceiverStream::new(stream));
        let messages = messages.map(|part| v1::WriteUploadRequest { part: Some(part) });
        let request = self.app.server.stream_as(messages, &self.token)?;
        let mut uploads = self.app.server.bulk_uploads();
        let call = uploads.write_upload(request);
        tokio::pin!(call);
        let sent = tokio::select! {
            // Before it got everything: it has its reason.
            answer = &mut call => {
                drop(parts);
                drain(body, self.app.config.times.body).await;
                return Ok(status(answer?.into_inner()));
            }
            sent = self.send(&mut body, &parts) => sent,
        };
        drop(parts);
        let answer = call.await?.into_inner();
        sent.map(|()| status(answer))
    }

    async fn send(&mut self, body: &mut BodyDataStream, parts: &mpsc::Sender<Part>) -> Result<(), ApiError> {
        while let Some(mut piece) = next(body, &mut self.timeout).await? {
            let limit = self.app.config.limits.upload_bytes;
            self.left = self.left.checked_sub(piece.len() as u64).ok_or_else(|| {
                let message = format!("a document may have at most {limit} bytes here");
                ApiError::new(Code::Server(ErrorReason::DocumentTooLarge), message)
            })?;
            while !piece.is_empty() {
                let chunk = piece.split_to(piece.len().min(PIECE));
                if parts.send(Part::Chunk(chunk)).await.is_err() {
                    // The server has answered already; its answer says why.
                    return std::future::pending().await;
                }
            }
        }
        Ok(())
    }
}

/// Waits for the client within its time.
async fn next(body: &mut BodyDataStream, timeout: &mut BodyTimeout) -> Result<Option<Bytes>, ApiError> {
    let broken = || ApiError::new(Code::BadMessage, "the upload broke off; ask how far it is and go on there");
    let size = |piece: &Option<Result<Bytes, _>>| piece.iter().flatten().map(Bytes::len).sum();
    let piece = timeout.wait(body.next(), size).await.map_err(|TooSlow| broken())?;
    piece.transpose().map_err(|_| broken())
}
