//! Lines on standard output.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use crate::failure::Failure;

/// Prints a line. Fails, rather than panics, when nobody reads any more.
pub fn line(text: impl Display) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// Whether the reader of our output (`head`, say) has seen enough: the end of the command, and no failure.
pub fn is_output_closed(failure: &Failure) -> bool {
    matches!(failure, Failure::Io(error) if error.kind() == ErrorKind::BrokenPipe)
}
