//! The server as a whole: what it starts with, what it runs, how it stops.

mod background;
mod browsers;
mod errors;
mod health;
mod metrics;
mod open;
mod router;
mod serve;

pub use self::errors::{ServeError, StartError};
pub use self::open::Server;
pub use self::router::MAX_MESSAGE_BYTES;
