//! What answers say in their headers.

use std::time::{Duration, SystemTime};

use courant_proto::v1;
use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderMap, HeaderValue};

use crate::api_error::ApiError;

/// An upload as the server answers.
pub struct UploadStatus {
    upload: v1::Upload,
    /// The job, when it is finished.
    pub job: Option<v1::Job>,
    cursor: String,
}

/// Of any of the server's answers.
pub fn status(answer: impl Into<UploadStatus>) -> UploadStatus {
    answer.into()
}

macro_rules! status_from {
    ($($answer:ident),*) => {$(
        impl From<v1::$answer> for UploadStatus {
            fn from(v1::$answer { upload, job, cursor }: v1::$answer) -> Self {
                Self { upload: upload.unwrap_or_default(), job, cursor }
            }
        }
    )*};
}

status_from!(CreateUploadResponse, WriteUploadResponse, GetUploadResponse);

impl UploadStatus {
    /// How much need not be sent again.
    pub fn offset(&self) -> i64 {
        self.upload.offset_bytes
    }

    /// Whether it is a job by now.
    pub fn is_finished(&self) -> bool {
        self.job.is_some()
    }

    /// Where what comes next belongs.
    pub fn at(&self, owner: &str) -> v1::WriteUploadHeader {
        let (upload_id, owner) = (self.upload.upload_id.clone(), owner.to_owned());
        v1::WriteUploadHeader { upload_id, owner, offset_bytes: self.offset() }
    }

    pub fn location(&self, owner: &str) -> String {
        let id = &self.upload.upload_id;
        if owner.is_empty() {
            return format!("/v1/uploads/{id}");
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("owner", owner).finish();
        format!("/v1/uploads/{id}?{query}")
    }

    /// As the protocol says it, and the job in two of our own.
    pub fn headers(&self) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("upload-offset", HeaderValue::from(self.offset()));
        headers.insert("upload-length", HeaderValue::from(self.upload.length_bytes));
        let mut add = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        if let Some(time) = self.upload.expire_time.as_ref().and_then(moment) {
            add("upload-expires", &httpdate::fmt_http_date(time));
        }
        if let Some(job) = &self.job {
            add("courant-job", &job.job_id);
            add("courant-cursor", &self.cursor);
        }
        Ok(headers)
    }
}

fn moment(time: &prost_types::Timestamp) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(time.seconds).ok()?))
}
