//! Documents and results: where they lie, and streams in and out of the object store. Knows nothing of jobs' states.

mod names;
#[cfg(feature = "cloud")]
mod open;
pub mod probe;
mod store;
mod uploads;

pub use self::names::{artifact_name, page_name};
pub(crate) use self::store::hex;
pub use self::store::{Draft, Objects, OpenError, Stored, Writer};
pub use self::uploads::{DESCRIPTOR, UploadFile, UploadPath};
