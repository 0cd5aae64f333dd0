//! Stories told with the real binaries: `courant up` in a process of its own, clients in this one.
//!
//! Each story is short, waits for signals and never for time, and could fail.

mod admin;
mod audit;
mod backup;
mod benchmark;
mod cancel;
mod cluster;
mod command_line;
mod crash;
mod documents;
mod drain;
mod failures;
mod front_door;
mod frozen;
mod hostile;
mod isolation;
mod lanes;
mod migrate;
mod nats;
mod notices;
mod operators;
mod outputs;
mod parts;
mod passwords;
mod pdf_parameters;
mod people;
mod progress;
mod retry;
mod rolling;
mod s3;
mod scans;
mod servers;
mod submit;
mod transports;
mod watch;
mod webhooks;
mod worker_program;
