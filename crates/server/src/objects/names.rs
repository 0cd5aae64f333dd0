//! The names of artifacts that the server reads itself.

use courant_joblog::job::Format;

/// The name of a page's artifact.
pub fn page_name(page: u32) -> String {
    format!("pages/{page:06}.json")
}

/// The name of an export among its attempt's artifacts.
pub fn artifact_name(format: Format) -> String {
    format!("result.{}", format.extension())
}
