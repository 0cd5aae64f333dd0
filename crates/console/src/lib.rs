//! The console's files, built into a program. A crate of its own, so that the bridge is not compiled again when the console changes, and
//! need not wait for it.

use std::borrow::Cow;

/// In debug builds the files are read from the folder at every request.
#[derive(rust_embed::RustEmbed)]
#[folder = "../../bridge/web/dist/"]
struct Files;

/// The bytes of a file of the console, and their SHA-256.
pub fn file(path: &str) -> Option<(Cow<'static, [u8]>, [u8; 32])> {
    Files::get(path).map(|file| (file.data, file.metadata.sha256_hash()))
}
