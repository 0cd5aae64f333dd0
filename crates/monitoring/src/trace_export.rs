//! Traces to a collector: OTLP as protobuf over HTTP, from a thread of its own.
//!
//! Spans wait for it in a queue that is bounded, and are dropped when it is full: nothing ever waits for a collector.

use std::time::Duration;

use courant_runtime::logging::Occasional;
use courant_runtime::traces::{Ids, install};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter as Export,
};
use parking_lot::Mutex;
use reqwest::Url;

/// Spans that wait to be sent. More are dropped.
const QUEUE: usize = 8192;
/// Spans that are sent at once, and how long one waits for others.
const BATCH: (usize, Duration) = (512, Duration::from_secs(1));
/// How long the collector may take to connect and to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a program that ends waits for the last spans to be taken.
const FLUSH: Duration = Duration::from_secs(2);
/// Where a collector takes traces, if its URL does not say.
const PATH: &str = "/v1/traces";

/// Where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The collector, over HTTP; without a path `/v1/traces` is appended.
    pub endpoint: String,
    /// Of the traces that begin here, the share that is recorded, 0 to 1. Those that others began are recorded as they say.
    pub ratio: f64,
}

/// Traces that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It is no URL.
    #[error("--otlp-endpoint {0:?} is not the URL of a collector; write it like http://collector:4318")]
    Endpoint(String),
    /// The client cannot be set up.
    #[error("--otlp-endpoint: {0}")]
    Client(#[from] reqwest::Error),
    /// The exporter cannot be set up.
    #[error("--otlp-endpoint: {0}")]
    Exporter(#[from] ExporterBuildError),
}

impl TraceSettings {
    /// What would keep it from starting.
    pub fn check(&self) -> Result<(), TraceError> {
        self.url().map(drop)
    }

    fn url(&self) -> Result<Url, TraceError> {
        let wrong = || TraceError::Endpoint(self.endpoint.clone());
        let mut url = Url::parse(&self.endpoint).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong());
        }
        if url.path() == "/" {
            url.set_path(PATH);
        }
        Ok(url)
    }
}

/// Sends spans until it is stopped.
#[derive(Debug)]
pub struct Running(SdkTracerProvider);

/// Begins to record spans, for the rest of the process. Not on a thread of the async runtime.
pub fn start(settings: &TraceSettings, service: &'static str, version: &'static str) -> Result<Running, TraceError> {
    let url = settings.url()?;
    let client = reqwest::blocking::Client::builder().timeout(TIMEOUT).connect_timeout(TIMEOUT).build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(TIMEOUT)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH.0)
        .with_scheduled_delay(BATCH.1)
        .build();
    let exporter = Reporting { exporter, failures: Mutex::default() };
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", version))
        .with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.ratio))))
        .with_id_generator(Ids::default())
        .with_resource(resource)
        .build();
    install(provider.clone());
    Ok(Running(provider))
}

impl Running {
    /// Sends what is left, for at most two seconds. Not on a thread of the async runtime.
    pub fn stop(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Says in the log when spans cannot be sent: they are dropped.
#[derive(Debug)]
struct Reporting {
    exporter: SpanExporter,
    failures: Mutex<Occasional>,
}

impl Export for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported {
            self.failures.lock().log(|left_out| {
                tracing::warn!(%error, spans, left_out, "spans could not be sent to the collector and are dropped");
            });
        }
        exported
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(endpoint: &str) -> Result<String, String> {
        let settings = TraceSettings { endpoint: endpoint.to_owned(), ratio: 1.0 };
        settings.url().map(String::from).map_err(|error| error.to_string())
    }

    #[test]
    fn the_path_is_that_of_the_protocol_unless_another_is_named() {
        assert_eq!(url("http://localhost:4318").unwrap(), "http://localhost:4318/v1/traces");
        assert_eq!(url("https://c/otlp/v1/traces").unwrap(), "https://c/otlp/v1/traces");
    }

    #[test]
    fn what_is_no_url_is_refused_with_an_example() {
        for wrong in ["", "localhost:4318", "grpc://localhost:4317", "http://"] {
            assert!(url(wrong).unwrap_err().contains("http://collector:4318"), "{wrong}");
        }
    }
}
