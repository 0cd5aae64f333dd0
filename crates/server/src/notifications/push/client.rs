//! What is needed to send.

use std::sync::Arc;
use std::time::Duration;

use courant_auth::Secret;
use courant_auth::secret::SecretError;

use super::key::VapidKey;
use crate::config::{PushConfig, PushService, WebhookConfig};
use crate::delivery::{AddressRules, HttpClient};
use crate::error::Error;
use crate::notifications::subscription::Subscription;

/// How long a push service keeps a notification for a browser that is away, and how old a notification may be when it is sent.
pub const TTL: Duration = Duration::from_secs(24 * 3600);
/// How long a push service may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why Web Push cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Key(#[from] SecretError),
    #[error("the client for push services cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// What is needed to send; there is none where Web Push is off.
pub struct Push {
    pub(super) config: PushConfig,
    pub(super) contact: String,
    pub(super) key: VapidKey,
    pub(super) client: HttpClient,
}

impl Push {
    /// As configured; none when it is off. `shared`: the secret of all servers of a log, which makes the key unless a file does.
    pub fn open(
        config: &PushConfig,
        webhooks: &WebhookConfig,
        data_dir: &std::path::Path,
        shared: Option<&Secret>,
    ) -> Result<Option<Arc<Self>>, PushError> {
        let Some(contact) = config.push_contact.clone() else { return Ok(None) };
        let key = match (&config.push_key_file, shared) {
            (Some(file), _) => VapidKey::open(file)?,
            (None, Some(shared)) => VapidKey::new(shared),
            (None, None) => VapidKey::open(&data_dir.join("push.key"))?,
        };
        // An address that the operator has named is allowed.
        let named = config.push_services.iter().filter_map(PushService::address);
        let client = HttpClient::new(webhooks, AddressRules::new(webhooks).and_allow(named), ANSWER_WITHIN)?;
        Ok(Some(Arc::new(Self { config: config.clone(), contact, key, client })))
    }

    /// The public key that browsers subscribe with.
    pub fn public_key(&self) -> &[u8] {
        self.key.public()
    }

    /// The most subscriptions of one user.
    pub fn per_user(&self) -> usize {
        self.config.push_per_user
    }

    /// Checks what a browser gave.
    pub fn subscription(&self, endpoint: &str, p256dh: &[u8], auth: &[u8]) -> Result<Subscription, Error> {
        Subscription::check(endpoint, p256dh, auth, &self.config.push_services)
    }
}
