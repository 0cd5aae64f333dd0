//! Compiles `proto/`, and the health protocol of gRPC in `health/`, without `protoc`. The folder `proto` here is a link to that of the
//! repository; a packed crate has its files.

use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 11] = [
    "courant/v1/admin_service.proto",
    "courant/v1/error_reason.proto",
    "courant/v1/job.proto",
    "courant/v1/job_service.proto",
    "courant/v1/notification_service.proto",
    "courant/v1/presence_service.proto",
    "courant/v1/queue_service.proto",
    "courant/v1/upload_service.proto",
    "courant/v1/webhook_service.proto",
    "courant/v1/worker_service.proto",
    "grpc/health/v1/health.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    // Apart from ours, which `buf` holds to rules that gRPC's own does not keep.
    let roots = [here.join("proto"), here.join("health")];
    roots.iter().for_each(|root| println!("cargo::rerun-if-changed={}", root.display()));
    let descriptors = protox::compile(FILES, &roots)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".courant.v1")
        // A job is half a kilobyte, and messages about it are passed on often.
        .boxed(".courant.v1.JobEvent.job")
        .boxed(".courant.v1.JobSnapshot.job")
        .skip_debug(["courant.v1.Password"])
        .codec_path("crate::codec::Codec")
        .compile_fds(descriptors)?;
    compile_keda()
}

/// How KEDA asks a scaler, which is not Courant's own API.
fn compile_keda() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("keda");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(["externalscaler.proto"], [&root])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
