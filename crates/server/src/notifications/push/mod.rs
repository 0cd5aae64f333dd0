//! Web Push: notifications for browsers in which no page is open. A courier of [`crate::delivery`].
//!
//! A browser gives the address of its push service and two keys. Each unread notification goes there (RFC 8030), sealed so that
//! only that browser can read it (RFC 8291), and signed so that the push service knows who sends (RFC 8292, VAPID).
//!
//! What was sent is kept with the subscription: a restart leaves nothing out, and sends nothing twice but what was under way
//! just then; the notification's id tells browsers that it is the same. A notification that was
//! read meanwhile, or is older than [`TTL`], is not sent any more.

mod client;
mod deliver;
mod key;
mod payload;

pub use self::client::{Push, PushError, TTL};
pub use self::deliver::run;
