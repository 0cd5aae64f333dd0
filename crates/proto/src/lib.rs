//! The wire: the types and services of `courant.v1`, generated from `proto/`, those of `grpc.health.v1`, and those of KEDA, which asks
//! how many workers are needed. Nothing else.
//!
//! The meaning of every message and field is written in the `.proto` files and carried over into this documentation.

pub mod codec;

/// Version 1 of the API.
#[allow(clippy::all)]
pub mod v1 {
    tonic::include_proto!("courant.v1");
}

/// KEDA's API for external scalers, from `keda/externalscaler.proto`.
#[allow(clippy::all)]
pub mod keda {
    tonic::include_proto!("externalscaler");
}

/// The health protocol of gRPC, with `List`.
#[allow(clippy::all)]
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

impl std::fmt::Debug for v1::Password {
    /// Whatever is logged, a password is not in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The compiled descriptors of all of them, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
