//! `NotificationService`: notifications to people, kept until read, the same on all their devices.

mod draft;
mod follow;
mod inbox;
mod operation;
mod pending_users;
pub mod push;
mod service;
mod shared;
pub mod store;
mod subscription;

#[cfg(test)]
mod shared_tests;

pub use follow::run;
pub use inbox::NotificationInbox;
pub use service::Notifications;
pub use shared::SharedNotes;
