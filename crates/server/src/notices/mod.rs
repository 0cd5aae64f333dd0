//! `NotificationService`: what people are told, kept until they have read it, the same on all their devices.

mod due;
mod follow;
mod inbox;
pub mod push;
mod service;
pub mod store;
mod subscription;

pub use follow::run;
pub use inbox::Notices;
pub use service::Notifications;
