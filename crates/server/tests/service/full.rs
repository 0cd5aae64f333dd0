//! Disks without space: health says so, what needs no space goes on, and everything does when there is space again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use courant_proto::v1::*;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::*;

/// Set within the small disk: where it is.
const DISK: &str = "COURANT_TEST_SMALL_DISK";

/// Runs a test again in a mount namespace of its own, with a small disk. There it is given the disk.
fn on_a_small_disk<F: Future<Output = ()>>(name: &str, megabytes: u32, test: impl FnOnce(PathBuf) -> F) {
    if let Ok(disk) = std::env::var(DISK) {
        return tokio::runtime::Runtime::new().unwrap().block_on(test(disk.into()));
    }
    let disk = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=$5m none \"$1\" || exit 77; exec env \"$2=$1\" \"$3\" --exact \"$4\" --nocapture";
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(disk.path()).arg(DISK).arg(program).arg(name);
    match command.arg(megabytes.to_string()).status() {
        Ok(status) if status.success() => {}
        Ok(status) if status.code().is_some_and(|code| code == 77 || code == 1) && !is_root() => {
            eprintln!("left out: no file systems can be mounted here");
        }
        other => panic!("{other:?}"),
    }
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t")
}

fn disk() -> PathBuf {
    std::env::var(DISK).unwrap().into()
}

/// Takes what is left of the disk.
fn fill(disk: &Path) {
    use std::io::Write as _;
    let mut ballast = std::fs::File::create(disk.join("ballast")).unwrap();
    let mut piece = 1 << 20;
    while piece > 0 {
        if ballast.write_all(&vec![1; piece]).is_err() {
            piece /= 2;
        }
    }
}

fn make_space(disk: &Path) {
    std::fs::remove_file(disk.join("ballast")).unwrap();
}

/// Waits until health checks say this of a part.
async fn health(world: &World, part: &str, wanted: i32) {
    let mut client = HealthClient::new(world.channel.clone());
    let request = HealthCheckRequest { service: part.into() };
    let mut states = client.watch(request).await.unwrap().into_inner();
    let received = async { while states.message().await.unwrap().expect("the watch ended").status != wanted {} };
    tokio::time::timeout(Duration::from_secs(60), received).await.expect("health never reported it");
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

#[test]
fn a_store_without_space_is_not_ready_and_reads_and_reports_go_on() {
    let name = "full::a_store_without_space_is_not_ready_and_reads_and_reports_go_on";
    on_a_small_disk(name, 8, |small| async move {
        let world = World::tuned(|config| {
            config.objects = Some(format!("file://{}", disk().join("objects").display()));
        })
        .await;
        let id = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
        let mut worker = world.worker("w").await;
        let at = worker.take().await.attempt.unwrap();
        worker.write(&at, "pages/000001.json", b"{}").await.unwrap();
        health(&world, "courant.store", SERVING).await;
        fill(&small);
        let submit = || world.submit_with("alice", markdown_only(), &[0; 1 << 20]);
        let refused = submit().await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "STORAGE_FULL"));
        health(&world, "courant.store", NOT_SERVING).await;
        let ready = world.monitor.probes().ready(&[]);
        assert!(!ready.passes && ready.text.contains("[-] objects"), "{}", ready.text);
        // What needs no space of the store: a report about what is there already, and the end of the job.
        worker.plan(&at, 1).await;
        let page = Page { number: 1, width: 1.0, height: 1.0, ..Page::default() };
        let report = ReportPage { attempt: Some(at.clone()), page: Some(page), ..Default::default() };
        worker.send(work_request::Message::Page(report)).await;
        worker.succeed(&at).await;
        worker.sync().await;
        assert_eq!(world.job("alice", &id).await.state(), JobState::Succeeded);
        make_space(&small);
        health(&world, "courant.store", SERVING).await;
        submit().await.unwrap();
    });
}

#[test]
fn on_a_full_disk_of_the_log_jobs_are_cancelled_and_reports_wait() {
    let name = "full::on_a_full_disk_of_the_log_jobs_are_cancelled_and_reports_wait";
    on_a_small_disk(name, 12, |small| async move {
        let world = World::tuned(|config| {
            config.objects = Some(format!("file://{}", config.data_dir.join("objects").display()));
            config.data_dir = disk().join("data");
        })
        .await;
        let id = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
        let mut worker = world.stream().await;
        let work_request::Message::Hello(hello) = hello("w", 1, vec![]) else { unreachable!() };
        worker.send(work_request::Message::Hello(Hello { resends_reports: true, ..hello })).await;
        worker.order().await;
        let at = worker.take().await.attempt.unwrap();
        worker.plan(&at, 2).await;
        worker.write(&at, "pages/000001.json", b"{}").await.unwrap();
        worker.sync().await;
        health(&world, "courant.log", SERVING).await;
        fill(&small);
        let mut waiting = Vec::new();
        let refused = loop {
            match world.submit_with("alice", markdown_only(), b"x").await {
                Ok(made) => waiting.push(made.job.unwrap().job_id),
                Err(refused) => break refused,
            }
            assert!(waiting.len() < 5_000, "the disk never was full");
        };
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "STORAGE_FULL"));
        health(&world, "courant.log", NOT_SERVING).await;
        let ready = world.monitor.probes().ready(&[]);
        assert!(!ready.passes && ready.text.contains("[-] log"), "{}", ready.text);
        assert!(world.monitor.probes().live().passes, "a restart does not help");
        for id in &waiting[..5] {
            assert_eq!(world.cancel("alice", id).await.unwrap().state(), JobState::Cancelled);
        }
        let page = || {
            let page = Page { number: 1, width: 1.0, height: 1.0, ..Page::default() };
            work_request::Message::Page(ReportPage {
                attempt: Some(at.clone()),
                page: Some(page),
                ..Default::default()
            })
        };
        worker.send(page()).await;
        let sent = worker.sync().await;
        let [work_response::Message::DeferReports(deferred), _] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(deferred.reason(), ErrorReason::StorageFull);
        make_space(&small);
        health(&world, "courant.log", SERVING).await;
        worker.send(work_request::Message::ResumeReports(ResumeReports { attempt: Some(at.clone()) })).await;
        worker.send(page()).await;
        worker.succeed(&at).await;
        worker.sync().await;
        let job = world.job("alice", &id).await;
        assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1));
        world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    });
}
