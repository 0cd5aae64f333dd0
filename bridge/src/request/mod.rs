//! What all HTTP requests have: who calls, from where, what the query says, how long a body may take, and errors.

pub mod caller;
pub mod cookie;
pub mod headers;
pub mod origin;
pub mod patience;
pub mod problem;
pub mod query;
