//! Who may what, and what a stranger learns: nothing.

use std::time::Duration;

use courant_auth::{Role, Secret, Signer};
use courant_proto::v1::job_service_client::JobServiceClient;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::*;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::*;

#[tokio::test]
async fn a_strangers_job_and_a_job_that_never_was_look_the_same() {
    let world = World::new().await;
    let real = world.submit("alice").await.job.unwrap().job_id;
    let fake = "0".repeat(real.len());
    let of_real = every_call(&world, &real).await;
    let of_fake = every_call(&world, &fake).await;
    for (real_status, fake_status) in of_real.iter().zip(&of_fake) {
        assert_eq!(real_status.code(), Code::NotFound);
        assert_eq!(real_status.message().replace(&real, "ID"), fake_status.message().replace(&fake, "ID"));
        assert_eq!(real_status.details(), fake_status_details(fake_status, &fake, &real));
    }
    let list = world.jobs("bob").list_jobs(ListJobsRequest::default()).await.unwrap().into_inner();
    assert!(list.jobs.is_empty());
}

/// The details with one id put for the other.
fn fake_status_details(status: &Status, fake: &str, real: &str) -> Vec<u8> {
    let text: String = status.details().iter().map(|byte| *byte as char).collect();
    text.replace(fake, real).chars().map(|letter| letter as u8).collect()
}

async fn every_call(world: &World, id: &str) -> Vec<Status> {
    let mut bob = world.jobs("bob");
    let job_id = id.to_owned();
    vec![
        bob.get_job(GetJobRequest { job_id: job_id.clone() }).await.unwrap_err(),
        bob.cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.unwrap_err(),
        bob.retry_job(RetryJobRequest { job_id: job_id.clone(), password: None }).await.unwrap_err(),
        bob.watch_job(WatchJobRequest { job_id: job_id.clone(), ..Default::default() }).await.unwrap_err(),
        bob.read_page(ReadPageRequest { job_id: job_id.clone(), page: 1 }).await.unwrap_err(),
        bob.read_result(ReadResultRequest { job_id, format: 1, ..Default::default() }).await.unwrap_err(),
    ]
}

#[tokio::test]
async fn without_a_good_token_nothing_is_answered() {
    let world = World::new().await;
    let request = || ListJobsRequest::default();
    let bare = JobServiceClient::new(world.channel.clone()).list_jobs(request()).await.unwrap_err();
    assert_eq!((bare.code(), reason(&bare).as_str()), (Code::Unauthenticated, "TOKEN_MISSING"));
    let stranger = Signer::hs256(&Secret::new([9u8; 32]).unwrap());
    let forged = stranger.sign("alice", &[], Duration::from_secs(60)).unwrap();
    let mut client = JobServiceClient::with_interceptor(world.channel.clone(), Bearer(forged));
    assert_eq!(reason(&client.list_jobs(request()).await.unwrap_err()), "TOKEN_INVALID");
    let mut client = JobServiceClient::with_interceptor(world.channel.clone(), Bearer("x".repeat(10)));
    assert_eq!(reason(&client.list_jobs(request()).await.unwrap_err()), "TOKEN_INVALID");
}

#[tokio::test]
async fn roles_are_needed_for_more_than_ones_own() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let as_user = Bearer(world.token("alice", &[]));
    let mut no_worker = WorkerServiceClient::with_interceptor(world.channel.clone(), as_user);
    let refused = no_worker.work(tokio_stream::empty()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_REQUIRED"));
    let mut bridge = world.jobs_as("bridge", &[Role::Bridge]);
    bridge.get_job(GetJobRequest { job_id: id.clone() }).await.unwrap();
    let refused = bridge.cancel_job(CancelJobRequest { job_id: id.clone() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "the bridge sees all and changes nothing");
    let mut admin = world.jobs_as("root", &[Role::Admin]);
    admin.cancel_job(CancelJobRequest { job_id: id }).await.unwrap();
}

#[tokio::test]
async fn a_service_submits_for_its_users() {
    let world = World::new().await;
    let header = SubmitJobHeader { owner: "alice".into(), ..SubmitJobHeader::default() };
    let parts = [submit_job_request::Part::Header(header), submit_job_request::Part::Chunk(b"x".to_vec().into())]
        .map(|part| SubmitJobRequest { part: Some(part) });
    let mut service = world.jobs_as("intake", &[Role::Service]);
    let job = service.submit_job(tokio_stream::iter(parts)).await.unwrap().into_inner().job.unwrap();
    assert_eq!(job.owner, "alice");
    assert_eq!(world.job("alice", &job.job_id).await.job_id, job.job_id);
}

#[tokio::test]
async fn health_and_reflection_are_open() {
    let world = World::new().await;
    let mut health = HealthClient::new(world.channel.clone());
    for service in ["", "courant.v1.JobService", "courant.v1.WorkerService", "courant.v1.AdminService"] {
        let check = HealthCheckRequest { service: service.into() };
        assert_eq!(health.check(check).await.unwrap().into_inner().status, 1, "{service}");
    }
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_response::MessageResponse};
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(world.channel.clone());
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([ask])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services")
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for name in
        ["courant.v1.JobService", "courant.v1.WorkerService", "courant.v1.AdminService", "grpc.health.v1.Health"]
    {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
}

/// A token that ends at once is accepted for some seconds more, because clocks differ: so long the worker stays.
#[tokio::test]
async fn a_worker_whose_token_has_just_ended_stays_as_long_as_the_token_is_accepted() {
    let world = World::new().await;
    let token = Signer::hs256(&Secret::new([7u8; 32]).unwrap()).sign("w", &[Role::Worker], Duration::ZERO).unwrap();
    let (reports, stream) = tokio::sync::mpsc::channel(4);
    let mut client = WorkerServiceClient::with_interceptor(world.channel.clone(), Bearer(token.clone()));
    let hello = WorkRequest { message: Some(hello("w", 1, vec![])) };
    reports.send(hello).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let mut orders = client.work(stream).await.unwrap().into_inner();
    let welcomed = std::time::Instant::now();
    assert!(matches!(orders.message().await.unwrap().unwrap().message, Some(Order::Welcome(_))));
    let ended = loop {
        match tokio::time::timeout(PATIENCE, orders.message()).await.expect("the stream goes on") {
            Ok(order) => assert!(order.is_some(), "ended without saying why"),
            Err(status) => break status,
        }
    };
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unauthenticated, "TOKEN_EXPIRED"));
    assert!(welcomed.elapsed() > Duration::from_secs(3), "thrown out again after {:?}", welcomed.elapsed());
    // Now it is refused, and is not connected for a moment.
    let mut client = WorkerServiceClient::with_interceptor(world.channel.clone(), Bearer(token));
    let refused = client.work(tokio_stream::empty()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "TOKEN_EXPIRED"));
}

#[tokio::test]
async fn a_watch_ends_with_its_token() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let short = Signer::hs256(&Secret::new([7u8; 32]).unwrap()).sign("alice", &[], Duration::from_secs(1)).unwrap();
    let mut client = JobServiceClient::with_interceptor(world.channel.clone(), Bearer(short));
    let mut steps = client.watch_job(WatchJobRequest { job_id: id, ..Default::default() }).await.unwrap().into_inner();
    let ended = loop {
        match tokio::time::timeout(PATIENCE, steps.message()).await.expect("the watch goes on") {
            Ok(step) => assert!(step.is_some(), "ended without saying why"),
            Err(status) => break status,
        }
    };
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unauthenticated, "TOKEN_EXPIRED"));
}
