//! Several servers on one log.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::ensure;
use courant_auth::Role;
use courant_natslog::testing::{Cluster, Sync};
use courant_proto::v1::job_event::Change;
use courant_proto::v1::watch_job_response::Step;
use courant_proto::v1::{
    CancelJobRequest, DeleteJobRequest, DrainWorkerRequest, ExplainJobRequest, GetLogInfoRequest, Job, JobEvent,
    JobState, Lane, ListLanesRequest, ListWorkersRequest, PauseLaneRequest, ResumeLaneRequest, ResumeWorkerRequest,
    SetLaneWeightRequest, SubmitJobHeader,
};
use courant_tests::grpc::{accepted, becomes};
use courant_tests::server::{Server, Shared};
use courant_tests::torture::plan::Cut;
use courant_tests::torture::proxy::Proxy;
use courant_tests::within;
use courant_tests::worker::Worker;

/// A lease that is over before a story is, if nobody renews it.
const SHORT_LEASE: &[&str] = &["--lease", "600ms"];

struct Two {
    _nats: Cluster,
    shared: Shared,
    first: Server,
    second: Server,
}

impl Two {
    async fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let (nats, shared) = (Cluster::single(Sync::Always), Shared::new()?);
        let named = |name: &'static str| [flags, &["--server-name", name]].concat();
        let first = Server::start(&nats, &shared, "first", &named("first")).await?;
        let second = Server::start(&nats, &shared, "second", &named("second")).await?;
        Ok(Self { _nats: nats, shared, first, second })
    }

    fn worker(&self, address: &str, slots: u32) -> anyhow::Result<Worker> {
        Worker::connect(address, &|name| self.shared.token(name, &[Role::Worker]), "test", slots)
    }
}

#[tokio::test]
async fn a_job_at_one_server_is_followed_live_at_another_and_left_alone_by_it() -> anyhow::Result<()> {
    let two = Two::start(SHORT_LEASE).await?;
    let mut working = two.worker(&two.first.grpc, 1)?;
    let jobs = two.second.jobs("alice").await?;
    let (job, cursor) = jobs.submit_kind("test", "a document").await?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    let work = working.next().await?;
    work.task.plan(2).await?;
    // Longer than two leases: the second server hears of the worker only from the first.
    for percent in 1..=15 {
        work.progress(f64::from(percent));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let percent = |job: &Job| job.progress.as_ref().map_or(0.0, |progress| progress.percent);
    let live = |event: &JobEvent| matches!(event.change, Some(Change::Progressed(_)));
    watch.until(|event| live(event) && event.job.as_ref().is_some_and(|job| percent(job) == 15.0)).await?;
    work.page(1).await?;
    work.export("the text").await?;
    work.succeed();
    let ended = watch.until(|event| becomes(event, JobState::Succeeded)).await?;
    ensure!(ended.job.is_some_and(|job| job.attempt == 1), "it was begun again");
    Ok(())
}

#[tokio::test]
async fn a_worker_whose_server_is_killed_goes_on_at_the_other() -> anyhow::Result<()> {
    let two = Two::start(&[]).await?;
    let proxy = Proxy::open().await?;
    proxy.aim(Some(two.first.grpc.parse()?));
    let mut working = two.worker(&proxy.address.to_string(), 1)?;
    let jobs = two.second.jobs("alice").await?;
    let (job, cursor) = jobs.submit_kind("test", "a document").await?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    let work = working.next().await?;
    work.task.plan(2).await?;
    work.page(1).await?;
    proxy.aim(Some(two.second.grpc.parse()?));
    two.first.kill().await?;
    proxy.cut(Cut::Rst);
    work.page(2).await?;
    work.export("the text").await?;
    work.succeed();
    let ended = watch.until(|event| becomes(event, JobState::Succeeded)).await?;
    ensure!(ended.job.is_some_and(|job| job.attempt == 1 && job.pages_done == 2), "it was begun again");
    Ok(())
}

#[tokio::test]
async fn a_worker_that_goes_with_its_server_loses_its_job_after_a_lease() -> anyhow::Result<()> {
    let two = Two::start(SHORT_LEASE).await?;
    let mut lost = two.worker(&two.first.grpc, 1)?;
    let jobs = two.second.jobs("alice").await?;
    let (job, cursor) = jobs.submit_kind("test", "a document").await?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    let _work = lost.next().await?;
    let mut working = two.worker(&two.second.grpc, 1)?;
    two.first.kill().await?;
    let work = working.next().await?;
    work.task.plan(1).await?;
    work.export("the text").await?;
    work.succeed();
    let ended = watch.until(|event| becomes(event, JobState::Succeeded)).await?;
    ensure!(ended.job.is_some_and(|job| job.attempt == 2), "nobody took it from the worker that is gone");
    Ok(())
}

#[tokio::test]
async fn a_cancel_at_one_server_stops_the_worker_of_another() -> anyhow::Result<()> {
    let two = Two::start(&[]).await?;
    let mut working = two.worker(&two.first.grpc, 1)?;
    let mut jobs = two.second.jobs("alice").await?;
    let (job, cursor) = jobs.submit_kind("test", "a document").await?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    let work = working.next().await?;
    jobs.client.cancel_job(CancelJobRequest { job_id: job.job_id.clone() }).await?;
    work.stopped().await?;
    watch.until(|event| becomes(event, JobState::Cancelled)).await?;
    Ok(())
}

#[tokio::test]
async fn workers_of_all_servers_are_listed_and_drained_anywhere() -> anyhow::Result<()> {
    let two = Two::start(&[]).await?;
    let mut here = two.worker(&two.first.grpc, 1)?;
    let mut admin = two.second.admin("root").await?;
    let listed = within("the worker to be listed by the other server", async {
        loop {
            let workers = admin.list_workers(ListWorkersRequest {}).await?.into_inner().workers;
            if let Some(worker) = workers.into_iter().find(|worker| worker.connected) {
                return Ok(worker);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let listed = listed.await?;
    ensure!(listed.server == "first", "at {:?}", listed.server);
    let worker_id = listed.worker_id;
    let drained = admin.drain_worker(DrainWorkerRequest { worker_id: worker_id.clone() }).await?.into_inner();
    ensure!(drained.worker.is_some_and(|worker| worker.draining), "it is not drained");
    let jobs = two.first.jobs("alice").await?;
    let (job, _) = jobs.submit_kind("test", "a document").await?;
    let mut there = two.worker(&two.second.grpc, 1)?;
    let work = there.next().await?;
    ensure!(work.task.job_id() == job.job_id, "another job");
    let resumed = admin.resume_worker(ResumeWorkerRequest { worker_id }).await?.into_inner();
    ensure!(resumed.worker.is_some_and(|worker| !worker.draining), "it is still drained");
    let (job, _) = jobs.submit_kind("test", "another document").await?;
    ensure!(here.next().await?.task.job_id() == job.job_id, "another job");
    Ok(())
}

#[tokio::test]
async fn what_one_server_has_acknowledged_is_known_to_the_other_at_once() -> anyhow::Result<()> {
    let two = Two::start(&[]).await?;
    let servers = [two.first.jobs("alice").await?, two.second.jobs("alice").await?];
    for number in 0..40 {
        let (here, there) = (&servers[number % 2], &servers[1 - number % 2]);
        let header = SubmitJobHeader { request_id: format!("request-{number}"), ..SubmitJobHeader::default() };
        let (job, cursor) = accepted(here.submit_with(header.clone(), b"%PDF-1.4".to_vec()).await?)?;
        ensure!(there.get(&job.job_id).await?.job_id == job.job_id, "another job");
        let mut watch = there.watch(&job.job_id, &cursor).await?;
        let told = watch.next().await?.and_then(|told| told.step);
        ensure!(matches!(told, Some(Step::Event(_) | Step::Live(_))), "{number}: not resumed but {told:?}");
        let (again, _) = accepted(there.submit_with(header, b"%PDF-1.4".to_vec()).await?)?;
        ensure!(again.job_id == job.job_id, "the same submit made another job");
    }
    Ok(())
}

#[tokio::test]
async fn jobs_are_shared_out_among_the_workers_of_all_servers() -> anyhow::Result<()> {
    let two = Two::start(&[]).await?;
    let jobs = two.first.jobs("alice").await?;
    for number in 0..12 {
        jobs.submit_kind("test", &format!("document {number}")).await?;
    }
    let mut workers = [two.worker(&two.first.grpc, 6)?, two.worker(&two.second.grpc, 6)?];
    let (mut seen, mut kept) = (HashSet::new(), Vec::new());
    for worker in &mut workers {
        for _ in 0..6 {
            let work = worker.next().await?;
            ensure!(seen.insert(work.task.job_id().to_owned()), "a job was given out twice");
            kept.push(work);
        }
    }
    Ok(())
}

/// Which server removes a job's files, and how late, must not matter to who submits it again at another.
#[tokio::test]
async fn a_job_made_again_at_another_server_while_its_first_files_go_keeps_its_own() -> anyhow::Result<()> {
    let two = Two::start(&[]).await?;
    let (first, second) = (two.first.jobs("alice").await?, two.second.jobs("alice").await?);
    // Large enough to lie in the object store and not in the log.
    let document = vec![b'x'; 300_000];
    for round in 0..20 {
        let header = SubmitJobHeader {
            request_id: format!("again-{round}"),
            kind: "nobody-takes-it".into(),
            ..SubmitJobHeader::default()
        };
        let (job, _) = accepted(first.submit_with(header.clone(), document.clone()).await?)?;
        first.client.clone().cancel_job(CancelJobRequest { job_id: job.job_id.clone() }).await?;
        let delete = DeleteJobRequest { job_id: job.job_id.clone() };
        // Before the removal, the call finds the job that is there.
        let made_again = within("a job made again", async {
            loop {
                let (again, _) = accepted(second.submit_with(header.clone(), document.clone()).await?)?;
                if again.state() == JobState::Queued {
                    return Ok(again);
                }
            }
        });
        let mut deleting = first.client.clone();
        let (deleted, again) = tokio::join!(deleting.delete_job(delete), made_again);
        deleted?;
        let again = again?;
        ensure!(again.job_id == job.job_id, "one request is one job");
        ensure!(second.document(&again.job_id, 0, 0).await? == document, "its document is gone");
        ensure!(first.document(&again.job_id, 0, 0).await? == document, "its document is gone");
    }
    Ok(())
}

#[tokio::test]
async fn a_lane_that_is_paused_at_one_server_waits_at_all_and_stays_so_over_a_restart() -> anyhow::Result<()> {
    let two = Two::start(&[]).await?;
    let (mut first, mut second) = (two.first.admin("root").await?, two.second.admin("root").await?);
    let pause = PauseLaneRequest { lane: Lane::Normal.into(), reason: "a release".into() };
    let paused = first.pause_lane(pause).await?.into_inner().lane;
    ensure!(paused.is_some_and(|lane| lane.pause.is_some()), "it is not paused");
    let is_paused = async |admin: &mut courant_tests::grpc::Admin| -> anyhow::Result<bool> {
        let lanes = admin.list_lanes(ListLanesRequest {}).await?.into_inner().lanes;
        Ok(lanes.iter().any(|lane| lane.lane() == Lane::Normal && lane.pause.is_some()))
    };
    within("the other server to hear of it", async {
        while !is_paused(&mut second).await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await?;
    let mut worker = two.worker(&two.second.grpc, 1)?;
    let (job, _) = two.first.jobs("alice").await?.submit_kind("test", "a document").await?;
    let header = SubmitJobHeader { kind: "test".into(), lane: Lane::Premium.into(), ..SubmitJobHeader::default() };
    let (urgent, _) = accepted(two.second.jobs("bob").await?.submit_with(header, b"%PDF-1.4".to_vec()).await?)?;
    let work = worker.next().await?;
    ensure!(work.task.job_id() == urgent.job_id, "a job of the paused lane was given out");
    work.succeed();

    let Two { _nats: nats, shared, first: one, second: other } = two;
    other.kill().await?;
    let again = Server::start(&nats, &shared, "second", &["--server-name", "second"]).await?;
    let mut admin = again.admin("root").await?;
    ensure!(is_paused(&mut admin).await?, "it forgot the pause");
    let explained = admin.explain_job(ExplainJobRequest { job_id: job.job_id.clone() }).await?.into_inner();
    ensure!(explained.reasons.first().is_some_and(|reason| reason.code == "LANE_PAUSED"), "{explained:?}");
    let log = admin.get_log_info(GetLogInfoRequest {}).await?.into_inner();
    ensure!(log.engine == "nats" && log.size_bytes > 0 && log.server == "second", "{log:?}");
    admin.resume_lane(ResumeLaneRequest { lane: Lane::Normal.into() }).await?;
    let mut worker = Worker::connect(&one.grpc, &|name| shared.token(name, &[Role::Worker]), "test", 1)?;
    ensure!(worker.next().await?.task.job_id() == job.job_id, "another job");
    Ok(())
}

#[tokio::test]
async fn a_weight_that_is_set_at_one_server_decides_at_all_whose_turn_it_is() -> anyhow::Result<()> {
    let two = Two::start(&[]).await?;
    let (mut first, mut second) = (two.first.admin("root").await?, two.second.admin("root").await?);
    for (lane, weight) in [(Lane::Premium, 1), (Lane::Normal, 1000)] {
        let set = first.set_lane_weight(SetLaneWeightRequest { lane: lane.into(), weight }).await?.into_inner().lane;
        ensure!(set.is_some_and(|set| set.weight == weight && set.weight_change.is_some()), "{lane:?}");
    }
    // A pause at the other server at the same time takes nothing of it away.
    second.pause_lane(PauseLaneRequest { lane: Lane::Normal.into(), reason: String::new() }).await?;
    second.resume_lane(ResumeLaneRequest { lane: Lane::Normal.into() }).await?;
    within("the other server to hear of it", async {
        loop {
            let lanes = second.list_lanes(ListLanesRequest {}).await?.into_inner().lanes;
            if lanes.iter().map(|lane| lane.weight).eq([1, 1000, 1]) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await?;
    let jobs = two.second.jobs("alice").await?;
    for lane in [Lane::Premium, Lane::Premium, Lane::Normal, Lane::Normal, Lane::Normal] {
        let header = SubmitJobHeader { kind: "test".into(), lane: lane.into(), ..SubmitJobHeader::default() };
        accepted(jobs.submit_with(header, b"%PDF-1.4".to_vec()).await?)?;
    }
    let mut worker = two.worker(&two.second.grpc, 1)?;
    let mut served = Vec::new();
    for _ in 0..5 {
        let work = worker.next().await?;
        let id = work.task.job_id().to_owned();
        served.push(jobs.get(&id).await?.lane());
        work.succeed();
    }
    // By the flags, 6 to 3, the second one of the premium lane would come before the normal lane's second.
    ensure!(served == [Lane::Premium, Lane::Normal, Lane::Normal, Lane::Normal, Lane::Premium], "{served:?}");
    Ok(())
}
