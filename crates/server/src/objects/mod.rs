//! Documents and results: where they lie, and streams in and out of the object store. Knows nothing of jobs' states.

mod counted;
#[cfg(feature = "cloud")]
mod credentials;
mod drafts;
mod folder;
#[cfg(feature = "cloud")]
mod multipart;
mod names;
#[cfg(feature = "cloud")]
mod open;
mod open_error;
pub mod probe;
mod put_new;
mod read;
mod store;
mod uploads;
mod write;

pub use self::counted::{ObjectStats, Operation};
pub use self::drafts::Draft;
pub use self::names::{artifact_name, page_name};
pub use self::open_error::OpenError;
pub(crate) use self::store::hex;
pub use self::store::{Objects, Stored};
pub use self::uploads::{DESCRIPTOR, UploadFile, UploadPath};
pub use self::write::Writer;
