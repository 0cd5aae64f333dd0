//! A document's password, from a file or standard input: on a command line everybody on the machine could read it.

use std::path::Path;

use courant_proto::v1::Password;
use tokio::io::AsyncReadExt;

use crate::failure::Failure;

/// More than this is no password but a mistaken path.
const MAX_BYTES: u64 = 4096;

/// Reads it; `-` is standard input. One line end at its end does not count.
pub async fn read(file: Option<&Path>) -> Result<Option<Password>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let fail = |source| Failure::File { path: file.to_owned(), source };
    let mut text = String::new();
    if file == Path::new("-") {
        tokio::io::stdin().take(MAX_BYTES).read_to_string(&mut text).await.map_err(fail)?;
    } else {
        let open = tokio::fs::File::open(file).await.map_err(fail)?;
        open.take(MAX_BYTES).read_to_string(&mut text).await.map_err(fail)?;
    }
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Some(Password { text: text.to_owned() }))
}
