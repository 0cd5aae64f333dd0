//! What all HTTP requests have: who calls, from where, what the query says, how long a body may take, and errors.

pub mod accept;
pub mod body_timeout;
pub mod caller;
pub mod context;
pub mod cookie;
pub mod headers;
pub mod origin;
pub mod parameter;
pub mod parameters;
pub mod path;
pub mod problem;
pub mod query;
