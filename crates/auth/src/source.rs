//! Where an issuer's keys come from: a file, or a URL that is fetched.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use crate::TrustError;
use crate::keys::{Keys, KeysError};

/// A set that is larger is not read.
const MAX_SET_BYTES: usize = 1 << 20;
/// How long an issuer may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A file or a URL.
#[derive(Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Url { url: reqwest::Url, client: reqwest::Client },
}

#[derive(Debug)]
pub(crate) struct FetchedKeys {
    pub(crate) keys: Keys,
    from: String,
}

impl Source {
    pub(crate) fn new(from: &str) -> Result<Self, TrustError> {
        if !from.contains("://") {
            return Ok(Self::File(from.into()));
        }
        let refuse = |reason: String| TrustError::Fetch { url: without_secrets(from), reason };
        let url: reqwest::Url = from.parse().map_err(|error| refuse(format!("not a URL: {error}")))?;
        let local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            return Err(TrustError::Insecure(without_secrets(from)));
        }
        let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).redirect(reqwest::redirect::Policy::none());
        let client = client.build().map_err(|error| refuse(chain(&error)))?;
        Ok(Self::Url { url, client })
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::File(_))
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url { url, .. } => without_secrets(url.as_str()),
        }
    }

    pub(crate) async fn read(&self) -> Result<FetchedKeys, TrustError> {
        let from = self.name();
        let text = match self {
            Self::File(path) => tokio::fs::read_to_string(path)
                .await
                .map_err(|source| TrustError::File { path: path.clone(), source })?,
            Self::Url { url, client } => {
                fetch(client, url).await.map_err(|reason| TrustError::Fetch { url: from.clone(), reason })?
            }
        };
        FetchedKeys::parse(&text, from)
    }

    /// Whether a file can be used. A URL is not asked.
    pub(crate) fn check(&self) -> Result<(), TrustError> {
        let Self::File(path) = self else { return Ok(()) };
        let text = std::fs::read_to_string(path).map_err(|source| TrustError::File { path: path.clone(), source })?;
        FetchedKeys::parse(&text, self.name())?.not_empty().map(drop)
    }
}

impl FetchedKeys {
    fn parse(text: &str, from: String) -> Result<Self, TrustError> {
        match Keys::parse_set(text) {
            Ok(keys) => Ok(Self { keys, from }),
            Err(source) => Err(TrustError::Keys { from, source }),
        }
    }

    /// Refuses a set without keys: at a start that is a mistake.
    pub(crate) fn not_empty(self) -> Result<Keys, TrustError> {
        if self.keys.is_empty() {
            return Err(TrustError::Keys { from: self.from, source: KeysError::Empty });
        }
        Ok(self.keys)
    }
}

async fn fetch(client: &reqwest::Client, url: &reqwest::Url) -> Result<String, String> {
    let failed = |error: reqwest::Error| chain(&error.without_url());
    let mut answer = client.get(url.clone()).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        if bytes.len() + piece.len() > MAX_SET_BYTES {
            return Err(format!("the answer has more than {MAX_SET_BYTES} bytes"));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| "the answer is not UTF-8".into())
}

/// An error with its causes: the outermost alone says only that sending failed.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// A URL without its user, password, query and fragment.
fn without_secrets(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (scheme, rest) = url[..end].split_once("://").unwrap_or(("", &url[..end]));
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_a_url_is_not_shown() {
        for (url, shown) in [
            ("https://u:p@id.example/keys?api_key=s#t", "https://id.example/keys"),
            ("https://id.example", "https://id.example"),
            ("https://u@id.example?x=/@", "https://id.example"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
