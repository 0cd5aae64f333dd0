//! Children that die, hang, lie and talk too much, and jobs that are cancelled or taken over.

// Helpers of tests count as code of their own to the lint.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use courant_pdf::{ChildCommand, PdfConfig};
use courant_proto::v1::work_request::Message as Said;
use courant_proto::v1::work_response::Message as Reply;
use courant_proto::v1::{CancelAttempt, FinishedPages};
use support::{Bench, config, fixture};
use tempfile::TempDir;

const DOCUMENT: &[u8] = b"%PDF-1.7 whatever";

/// A child that is a shell script: `$n` is how many were started before it.
fn scripted(dir: &TempDir, script: &str) -> PdfConfig {
    let path = dir.path().join("child.sh");
    let counter = dir.path().join("count");
    let head = format!(
        "#!/bin/sh\nPATH=/bin:/usr/bin\nn=$(cat {0} 2>/dev/null || echo 0)\necho $((n+1)) > {0}\n\
         opened() {{ echo \"{{\\\"type\\\":\\\"opened\\\",\\\"pages\\\":$1}}\"; }}\n\
         reading() {{ echo \"{{\\\"type\\\":\\\"reading\\\",\\\"page\\\":$1}}\"; }}\n\
         page() {{ reading $1; echo \"{{\\\"type\\\":\\\"page\\\",\\\"page\\\":{{\\\"version\\\":1,\\\"number\\\":$1,\
         \\\"width\\\":100,\\\"height\\\":100,\\\"duration_ms\\\":1,\\\"zones\\\":[]}}}}\"; }}\n\
         done_() {{ echo '{{\"type\":\"done\"}}'; }}\n",
        counter.display()
    );
    std::fs::write(&path, head + script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut config = PdfConfig::new(ChildCommand { program: path, args: vec![] });
    config.work_dir = dir.path().to_owned();
    config
}

fn children(dir: &TempDir) -> u32 {
    std::fs::read_to_string(dir.path().join("count")).unwrap().trim().parse().unwrap()
}

async fn ended(config: PdfConfig) -> support::Finished {
    let mut bench = Bench::start(config).await;
    let job = bench.job(DOCUMENT);
    bench.run(job).await
}

#[tokio::test]
async fn a_page_that_kills_the_child_costs_that_page_only() {
    let dir = TempDir::new().unwrap();
    let script = "if [ $n = 0 ]; then opened 3; page 1; reading 2; kill -SEGV $$; fi\nopened 3; page 3; done_\n";
    let finished = ended(scripted(&dir, script)).await;
    assert_eq!(finished.warnings(), ["Page 2: this page could not be read: the PDF reader failed on it."]);
    let numbers: Vec<i32> = finished.reported_pages().iter().map(|page| page.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(finished.pages()[1].unreadable);
    assert_eq!(children(&dir), 2);
}

#[tokio::test]
async fn a_document_that_kills_every_child_is_a_failed_job() {
    let dir = TempDir::new().unwrap();
    let mut config = scripted(&dir, "opened 9; [ $n = 0 ] && page 9; reading $((n+1)); kill -ABRT $$\n");
    config.child_restarts = 2;
    let finished = ended(config).await;
    assert_eq!((finished.error().code.as_str(), finished.error().retryable), ("PARSER_CRASHED", false));
    assert!(finished.error().message.contains("on page 3"), "{}", finished.error().message);
    assert_eq!(children(&dir), 3);
}

#[tokio::test]
async fn how_a_child_fails_decides_the_code() {
    let cases = [
        ("opened 1; reading 1; echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$\n", "OUT_OF_MEMORY"),
        ("kill -SEGV $$\n", "PARSER_CRASHED"),
        ("echo 'not json'\n", "PARSER_CRASHED"),
        ("opened 1; page 7; done_\n", "PARSER_CRASHED"),
        ("opened 2; page 1; done_\n", "PARSER_CRASHED"),
        ("opened 1; reading 1; head -c 5000000 /dev/zero\n", "RESULT_TOO_LARGE"),
        ("opened 1; reading 1; exec sleep 60\n", "PAGE_TIMEOUT"),
        ("exec sleep 60\n", "PAGE_TIMEOUT"),
        ("echo '{\"type\":\"refused\",\"why\":\"no_pages\",\"detail\":\"\"}'\n", "NO_PAGES"),
        ("echo '{\"type\":\"refused\",\"why\":\"setup\",\"detail\":\"\"}'\n", "WORKER_FAULT"),
    ];
    for (script, code) in cases {
        let dir = TempDir::new().unwrap();
        let mut config = scripted(&dir, script);
        config.max_page_bytes = 1 << 20;
        (config.page_timeout, config.idle_timeout) = (Duration::from_millis(300), Duration::from_millis(600));
        let finished = ended(config).await;
        assert_eq!(finished.error().code, code, "{script}: {}", finished.error().message);
        assert_eq!(finished.error().retryable, code == "WORKER_FAULT", "{script}");
    }
}

#[tokio::test]
async fn limits_are_kept_by_the_real_child() {
    let mut few = config();
    few.max_pages = 119;
    let mut bench = Bench::start(few).await;
    let job = bench.job(&fixture("cc-by-sa-4.0/pages-120.pdf"));
    let finished = bench.run(job).await;
    assert_eq!(finished.error().code, "TOO_MANY_PAGES");
    assert!(finished.error().message.contains("119"));

    let mut small = config();
    small.max_document_bytes = 1000;
    let mut bench = Bench::start(small).await;
    let job = bench.job(&fixture("mit/japanese.pdf"));
    assert_eq!(bench.run(job).await.error().code, "RESULT_TOO_LARGE");

    let mut poor = config();
    poor.child_memory_bytes = 24 << 20;
    let mut bench = Bench::start(poor).await;
    let mut large = fixture("mit/japanese.pdf");
    large.resize(30 << 20, b' ');
    let job = bench.job(&large);
    let finished = bench.run(job).await;
    assert_eq!(finished.error().code, "OUT_OF_MEMORY");
}

#[tokio::test]
async fn a_cancel_kills_the_child_and_all_it_started_within_a_second() {
    let dir = TempDir::new().unwrap();
    let grandchild = dir.path().join("grandchild");
    let script = format!("sleep 1000 & echo $! > {}\nopened 5; page 1; reading 2; wait\n", grandchild.display());
    let mut bench = Bench::start(scripted(&dir, &script)).await;
    let job = bench.job(DOCUMENT);
    let attempt = job.attempt.clone();
    bench.line.assign(job).await;
    while !matches!(bench.line.report().await, Some(Said::Page(_))) {}
    let pid = std::fs::read_to_string(&grandchild).unwrap();
    assert!(is_alive(&pid));
    let start = std::time::Instant::now();
    bench.line.reply(Reply::Cancel(CancelAttempt { attempt })).await;
    let said = bench.line.reports().await;
    assert!(matches!(said.last(), Some(Said::Cancelled(_))), "{said:?}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    while is_alive(&pid) {
        assert!(start.elapsed() < Duration::from_secs(1), "the grandchild lives on");
        tokio::task::yield_now().await;
    }
    let left: Vec<PathBuf> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!left.iter().any(|path| path.is_dir()), "temporary files are left: {left:?}");
}

/// A process that is there and not only waiting to be collected.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_second_attempt_takes_over_the_pages_of_the_first() {
    let mut bench = Bench::start(config()).await;
    let job = bench.job(&fixture("cc-by-sa-4.0/two-columns.pdf"));
    let first = bench.run(job.clone()).await;
    let mut job = job;
    let mut attempt = job.attempt.clone().unwrap();
    // The artifact of page 2 is gone, that of page 3 is broken: both are done again, page 1 is not.
    {
        let mut artifacts = bench.server.memory.artifacts.lock().unwrap();
        artifacts.remove(&(attempt.job_id.clone(), 1, "pages/000002.json".into()));
        artifacts.insert((attempt.job_id.clone(), 1, "pages/000003.json".into()), "{".into());
    }
    attempt.attempt = 2;
    job.attempt = Some(attempt);
    job.pages_total = 3;
    job.finished_pages = vec![FinishedPages { first: 1, last: 3, attempt: 1 }];
    let second = bench.run(job).await;
    let numbers: Vec<i32> = second.reported_pages().iter().map(|page| page.number).collect();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(second.text("result.md"), first.text("result.md"));
    assert!(!second.has("pages/000001.json"));
}
