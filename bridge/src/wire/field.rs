//! What is wrong with one field of a message.

/// A field that cannot be taken, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidField {
    /// As the client wrote it, with dots between the names of objects.
    pub field: String,
    /// Without the field's name before it.
    pub problem: String,
}

impl InvalidField {
    /// Says of a field what is wrong with it.
    pub fn new(field: &str, problem: impl Into<String>) -> Self {
        Self { field: field.to_owned(), problem: problem.into() }
    }
}
