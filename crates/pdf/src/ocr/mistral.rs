//! Mistral's OCR service. Pictures of pages leave the house; nobody gets it without having asked for it by name.

mod wire;

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use courant_runtime::{doubled, jitter};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use url::{Host, Url};

use super::{OcrEngine, OcrError, Picture, Reading};
use crate::secret::SecretText;
use crate::supervisor::Supervisor;

/// The tool of zones read by Mistral.
pub const TOOL: &str = "ocr:mistral";
/// A server may ask us to wait no longer than this.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How the service is used.
#[derive(Clone, Debug, PartialEq)]
pub struct MistralConfig {
    pub key: SecretText,
    /// The service. Default `https://api.mistral.ai/`.
    pub url: Url,
    /// The model. Default `mistral-ocr-latest`.
    pub model: String,
    /// How long one request may take. Default 120 s.
    pub timeout: Duration,
    /// How often a page is tried again when the service is busy or away. Default 4.
    pub retries: u32,
    /// The first wait before it is tried again; doubles each time. Default 1 s.
    pub backoff: Duration,
    /// The largest answer in bytes. Default 16 MiB.
    pub answer_bytes: usize,
    /// What a thousand pages cost, in US dollars, for the log. Default 0: unknown.
    pub usd_per_1000_pages: f64,
}

/// Why the service cannot be used as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MistralError {
    #[error("Mistral's OCR needs a key; put it into COURANT_MISTRAL_API_KEY")]
    NoKey,
    #[error("{0:?} is not the address of a service; it looks like https://api.mistral.ai")]
    Address(String),
    /// Key and documents would travel in the clear.
    #[error("{0} is not encrypted; documents and the key go over https:// only, except on this machine")]
    InTheClear(Url),
}

impl MistralConfig {
    /// With this key and the defaults.
    pub fn new(key: SecretText, url: &str) -> Result<Self, MistralError> {
        if key.expose().trim().is_empty() {
            return Err(MistralError::NoKey);
        }
        let url = Url::parse(url).ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| MistralError::Address(String::new()))?;
        let here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        if url.scheme() == "http" && !here {
            return Err(MistralError::InTheClear(url));
        }
        Ok(Self {
            key,
            url,
            model: "mistral-ocr-latest".into(),
            timeout: Duration::from_secs(120),
            retries: 4,
            backoff: Duration::from_secs(1),
            answer_bytes: 16 << 20,
            usd_per_1000_pages: 0.0,
        })
    }
}

#[derive(Clone, Debug)]
pub struct Mistral {
    config: MistralConfig,
    client: reqwest::Client,
}

/// What came of one try.
enum CallOutcome {
    Answer(Vec<u8>),
    Again(OcrError, Option<Duration>),
}

impl Mistral {
    pub fn new(config: MistralConfig) -> Self {
        Self { config, client: reqwest::Client::new() }
    }

    async fn once(&self, body: &serde_json::Value) -> Result<CallOutcome, OcrError> {
        let url = self.config.url.join("v1/ocr").map_err(|error| OcrError::Unavailable(error.to_string()))?;
        let request = self.client.post(url).bearer_auth(self.config.key.expose()).timeout(self.config.timeout);
        let response = match request.json(body).send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return Ok(CallOutcome::Again(OcrError::TimedOut, None)),
            Err(error) => return Ok(CallOutcome::Again(OcrError::Unavailable(error.without_url().to_string()), None)),
        };
        let (status, wait) = (response.status(), wait_asked(&response));
        let answer = match self.bounded(response).await {
            Err(OcrError::Failed(why)) => return Ok(CallOutcome::Again(OcrError::Failed(why), None)),
            other => other?,
        };
        if status.is_success() {
            return Ok(CallOutcome::Answer(answer));
        }
        let why = format!("{status}: {}", String::from_utf8_lossy(&answer).chars().take(300).collect::<String>());
        if is_retryable(status) {
            return Ok(CallOutcome::Again(OcrError::Unavailable(why), wait));
        }
        Err(OcrError::Refused(why))
    }

    /// The answer, if it is not too large.
    async fn bounded(&self, mut response: reqwest::Response) -> Result<Vec<u8>, OcrError> {
        let mut answer = Vec::new();
        let broken = |error: reqwest::Error| OcrError::Failed(error.without_url().to_string());
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            answer.extend_from_slice(&piece);
            if answer.len() > self.config.answer_bytes {
                return Err(OcrError::ProtocolViolation(format!("more than {} bytes", self.config.answer_bytes)));
            }
        }
        Ok(answer)
    }

    /// How long to wait before the next try: what was asked, or twice as long as the last time and up to as long again.
    fn wait(&self, tried: u32, asked: Option<Duration>) -> Duration {
        let least = doubled(self.config.backoff, tried, MAX_WAIT);
        asked.unwrap_or_else(|| least + jitter(least)).min(MAX_WAIT)
    }
}

#[async_trait]
impl OcrEngine for Mistral {
    fn tool(&self) -> &'static str {
        TOOL
    }

    async fn read(&self, picture: &Picture, _: &[String], _: &Supervisor) -> Result<Reading, OcrError> {
        let body = wire::request(&self.config.model, &STANDARD.encode(&picture.png));
        let mut tried = 0;
        let answer = loop {
            match self.once(&body).await? {
                CallOutcome::Answer(answer) => break answer,
                CallOutcome::Again(error, _) if tried >= self.config.retries => return Err(error),
                CallOutcome::Again(error, asked) => {
                    let wait = self.wait(tried, asked);
                    tracing::info!(%error, tried, ?wait, "the OCR service is asked again");
                    tokio::time::sleep(wait).await;
                    tried += 1;
                }
            }
        };
        self::answer(&answer, self.config.usd_per_1000_pages)
    }
}

/// Reads the body of an answer.
pub(crate) fn answer(body: &[u8], usd_per_1000_pages: f64) -> Result<Reading, OcrError> {
    let answer = serde_json::from_slice(body).map_err(|error| OcrError::ProtocolViolation(error.to_string()))?;
    wire::reading(answer, usd_per_1000_pages)
}

/// Whether it may be otherwise a little later.
fn is_retryable(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) || status.is_server_error()
}

fn wait_asked(response: &reqwest::Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_documents_do_not_travel_in_the_clear() {
        let config = |key: &str, url: &str| MistralConfig::new(SecretText::new(key), url);
        assert!(config("k", "https://api.mistral.ai").is_ok() && config("k", "http://127.0.0.1:1").is_ok());
        assert!(matches!(config("k", "http://api.mistral.ai"), Err(MistralError::InTheClear(_))));
        assert!(matches!(config(" ", "https://api.mistral.ai"), Err(MistralError::NoKey)));
        assert!(matches!(config("k", "file:///etc/passwd"), Err(MistralError::Address(_))));
        let shown = format!("{:?}", Mistral::new(config("very secret", "https://api.mistral.ai").unwrap()));
        assert!(!shown.contains("very secret"), "{shown}");
    }

    #[test]
    fn waits_grow_and_end() {
        let config = MistralConfig::new(SecretText::new("k"), "https://api.mistral.ai").unwrap();
        let mistral = Mistral::new(config);
        for tried in 0..40 {
            let least = Duration::from_secs(1 << tried.min(6)).min(MAX_WAIT);
            let wait = mistral.wait(tried, None);
            assert!(wait >= least && wait <= MAX_WAIT, "{tried}: {wait:?}");
        }
        assert_eq!(mistral.wait(0, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(mistral.wait(0, Some(Duration::from_secs(9999))), MAX_WAIT);
    }
}
