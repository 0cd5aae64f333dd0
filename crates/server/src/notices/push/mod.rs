//! Web Push: notices for browsers in which no page is open.
//!
//! A browser gives the address of its push service and two keys. Each unread notice goes there (RFC 8030), sealed so that
//! only that browser can read it (RFC 8291), and signed so that the push service knows who sends (RFC 8292, VAPID).
//!
//! What was sent is kept with the subscription: a restart leaves nothing out, and sends nothing twice but what was under way
//! just then; the notice's id tells browsers that it is the same. A notice that was
//! read meanwhile, or is older than [`TTL`], is not sent any more.

mod deliver;
mod due;
mod key;
mod letter;
mod schedule;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use courant_auth::secret::SecretError;

pub use self::deliver::run;
pub use self::due::Due;
use self::key::VapidKey;
pub use self::schedule::Delivery;
pub use self::subscription::Subscription;
use crate::config::PushConfig;
use crate::error::Error;

/// How long a push service keeps a notice for a browser that is away, and how old a notice may be when it is sent.
pub const TTL: Duration = Duration::from_secs(24 * 3600);
/// How long a push service may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why Web Push cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The key file.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// The HTTP client.
    #[error("the client for push services cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// What is needed to send; there is none where Web Push is off.
pub struct Push {
    config: PushConfig,
    contact: String,
    key: VapidKey,
    client: reqwest::Client,
}

impl Push {
    /// As configured; none when it is off.
    pub fn open(config: &PushConfig, data_dir: &std::path::Path) -> Result<Option<Arc<Self>>, PushError> {
        let Some(contact) = config.push_contact.clone() else { return Ok(None) };
        let file = config.push_key_file.clone().unwrap_or_else(|| data_dir.join("push.key"));
        let key = VapidKey::open(&file)?;
        // A push service that sends elsewhere could send into the operator's own network.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("courant/", env!("CARGO_PKG_VERSION")))
            .build()?;
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
