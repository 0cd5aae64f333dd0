//! `NotificationService`: notifications to people, kept until read, the same on all their devices.

mod follow;
mod inbox;
mod pending_users;
pub mod push;
mod service;
pub mod store;
mod subscription;

pub use follow::run;
pub use inbox::NotificationInbox;
pub use service::Notifications;
