//! What is wrong with the settings of a store.

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a URL that is understood.
    #[error("--objects {url} cannot be used: {reason}")]
    Url { url: String, reason: String },
    /// The folder cannot be used.
    #[error("the folder {folder} cannot be used: {reason}")]
    Folder { folder: String, reason: String },
    /// The file with credentials cannot be used.
    #[error("{named_by} {path} cannot be used: {reason}")]
    Credentials { named_by: &'static str, path: String, reason: String },
    /// The value of a variable cannot be used.
    #[error("the value of {name} has a line end or another character that no setting has; leave it out")]
    Variable { name: String },
}
