//! Stores by their URL, with bounds on how long they may take.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long one request may take, with its answer. `TIMEOUT`-like variables of the store's own (`AWS_TIMEOUT`) count more.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);
/// A request that failed is repeated this often, and not after this long: callers wait for it.
const RETRIES: usize = 4;
const RETRY_WITHIN: Duration = Duration::from_secs(20);

/// A store and the folder in it.
pub(super) type Opened = (Arc<dyn ObjectStore>, Path);

macro_rules! build {
    ($builder:ty, $url:expr) => {{
        let options = ClientOptions::new().with_connect_timeout(CONNECT_WITHIN).with_timeout(REQUEST_WITHIN);
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_WITHIN, ..RetryConfig::default() };
        let builder = <$builder>::new().with_url($url.to_string()).with_client_options(options).with_retry(retry);
        // Credentials and settings come from the environment as those services define.
        let builder = std::env::vars().fold(builder, |builder, (name, value)| match name.to_lowercase().parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        });
        Arc::new(builder.build()?)
    }};
}

pub(super) fn open(url: &Url) -> Result<Opened, object_store::Error> {
    let (scheme, path) = ObjectStoreScheme::parse(url)?;
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => build!(AmazonS3Builder, url),
        ObjectStoreScheme::GoogleCloudStorage => build!(GoogleCloudStorageBuilder, url),
        ObjectStoreScheme::MicrosoftAzure => build!(MicrosoftAzureBuilder, url),
        ObjectStoreScheme::Http => build!(HttpBuilder, &url[..url::Position::BeforePath]),
        _ => {
            let (store, _) = object_store::parse_url(url)?;
            store.into()
        }
    };
    Ok((store, Path::parse(path)?))
}
