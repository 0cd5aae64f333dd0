//! What requests say in their headers.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use courant_proto::v1::{self, ErrorReason};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};

use crate::api_error::{ApiError, Code};
use crate::request::query;

/// The version of the protocol.
pub const VERSION: &str = "1.0.0";
const CONTENT: &str = "application/offset+octet-stream";
/// What clients say of a file that nobody needs here.
const IDLE: [&str; 3] = ["filetype", "type", "relativePath"];

/// Refuses other versions of the protocol.
pub fn check_version(headers: &HeaderMap) -> Result<(), ApiError> {
    match text(headers, "tus-resumable")? {
        Some(VERSION) => Ok(()),
        _ => Err(ApiError::new(Code::TusVersion, "send the header Tus-Resumable: 1.0.0")),
    }
}

/// Refuses bodies that say they are something else.
pub fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) {
        Some(kind) if kind.eq_ignore_ascii_case(CONTENT) => Ok(()),
        _ => Err(ApiError::new(Code::ContentType, "send the header Content-Type: application/offset+octet-stream")),
    }
}

/// Whether there is a body.
pub fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Where the body belongs.
pub fn offset(headers: &HeaderMap) -> Result<i64, ApiError> {
    number(headers, "Upload-Offset")?.ok_or_else(|| ApiError::field("Upload-Offset", "must be where the body belongs"))
}

/// What is to be done with the document.
pub fn submission(headers: &HeaderMap, most: u64) -> Result<v1::SubmitJobHeader, ApiError> {
    if headers.contains_key("upload-defer-length") {
        return Err(ApiError::field("Upload-Defer-Length", "is not known here; send Upload-Length"));
    }
    if headers.contains_key("upload-concat") {
        return Err(ApiError::field("Upload-Concat", "is not known here; send the document as one upload"));
    }
    let length = number(headers, "Upload-Length")?;
    let length = length.ok_or_else(|| ApiError::field("Upload-Length", "must be the size of the document"))?;
    if length == 0 {
        let message = "the document is empty; there is nothing to process";
        return Err(ApiError::new(Code::Server(ErrorReason::DocumentEmpty), message));
    }
    if length.unsigned_abs() > most {
        let message = format!("a document may have at most {most} bytes here");
        return Err(ApiError::new(Code::Server(ErrorReason::DocumentTooLarge), message));
    }
    let (mut header, mut seen) = (v1::SubmitJobHeader::default(), HashSet::new());
    for pair in text(headers, "upload-metadata")?.unwrap_or_default().split(',').map(str::trim) {
        let (name, value) = pair.split_once(' ').unwrap_or((pair, ""));
        if !name.is_empty() {
            if !seen.insert(name) {
                return Err(ApiError::field("Upload-Metadata", "must have no name twice"));
            }
            field(&mut header, name, value.trim())?;
        }
    }
    if header.document_bytes != 0 && header.document_bytes != length {
        return Err(ApiError::field("documentBytes", "is not what Upload-Length says"));
    }
    header.document_bytes = length;
    Ok(header)
}

/// The names are those of the parts of a form; clients of tus write `filename`, and can write no name twice.
fn field(header: &mut v1::SubmitJobHeader, name: &str, value: &str) -> Result<(), ApiError> {
    let value = BASE64.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // What was wrong with it is not repeated: it may be the password.
    let value = value.ok_or_else(|| ApiError::field("Upload-Metadata", "must be names with UTF-8 text in base64"))?;
    match name {
        "filename" => header.filename = value,
        "password" => header.password = Some(v1::Password { text: value }),
        "labels" => {
            let labels = serde_json::from_str(&value);
            header.labels = labels.map_err(|_| ApiError::field("labels", "must be JSON like {\"team\":\"red\"}"))?;
        }
        name if IDLE.contains(&name) => {}
        name => query::submission(header, name, value)?,
    }
    Ok(())
}

fn number(headers: &HeaderMap, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(value) = text(headers, name)? else { return Ok(None) };
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.map(Some).ok_or_else(|| ApiError::field(name, "must be a whole number that is not negative"))
}

/// A header that may be there once.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut all = headers.get_all(name).iter();
    match (all.next().map(|value| value.to_str()), all.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        _ => Err(ApiError::field(name, "must be there once, in plain ASCII")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn read(metadata: &str) -> Result<v1::SubmitJobHeader, ApiError> {
        submission(&headers(&[("upload-length", "12"), ("upload-metadata", metadata)]), 100)
    }

    #[test]
    fn metadata_has_the_names_of_a_form() {
        let header =
            read("filename csOpcG9ydC5wZGY=,lane cHJlbWl1bQ==, type YQ==,labels eyJ0ZWFtIjoicmVkIn0=").unwrap();
        assert_eq!(
            (header.filename.as_str(), header.lane(), header.document_bytes),
            ("réport.pdf", v1::Lane::Premium, 12)
        );
        assert_eq!(header.labels["team"], "red");
        assert_eq!(read("password cHc=").unwrap().password.unwrap().text, "pw");
        assert_eq!(read("").unwrap().filename, "");
        for (bad, field) in [
            ("lain YQ==", "lain"),
            ("lane YQ==", "lane"),
            ("filename !", "Upload-Metadata"),
            ("filename /w==", "Upload-Metadata"),
            ("labels YQ==", "labels"),
            ("documentBytes MTM=", "documentBytes"),
            ("filename YQ==,lane cHJlbWl1bQ==,filename Yg==", "Upload-Metadata"),
        ] {
            assert_eq!(read(bad).unwrap_err().fields[0].0, field, "{bad}");
        }
    }

    #[test]
    fn a_length_is_needed_and_may_not_be_too_much() {
        let length = |pairs: &[(&'static str, &str)]| submission(&headers(pairs), 100).unwrap_err().code.name();
        for bad in ["", "-1", "+5", "1e3", "99999999999999999999"] {
            assert_eq!(length(&[("upload-length", bad)]), "INVALID_FIELD", "{bad}");
        }
        assert_eq!(length(&[]), "INVALID_FIELD");
        assert_eq!(length(&[("upload-length", "0")]), "DOCUMENT_EMPTY");
        assert_eq!(length(&[("upload-defer-length", "1")]), "INVALID_FIELD");
        assert_eq!(length(&[("upload-length", "5"), ("upload-concat", "partial")]), "INVALID_FIELD");
        assert_eq!(length(&[("upload-length", "101")]), "DOCUMENT_TOO_LARGE");
    }
}
