//! Stores by their URL, with bounds on how long they may take.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::credentials::CredentialsFile;
use super::open_error::OpenError;
use crate::fault::error_chain;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a store may be silent: before it answers, and between two pieces of an answer. There is no bound on the whole of
/// an answer, because who reads it may be slow. A store's own variables (`AWS_READ_TIMEOUT`, `AWS_TIMEOUT`) count more.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// A request that failed is repeated this often, and not after this long: callers wait for it. All pauses together take at
/// most 6 s, so that a probe still learns why.
const RETRIES: usize = 6;
const RETRY_WITHIN: Duration = Duration::from_secs(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Names the file with credentials where no flag does, for all programs that speak S3.
const SHARED_CREDENTIALS: &str = "AWS_SHARED_CREDENTIALS_FILE";
/// What else AWS' programs look at before that file.
const OTHER_CREDENTIALS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"];

/// A store and the folder in it.
pub(super) struct Opened {
    pub store: Arc<dyn ObjectStore>,
    pub path: Path,
    /// The same store, where it is S3: it can do more.
    pub s3: Option<Arc<AmazonS3>>,
}

/// Settings of a store from the environment, as its service defines them.
macro_rules! from_environment {
    ($builder:ty, $url:expr, $prefix:expr) => {{
        let builder = <$builder>::new().with_url($url.to_string()).with_client_options(client()).with_retry(retry());
        variables($prefix)?.into_iter().fold(builder, |builder, (name, value)| match name.to_lowercase().parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        })
    }};
}

/// Opens a store. The flag names a file with credentials.
pub(super) fn open(url: &Url, credentials: Option<&FilePath>) -> Result<Opened, OpenError> {
    let refuse = |reason: String| OpenError::Url { url: url.to_string(), reason };
    let failed = |error: object_store::Error| refuse(error_chain(&error));
    let (scheme, path) = ObjectStoreScheme::parse(url).map_err(|error| failed(error.into()))?;
    let path = Path::parse(path).map_err(|error| failed(error.into()))?;
    if credentials.is_some() && scheme != ObjectStoreScheme::AmazonS3 {
        return Err(refuse(
            "--objects-credentials-file is for s3:// alone; Google takes GOOGLE_APPLICATION_CREDENTIALS, Azure AZURE_…"
                .into(),
        ));
    }
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let s3 = Arc::new(s3(url, credentials)?.build().map_err(failed)?);
            return Ok(Opened { store: s3.clone(), path, s3: Some(s3) });
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            Arc::new(from_environment!(GoogleCloudStorageBuilder, url, "GOOGLE_").build().map_err(failed)?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            Arc::new(from_environment!(MicrosoftAzureBuilder, url, "AZURE_").build().map_err(failed)?)
        }
        ObjectStoreScheme::Http => {
            let client = client().with_allow_http(url.scheme() == "http");
            let builder = HttpBuilder::new().with_url(&url[..url::Position::BeforePath]);
            Arc::new(builder.with_client_options(client).with_retry(retry()).build().map_err(failed)?)
        }
        _ => object_store::parse_url(url).map_err(failed)?.0.into(),
    };
    Ok(Opened { store, path, s3: None })
}

fn s3(url: &Url, credentials: Option<&FilePath>) -> Result<AmazonS3Builder, OpenError> {
    let builder = from_environment!(AmazonS3Builder, url, "AWS_");
    let are_elsewhere = OTHER_CREDENTIALS.iter().any(|name| std::env::var_os(name).is_some());
    let shared = std::env::var_os(SHARED_CREDENTIALS).filter(|_| !are_elsewhere);
    let file = match (credentials, &shared) {
        (Some(path), _) => CredentialsFile::open("--objects-credentials-file", path)?,
        (None, Some(path)) => CredentialsFile::open(SHARED_CREDENTIALS, FilePath::new(path))?,
        (None, None) => return Ok(builder),
    };
    Ok(builder.with_credentials(Arc::new(file)))
}

fn client() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(CONNECT_WITHIN).with_read_timeout(SILENT_FOR).with_timeout_disabled()
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: LONGEST_PAUSE, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_WITHIN }
}

/// The variables that begin so. Others are not looked at: `TOKEN` or `ENDPOINT` may be anybody's.
fn variables(prefix: &str) -> Result<Vec<(String, String)>, OpenError> {
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let named =
        all.filter(|(name, _)| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
    named
        .map(|(name, value)| match value.into_string() {
            // A line end that came with a secret would end up in a header.
            Ok(value) if !value.contains(char::is_control) => Ok((name, value)),
            _ => Err(OpenError::Variable { name }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, credentials: Option<&FilePath>) -> String {
        open(&url.parse().unwrap(), credentials).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_file_of_credentials_is_for_s3_and_must_be_there() {
        let missing = FilePath::new("/nowhere/credentials");
        let refused = refusal("s3://bucket/here", Some(missing));
        assert!(refused.starts_with("--objects-credentials-file /nowhere/credentials cannot be used: "), "{refused}");
        assert!(refusal("gs://bucket", Some(missing)).contains("is for s3:// alone"));
    }
}
