//! The HTTP client for addresses that users choose: no redirects, no private addresses, bounded in time and in what is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Proxy, StatusCode};
use url::Url;

use super::addresses::{AddressProblem, AddressRules};
use crate::config::WebhookConfig;

/// Bytes of an answer's body that are read, so that the connection can be used again. With more it is closed.
const READ_BYTES: usize = 4 << 10;
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Open connections to one host that nothing is sent on.
const IDLE_PER_HOST: usize = 8;
const IDLE_FOR: Duration = Duration::from_secs(30);

/// A client that keeps to [`AddressRules`].
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    rules: AddressRules,
    within: Duration,
}

/// What a receiver answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    /// When the receiver wants to be tried again.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the URL {0}")]
    Address(#[from] AddressProblem),
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// Without the URL, which may have secrets.
    #[error("{0}")]
    Failed(String),
}

impl HttpClient {
    /// `within`: how long an answer may take.
    pub fn new(config: &WebhookConfig, rules: AddressRules, within: Duration) -> Result<Self, reqwest::Error> {
        let proxy_host = config.webhook_proxy.as_ref().and_then(|url| url.host_str().map(str::to_owned));
        let resolver = CheckedResolver { rules: rules.clone(), proxy_host };
        // A receiver that sends elsewhere could send into the operator's own network.
        let builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_WITHIN.min(within))
            .timeout(within)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE_FOR)
            .dns_resolver(Arc::new(resolver))
            .user_agent(concat!("courant/", env!("CARGO_PKG_VERSION")));
        let builder = match &config.webhook_proxy {
            Some(proxy) => builder.proxy(Proxy::all(proxy.clone())?),
            None => builder,
        };
        Ok(Self { client: builder.build()?, rules, within })
    }

    /// Posts. The answer counts as soon as its head is there.
    pub async fn post(&self, url: &Url, headers: HeaderMap, body: Vec<u8>) -> Result<Answer, SendError> {
        self.rules.check_literal(url)?;
        let mut answer = match self.client.post(url.clone()).headers(headers).body(body).send().await {
            Ok(answer) => answer,
            Err(error) => return Err(self.explain(error)),
        };
        let answered = Answer { status: answer.status(), retry_after: retry_after(answer.headers()) };
        let mut read = 0;
        while read <= READ_BYTES {
            match answer.chunk().await {
                Ok(Some(chunk)) => read += chunk.len(),
                // What breaks after the head changes nothing.
                Ok(None) | Err(_) => break,
            }
        }
        Ok(answered)
    }

    fn explain(&self, error: reqwest::Error) -> SendError {
        if let Some(problem) = source::<AddressProblem>(&error) {
            return problem.clone().into();
        }
        if error.is_timeout() {
            return SendError::Timeout(self.within);
        }
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(why) = cause {
            let why_text = why.to_string();
            if !text.contains(&why_text) {
                text = format!("{text}: {why_text}");
            }
            cause = why.source();
        }
        SendError::Failed(text)
    }
}

/// The cause of this type.
fn source<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Resolves names, and gives only addresses that may be sent to: a connection goes to what was checked, and a name that changes
/// is checked again with each connection.
struct CheckedResolver {
    rules: AddressRules,
    /// The operator's own proxy may be anywhere.
    proxy_host: Option<String>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, host) = (self.rules.clone(), name.as_str().to_owned());
        let is_proxy = self.proxy_host.as_deref() == Some(host.as_str());
        Box::pin(async move {
            // Another port is set by the client.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if is_proxy {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            check_all(&rules, &found)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// One private address among public ones is one too many: which of them is taken is not the server's choice alone.
fn check_all(rules: &AddressRules, found: &[SocketAddr]) -> Result<(), AddressProblem> {
    found.iter().try_for_each(|address| rules.check(address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_when_to_come_again_in_seconds_or_by_a_date() {
        let after = |value: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]));
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
        assert!(after(&later).unwrap() > Duration::from_secs(590));
        assert_eq!((after("soon"), after("-1")), (None, None));
    }

    #[test]
    fn a_name_that_leads_to_a_private_address_beside_a_public_one_is_refused() {
        let rules = AddressRules::default();
        let addresses =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        assert!(check_all(&rules, &addresses(&["1.1.1.1:0", "[2606:4700::1111]:0"])).is_ok());
        assert!(check_all(&rules, &addresses(&["1.1.1.1:0", "10.0.0.1:0"])).is_err());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused_with_the_reason() {
        let config = WebhookConfig::default();
        let client = HttpClient::new(&config, AddressRules::new(&config), Duration::from_secs(5)).unwrap();
        let url = Url::parse("http://localhost:9/").unwrap();
        let refused = client.post(&url, HeaderMap::new(), Vec::new()).await.unwrap_err();
        assert!(matches!(&refused, SendError::Address(AddressProblem::Private { .. })), "{refused}");
    }
}
