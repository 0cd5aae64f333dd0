//! Uploads in parts that a server began in S3 and did not live to finish: their parts take space, and no list of objects
//! shows them. The library aborts them, but does not look for them.

use std::time::{Duration, SystemTime};

use http::Method;
use object_store::aws::AmazonS3;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use serde::Deserialize;

/// They are aborted when they are older than this. The slowest sender of the largest document takes less.
const ABANDONED_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long one list may take, and how long its signature counts.
const LIST_WITHIN: Duration = Duration::from_secs(30);
/// What one list may have; of a thousand uploads it has about a fifth of it.
const LIST_BYTES: usize = 4 << 20;
/// How many lists are read at most in one sweep.
const LISTS: usize = 100;

/// Why they could not be looked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum SweepError {
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// The address is left out, for it has a signature.
    #[error("unfinished uploads could not be listed: {0}")]
    Request(reqwest::Error),
    #[error("unfinished uploads could not be listed: the store answered {0}")]
    Answer(String),
}

/// A list of unfinished uploads, or the next part of it.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
struct Listing {
    upload: Vec<Unfinished>,
    is_truncated: bool,
    next_key_marker: String,
    next_upload_id_marker: String,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
struct Unfinished {
    key: String,
    upload_id: String,
    /// When it was begun, by the store's clock.
    initiated: String,
}

/// Aborts those below a folder that are old. How many that were.
pub(super) async fn abort_abandoned(s3: &AmazonS3, folder: &Path, now: SystemTime) -> Result<usize, SweepError> {
    let client = reqwest::Client::builder().timeout(LIST_WITHIN).build().map_err(SweepError::Request)?;
    let (mut aborted, mut after) = (0, (String::new(), String::new()));
    for _ in 0..LISTS {
        let listing = list(s3, &client, folder, &after).await?;
        for upload in listing.upload.iter().filter(|upload| upload.is_abandoned(now)) {
            let Ok(path) = Path::parse(&upload.key) else { continue };
            // Somebody else may have done so meanwhile.
            match s3.abort_multipart(&path, &upload.upload_id).await {
                Ok(()) => aborted += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        after = (listing.next_key_marker, listing.next_upload_id_marker);
        if !listing.is_truncated || after.0.is_empty() {
            break;
        }
    }
    Ok(aborted)
}

impl Unfinished {
    /// One of unknown age is left alone.
    fn is_abandoned(&self, now: SystemTime) -> bool {
        let begun = humantime::parse_rfc3339_weak(&self.initiated).ok();
        begun.and_then(|begun| now.duration_since(begun).ok()).is_some_and(|age| age > ABANDONED_AFTER)
    }
}

async fn list(
    s3: &AmazonS3,
    client: &reqwest::Client,
    folder: &Path,
    after: &(String, String),
) -> Result<Listing, SweepError> {
    let prefix = if folder.as_ref().is_empty() { String::new() } else { format!("{folder}/") };
    let mut query = vec![("uploads", ""), ("prefix", prefix.as_str())];
    if !after.0.is_empty() {
        query.extend([("key-marker", after.0.as_str()), ("upload-id-marker", after.1.as_str())]);
    }
    let options = SignedUrlOptions::default().with_query(query);
    let url = s3.signed_url_opts(Method::GET, &Path::default(), LIST_WITHIN, &options).await?;
    let failed = |error: reqwest::Error| SweepError::Request(error.without_url());
    let mut answer = client.get(url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(SweepError::Answer(answer.status().to_string()));
    }
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        if text.len() + piece.len() > LIST_BYTES {
            return Err(SweepError::Answer(format!("with more than {LIST_BYTES} bytes")));
        }
        text.extend_from_slice(&piece);
    }
    read(&text)
}

fn read(xml: &[u8]) -> Result<Listing, SweepError> {
    quick_xml::de::from_reader(xml).map_err(|error| SweepError::Answer(format!("what is not understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket><KeyMarker/>
<NextKeyMarker>courant/uploads/2</NextKeyMarker><NextUploadIdMarker>y</NextUploadIdMarker><MaxUploads>2</MaxUploads>
<IsTruncated>true</IsTruncated>
<Upload><Key>courant/uploads/1</Key><UploadId>x</UploadId><Initiator><ID>i</ID></Initiator><StorageClass>STANDARD</StorageClass>
<Initiated>2026-01-01T12:00:00.000Z</Initiated></Upload>
<Upload><Key>courant/uploads/2</Key><UploadId>y</UploadId><Initiated>2026-01-09T12:00:00.000Z</Initiated></Upload>
</ListMultipartUploadsResult>"#;

    #[test]
    fn the_old_ones_of_a_list_are_abandoned_and_those_without_a_time_are_not() {
        let listing = read(LIST.as_bytes()).unwrap();
        assert!(listing.is_truncated);
        assert_eq!((&*listing.next_key_marker, &*listing.next_upload_id_marker), ("courant/uploads/2", "y"));
        let now = humantime::parse_rfc3339_weak("2026-01-09T12:00:01Z").unwrap();
        let old: Vec<_> = listing.upload.iter().filter(|upload| upload.is_abandoned(now)).collect();
        assert_eq!(old.len(), 1);
        assert_eq!((&*old[0].key, &*old[0].upload_id), ("courant/uploads/1", "x"));
        assert!(!Unfinished::default().is_abandoned(now));
        let none = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        assert_eq!(read(none.as_bytes()).unwrap(), Listing::default());
        assert!(read(b"<html>").is_err());
    }
}
