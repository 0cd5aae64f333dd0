//! Stories about the service: the real server on a real log, real gRPC clients, and a worker that does what a story says.

#![allow(clippy::unwrap_used, reason = "a story that goes wrong here has failed")]

mod bad_input;
mod batches;
mod concurrent_reports;
mod deferred;
mod following;
mod frozen;
mod full;
mod gated_log;
mod guards;
mod hostile;
mod invalid_reports;
mod jobs;
mod large;
mod lists;
mod notifications;
mod operators;
mod outputs;
mod parameters;
mod parts;
mod passwords;
mod presence;
mod probes;
mod protocol;
mod push;
mod quotas;
mod retention;
mod shares;
mod small_files;
mod start_at_once;
mod streams;
mod submit_stream;
mod support;
mod unwatched;
mod uploads;
mod waiting;
mod watch_scopes;
mod webhooks;
mod workers;
