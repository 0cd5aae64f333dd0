//! The flags of webhooks.

use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
use url::Url;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is sent to URLs of users, and where.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Webhooks")]
pub struct WebhookConfig {
    /// Networks that webhooks and Web Push may be sent to although they are private, such as 10.1.0.0/16
    #[arg(long, env = "COURANT_WEBHOOK_ALLOW", value_name = "NET,…", value_delimiter = ',', value_parser = network)]
    pub webhook_allow: Vec<IpNet>,

    /// Also take webhooks with http://: what is sent is then not encrypted
    #[arg(long, env = "COURANT_WEBHOOK_HTTP")]
    pub webhook_http: bool,

    /// Sends webhooks and Web Push through this proxy, which then must keep them from private addresses; those of the
    /// environment are not used
    #[arg(long, env = "COURANT_WEBHOOK_PROXY", value_name = "URL")]
    pub webhook_proxy: Option<Url>,

    /// The `source` of the CloudEvents that are sent: a URI that tells this service from others
    #[arg(long, env = "COURANT_WEBHOOK_SOURCE", default_value = "/courant", value_name = "URI")]
    pub webhook_source: String,

    /// Webhooks of one user (1 to 1000)
    #[arg(long, env = "COURANT_WEBHOOKS_PER_USER", default_value_t = 20, value_name = "N")]
    pub webhooks_per_user: usize,

    /// Webhooks of all users (1 to 1000000)
    #[arg(long, env = "COURANT_MAX_WEBHOOKS", default_value_t = 10_000, value_name = "N")]
    pub max_webhooks: usize,

    /// Webhooks that are sent to at the same time (1 to 10000)
    #[arg(long, env = "COURANT_WEBHOOK_AT_ONCE", default_value_t = 64, value_name = "N")]
    pub webhook_at_once: usize,

    /// Those at one host, so that one that hangs leaves slots for the others (1 to 10000)
    #[arg(long, env = "COURANT_WEBHOOK_PER_HOST_AT_ONCE", default_value_t = 32, value_name = "N")]
    pub webhook_per_host_at_once: usize,

    /// Those of one user (1 to 10000)
    #[arg(long, env = "COURANT_WEBHOOK_PER_USER_AT_ONCE", default_value_t = 4, value_name = "N")]
    pub webhook_per_user_at_once: usize,

    /// Events that are sent to one webhook at the same time, each of another job (1 to 100)
    #[arg(long, env = "COURANT_WEBHOOK_EVENTS_AT_ONCE", default_value_t = 8, value_name = "N")]
    pub webhook_events_at_once: usize,

    /// How long a receiver may take to answer (at most 5m)
    #[arg(long, env = "COURANT_WEBHOOK_TIMEOUT", default_value = "15s", value_parser = humantime::parse_duration)]
    pub webhook_timeout: Duration,

    /// Longest first wait before an event is sent again; doubles with each failure, half of it is drawn
    #[arg(long, env = "COURANT_WEBHOOK_RETRY_BASE", default_value = "5s", value_parser = humantime::parse_duration)]
    pub webhook_retry_base: Duration,

    /// Longest wait before an event is sent again, also when a receiver asks for more (Retry-After)
    #[arg(long, env = "COURANT_WEBHOOK_RETRY_MAX", default_value = "1h", value_parser = humantime::parse_duration)]
    pub webhook_retry_max: Duration,

    /// How long an event is sent again before it is given up (at most 30d)
    #[arg(long, env = "COURANT_WEBHOOK_RETRY_FOR", default_value = "1d", value_parser = humantime::parse_duration)]
    pub webhook_retry_for: Duration,

    /// After so long without one success a webhook is switched off, and its owner notified (at most 30d)
    #[arg(long, env = "COURANT_WEBHOOK_DISABLE_AFTER", default_value = "1d", value_parser = humantime::parse_duration)]
    pub webhook_disable_after: Duration,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            webhook_allow: Vec::new(),
            webhook_http: false,
            webhook_proxy: None,
            webhook_source: "/courant".into(),
            webhooks_per_user: 20,
            max_webhooks: 10_000,
            webhook_at_once: 64,
            webhook_per_host_at_once: 32,
            webhook_per_user_at_once: 4,
            webhook_events_at_once: 8,
            webhook_timeout: Duration::from_secs(15),
            webhook_retry_base: Duration::from_secs(5),
            webhook_retry_max: Duration::from_secs(3600),
            webhook_retry_for: DAY,
            webhook_disable_after: DAY,
        }
    }
}

impl WebhookConfig {
    /// What is out of its range: the flag, and what would be right.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let slots = |slots: usize| !(1..=10_000).contains(&slots);
        let rules = [
            ("--webhooks-per-user", !(1..=1000).contains(&self.webhooks_per_user), "must be 1 to 1000"),
            ("--max-webhooks", !(1..=1_000_000).contains(&self.max_webhooks), "must be 1 to 1000000"),
            ("--webhook-at-once", slots(self.webhook_at_once), "must be 1 to 10000"),
            ("--webhook-per-host-at-once", slots(self.webhook_per_host_at_once), "must be 1 to 10000"),
            ("--webhook-per-user-at-once", slots(self.webhook_per_user_at_once), "must be 1 to 10000"),
            ("--webhook-events-at-once", !(1..=100).contains(&self.webhook_events_at_once), "must be 1 to 100"),
            ("--webhook-source", self.webhook_source.is_empty(), "must not be empty"),
            (
                "--webhook-timeout",
                self.webhook_timeout.is_zero() || self.webhook_timeout > 5 * MINUTE,
                "must be longer than 0s and at most 5m",
            ),
            (
                "--webhook-retry-max",
                self.webhook_retry_max < self.webhook_retry_base,
                "must not be shorter than --webhook-retry-base",
            ),
            ("--webhook-retry-max", self.webhook_retry_max > DAY, "must be at most 1d"),
            ("--webhook-retry-for", self.webhook_retry_for > 30 * DAY, "must be at most 30d"),
            ("--webhook-disable-after", self.webhook_disable_after > 30 * DAY, "must be at most 30d"),
        ];
        rules.into_iter().find(|(_, broken, _)| *broken).map(|(flag, _, problem)| (flag, problem))
    }
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let one = || text.parse().map(|address: std::net::IpAddr| IpNet::from(address));
    text.parse().or_else(|_| one()).map_err(|_| "must be a network such as 10.1.0.0/16, or an address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read() {
        assert_eq!(network("10.1.0.0/16").unwrap().to_string(), "10.1.0.0/16");
        assert_eq!(network(" ::1 ").unwrap().to_string(), "::1/128");
        assert!(network("localhost").is_err() && network("10.0.0.0/33").is_err());
    }

    #[test]
    fn what_is_out_of_range_names_its_flag() {
        assert_eq!(WebhookConfig::default().problem(), None);
        let wrong = WebhookConfig { webhook_timeout: Duration::ZERO, ..WebhookConfig::default() };
        assert_eq!(wrong.problem().unwrap().0, "--webhook-timeout");
        let wrong = WebhookConfig { webhook_retry_max: Duration::ZERO, ..WebhookConfig::default() };
        assert_eq!(wrong.problem().unwrap().0, "--webhook-retry-max");
    }
}
