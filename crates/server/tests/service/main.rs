//! Stories about the service: the real server on a real log, real gRPC clients, and a worker that does what a story says.

mod following;
mod guards;
mod jobs;
mod support;
mod workers;
