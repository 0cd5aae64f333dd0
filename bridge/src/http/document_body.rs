//! Documents of requests: they stream through to the server, a few pieces at a time.
//!
//! The server takes the end of the stream for the end of the document. So when an upload breaks off, the stream to the
//! server must not end but be cancelled: half a document is never submitted. (The server drops a cancelled call.)

use std::pin::Pin;
use std::sync::Arc;

use axum::body::BodyDataStream;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use bytes::Bytes;
use courant_proto::v1::{self, ErrorReason};
use futures::StreamExt;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::filename;
use super::pieces::{PieceSender, Pieces, pipe};
use crate::api_error::{ApiError, Code};
use crate::app::App;
use crate::ledger::Share;
use crate::request::body_timeout::{BodyTimeout, TooSlow};
use crate::request::caller::Caller;

/// What the server takes in one piece.
pub const PIECE: usize = 1 << 20;
/// The longest text part of a form, in bytes.
const TEXT_PART: usize = 8 << 10;
/// The longest `parameters`, in bytes: what the server takes.
const PARAMETERS: usize = 64 << 10;
/// All text parts of a form together, in bytes.
const TEXT_PARTS: usize = 256 << 10;
/// Read on after a refusal, so that the browser sees the answer and not a reset connection.
const DRAIN: usize = 16 << 20;

/// What a request says of its document, in the query and in the text parts of a form.
pub trait Fields: Send {
    /// One more, in the order in which they come.
    fn set(&mut self, name: &str, value: String) -> Result<(), ApiError>;

    /// Those of the submit.
    fn submit(&mut self) -> &mut v1::SubmitJobHeader;
}

/// Takes the document of a request into a call, which gets all that was said of it, and then the pieces.
pub async fn receive<F, A, C>(
    app: &Arc<App>,
    caller: &Caller,
    mut fields: F,
    request: Request,
    call: impl FnOnce(F, Pieces) -> C,
) -> Result<A, ApiError>
where
    F: Fields,
    C: Future<Output = Result<A, ApiError>>,
{
    let limit = app.config.limits.upload_bytes;
    if content_length(request.headers()).is_some_and(|bytes| bytes > limit.saturating_add(64 << 10)) {
        return Err(too_large(limit));
    }
    let share = match caller.take_upload(app) {
        Ok(share) => share,
        Err(error) => {
            drain(request.into_body().into_data_stream(), app.config.times.body).await;
            return Err(error);
        }
    };
    let timeout = BodyTimeout::new(&app.config);
    let upload = Upload { app: app.clone(), left: limit, text_left: TEXT_PARTS, timeout, _share: share };
    if is_form(request.headers()) {
        return upload.form(fields, request, call).await;
    }
    // Known beforehand, so that the server can refuse it before it is sent.
    let bytes = content_length(request.headers()).filter(|_| fields.submit().document_bytes == 0);
    if let Some(bytes) = bytes {
        fields.submit().document_bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    }
    upload.body(fields, request.into_body().into_data_stream(), call).await
}

struct Upload {
    app: Arc<App>,
    left: u64,
    /// What its text parts may still have, in bytes.
    text_left: usize,
    timeout: BodyTimeout,
    /// The user's share in uploads.
    _share: Share,
}

impl Upload {
    /// The body is the document.
    async fn body<F, A, C: Future<Output = Result<A, ApiError>>>(
        mut self,
        fields: F,
        mut body: BodyDataStream,
        call: impl FnOnce(F, Pieces) -> C,
    ) -> Result<A, ApiError> {
        let (parts, pieces) = pipe();
        let timeout = self.app.config.times.body;
        let sent = async {
            while let Some(piece) = self.piece(body.next()).await?.transpose().map_err(|_| broken_off())? {
                self.send(&parts, piece).await?;
            }
            parts.end().await;
            Ok(())
        };
        let result = async {
            let call = call(fields, pieces);
            tokio::pin!(call);
            match run_beside(call.as_mut(), sent).await? {
                CallProgress::Answered(answer) => Ok(answer),
                CallProgress::Pending => call.await,
            }
        }
        .await;
        if result.is_err() {
            drain(body, timeout).await;
        }
        result
    }

    /// The document is the part `file` of a form; the fields come before it.
    async fn form<F: Fields, A, C: Future<Output = Result<A, ApiError>>>(
        mut self,
        mut fields: F,
        request: Request,
        call: impl FnOnce(F, Pieces) -> C,
    ) -> Result<A, ApiError> {
        let mut form = Multipart::from_request(request, &())
            .await
            .map_err(|error| ApiError::field("body", format!("is not a form: {error}")))?;
        loop {
            let Some(mut field) = self.next(form.next_field()).await?.map_err(|error| form_fault(&error))? else {
                return Err(ApiError::field("file", "the part with the document is missing"));
            };
            if field.name() != Some("file") {
                self.text_part(&mut field, &mut fields).await?;
                continue;
            }
            if fields.submit().filename.is_empty() {
                let plain = || field.file_name().unwrap_or_default().to_owned();
                fields.submit().filename = filename::extended(field.headers())?.unwrap_or_else(plain);
            }
            let (parts, pieces) = pipe();
            let call = call(fields, pieces);
            tokio::pin!(call);
            let file = async {
                while let Some(piece) = self.chunk(&mut field).await? {
                    self.send(&parts, piece).await?;
                }
                Ok(())
            };
            if let CallProgress::Answered(answer) = run_beside(call.as_mut(), file).await? {
                return Ok(answer);
            }
            drop(field);
            let rest = async {
                match self.next(form.next_field()).await?.map_err(|error| form_fault(&error))? {
                    Some(_) => Err(ApiError::field("file", "must be the last part of the form")),
                    None => {
                        parts.end().await;
                        Ok(())
                    }
                }
            };
            return match run_beside(call.as_mut(), rest).await? {
                CallProgress::Answered(answer) => Ok(answer),
                CallProgress::Pending => call.await,
            };
        }
    }

    async fn text_part(&mut self, field: &mut Field<'_>, fields: &mut impl Fields) -> Result<(), ApiError> {
        let name = field.name().unwrap_or_default().to_owned();
        let limit = if name == "parameters" { PARAMETERS } else { TEXT_PART };
        let value = self.text(field, limit).await?;
        if name == "password" {
            fields.submit().password = Some(v1::Password { text: value });
            return Ok(());
        }
        fields.set(&name, value)
    }

    async fn text(&mut self, field: &mut Field<'_>, limit: usize) -> Result<String, ApiError> {
        let mut text = Vec::new();
        while let Some(piece) = self.chunk(field).await? {
            if text.len() + piece.len() > limit {
                return Err(ApiError::field("form", format!("this text part may have at most {limit} bytes")));
            }
            text.extend_from_slice(&piece);
        }
        // A part without text counts, too: there may be no end of them.
        self.text_left = self.text_left.checked_sub(text.len().max(1)).ok_or_else(|| {
            ApiError::field("form", format!("the text parts may have at most {TEXT_PARTS} bytes together"))
        })?;
        String::from_utf8(text).map_err(|_| ApiError::field("form", "a text part is not UTF-8"))
    }

    /// Waits for the client within its time.
    async fn next<T>(&mut self, wait: impl Future<Output = T>) -> Result<T, ApiError> {
        self.timeout.wait(wait, |_| 0).await.map_err(|TooSlow| broken_off())
    }

    /// Waits for a piece of the body.
    async fn piece<E>(
        &mut self,
        wait: impl Future<Output = Option<Result<Bytes, E>>>,
    ) -> Result<Option<Result<Bytes, E>>, ApiError> {
        let size = |piece: &Option<Result<Bytes, E>>| piece.iter().flatten().map(Bytes::len).sum();
        self.timeout.wait(wait, size).await.map_err(|TooSlow| broken_off())
    }

    /// Waits for a piece of a part of the form.
    async fn chunk(&mut self, field: &mut Field<'_>) -> Result<Option<Bytes>, ApiError> {
        let piece = async { field.chunk().await.transpose() };
        self.piece(piece).await?.transpose().map_err(|error| form_fault(&error))
    }

    async fn send(&mut self, parts: &PieceSender, mut piece: Bytes) -> Result<(), ApiError> {
        let limit = self.app.config.limits.upload_bytes;
        self.left = self.left.checked_sub(piece.len() as u64).ok_or_else(|| too_large(limit))?;
        while !piece.is_empty() {
            let chunk = piece.split_to(piece.len().min(PIECE));
            if !parts.send(chunk).await {
                // The server has answered already; its answer says why.
                return std::future::pending().await;
            }
        }
        Ok(())
    }
}

/// Whether the server has answered before it got everything.
enum CallProgress<A> {
    Answered(A),
    Pending,
}

/// Does a step of the upload while the call runs. A failed step makes the caller drop the call, which cancels it.
async fn run_beside<A>(
    call: Pin<&mut impl Future<Output = Result<A, ApiError>>>,
    step: impl Future<Output = Result<(), ApiError>>,
) -> Result<CallProgress<A>, ApiError> {
    tokio::select! {
        answer = call => answer.map(CallProgress::Answered),
        done = step => done.map(|()| CallProgress::Pending),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("multipart/form-data")
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: u64) -> ApiError {
    ApiError::new(
        Code::Server(ErrorReason::DocumentTooLarge),
        format!("a document may have at most {limit} bytes here"),
    )
}

fn broken_off() -> ApiError {
    ApiError::new(Code::BadMessage, "the upload broke off; send it again")
}

fn form_fault(error: &axum::extract::multipart::MultipartError) -> ApiError {
    ApiError::field("body", format!("is not a whole form: {error}"))
}

/// Reads on for a while, so that the client gets to read the answer.
pub async fn drain(mut body: BodyDataStream, timeout: std::time::Duration) {
    let read = async {
        let mut left = DRAIN;
        while let Some(Ok(piece)) = body.next().await
            && left > piece.len()
        {
            left -= piece.len();
        }
    };
    let _ = tokio::time::timeout(timeout.min(std::time::Duration::from_secs(5)), read).await;
}
