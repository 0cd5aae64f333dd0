//! The flags of Web Push.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use url::Url;

/// The push services of the browsers that have one.
const KNOWN: &str = "https://fcm.googleapis.com,https://*.push.services.mozilla.com,https://*.notify.windows.com,\
                     https://*.push.apple.com";

/// How notifications reach browsers in which no page is open.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Web Push")]
pub struct PushConfig {
    /// Turns Web Push on: whom push services may ask about this service (mailto:… or https://…). Notices then leave this
    /// machine, sealed for the browser that reads them
    #[arg(long, env = "COURANT_PUSH_CONTACT", value_name = "URL", value_parser = contact)]
    pub push_contact: Option<String>,

    /// File with the secret that the key of Web Push is made from, mode 0600, the same for all servers of one log; default:
    /// DATA_DIR/push.key, made on first start. With another, browsers must subscribe again
    #[arg(long, env = "COURANT_PUSH_KEY_FILE", value_name = "FILE")]
    pub push_key_file: Option<PathBuf>,

    /// Push services that may be sent to: origins, `*.` for all names below one
    #[arg(long, env = "COURANT_PUSH_SERVICES", value_name = "ORIGIN,…", value_delimiter = ',', default_value = KNOWN)]
    pub push_services: Vec<PushService>,

    /// Browsers of one user that are subscribed at the same time; over it the oldest go (1 to 1000)
    #[arg(long, env = "COURANT_PUSH_PER_USER", default_value_t = 20, value_name = "N")]
    pub push_per_user: usize,

    /// Browsers that are sent to at the same time (1 to 10000)
    #[arg(long, env = "COURANT_PUSH_AT_ONCE", default_value_t = 64, value_name = "N")]
    pub push_at_once: usize,

    /// Those of one push service, so that one that hangs leaves slots for the others (1 to 10000)
    #[arg(long, env = "COURANT_PUSH_PER_HOST_AT_ONCE", default_value_t = 32, value_name = "N")]
    pub push_per_host_at_once: usize,

    /// Those of one user (1 to 10000)
    #[arg(long, env = "COURANT_PUSH_PER_USER_AT_ONCE", default_value_t = 4, value_name = "N")]
    pub push_per_user_at_once: usize,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            push_contact: None,
            push_key_file: None,
            push_services: KNOWN.split(',').filter_map(|service| service.parse().ok()).collect(),
            push_per_user: 20,
            push_at_once: 64,
            push_per_host_at_once: 32,
            push_per_user_at_once: 4,
        }
    }
}

fn contact(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "mailto" | "https" => Ok(text.to_owned()),
        _ => Err("must be mailto:… or https://…".into()),
    }
}

/// A push service that may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushService {
    scheme: String,
    host: String,
    port: Option<u16>,
    below: bool,
}

impl PushService {
    /// Its address, where it is named by one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.trim_matches(['[', ']']).parse().ok()
    }

    /// Whether a URL belongs to it.
    pub fn has(&self, endpoint: &Url) -> bool {
        let Some(host) = endpoint.host_str() else { return false };
        let same_host = match host.strip_suffix(self.host.as_str()) {
            Some("") => !self.below,
            Some(before) => self.below && before.ends_with('.'),
            None => false,
        };
        same_host && endpoint.scheme() == self.scheme && endpoint.port_or_known_default() == self.port
    }
}

impl FromStr for PushService {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be an origin such as https://push.example.org or https://*.example.org".to_owned();
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(wrong)?;
        let (below, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| wrong())?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.username().is_empty();
        let host = url.host_str().filter(|host| bare && !host.contains('*')).ok_or_else(wrong)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(wrong());
        }
        Ok(Self { scheme: url.scheme().to_owned(), host: host.to_owned(), port: url.port_or_known_default(), below })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(endpoint: &str) -> bool {
        let endpoint = Url::parse(endpoint).unwrap();
        PushConfig::default().push_services.iter().any(|service| service.has(&endpoint))
    }

    #[test]
    fn the_services_of_browsers_are_known_and_nobody_else() {
        assert!(allowed("https://fcm.googleapis.com/fcm/send/abc"));
        assert!(allowed("https://updates.push.services.mozilla.com/wpush/v2/abc"));
        assert!(allowed("https://web.push.apple.com/abc"));
        for stranger in [
            "http://fcm.googleapis.com/abc",
            "https://fcm.googleapis.com:8443/abc",
            "https://evil.fcm.googleapis.com/abc",
            "https://push.apple.com/abc",
            "https://evilpush.apple.com/abc",
            "https://fcm.googleapis.com.evil.example/abc",
            "https://127.0.0.1/abc",
            "https://[::1]/abc",
        ] {
            assert!(!allowed(stranger), "{stranger}");
        }
    }

    #[test]
    fn an_origin_is_an_origin() {
        let local: PushService = "http://127.0.0.1:4000".parse().unwrap();
        assert!(local.has(&Url::parse("http://127.0.0.1:4000/x?y").unwrap()));
        assert!(!local.has(&Url::parse("http://127.0.0.1:4001/x").unwrap()));
        for wrong in ["push.example.org", "ftp://a", "https://a/b", "https://*", "https://a.*.b", "https://u@a", ""] {
            assert!(wrong.parse::<PushService>().is_err(), "{wrong}");
        }
        assert!(contact("mailto:ops@example.org").is_ok() && contact("https://example.org/ops").is_ok());
        assert!(contact("ops@example.org").is_err() && contact("http://example.org").is_err());
    }
}
