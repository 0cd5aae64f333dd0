//! Children that die, hang, lie and talk too much, and jobs that are cancelled or taken over.

// Helpers of tests count as code of their own to the lint.
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Bench, config, fixture};
use courant_pdf::{ChildCommand, PdfConfig};
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Reply;
use courant_proto::v1::{AttemptRef, CancelAttempt, FinishedPages, HeartbeatAck, LeaseLost};
use tempfile::TempDir;

const DOCUMENT: &[u8] = b"%PDF-1.7 whatever";

/// A child that is a shell script: `$n` is how many were started before it. It does what it is told, with `on_open` and,
/// for every page, `each` as the test defines them.
fn scripted(dir: &TempDir, script: &str) -> PdfConfig {
    let path = dir.path().join("child.sh");
    let counter = dir.path().join("count");
    let head = format!(
        "#!/bin/sh\nPATH=/bin:/usr/bin\nn=$(cat {0} 2>/dev/null || echo 0)\necho $((n+1)) > {0}\n\
         opened() {{ echo \"{{\\\"type\\\":\\\"opened\\\",\\\"pages\\\":$1}}\"; }}\n\
         reading() {{ echo \"{{\\\"type\\\":\\\"reading\\\",\\\"page\\\":$1}}\"; }}\n\
         drawing() {{ echo \"{{\\\"type\\\":\\\"drawing\\\",\\\"page\\\":$1}}\"; }}\n\
         page() {{ reading $1; echo \"{{\\\"type\\\":\\\"page\\\",\\\"page\\\":{{\\\"version\\\":1,\\\"number\\\":$1,\
         \\\"width\\\":100,\\\"height\\\":100,\\\"duration_ms\\\":1,\\\"zones\\\":[]}}}}\"; }}\n\
         each() {{ page $1; }}\n",
        counter.display()
    );
    let tail = "\nwhile read -r order; do case $order in\n\
        '{\"open\"'*) on_open;;\n\
        '{\"survey\"'*) echo '{\"type\":\"surveyed\",\"survey\":{\"hints\":[]}}';;\n\
        '{\"read\"'*)\n\
        undrawn=$(echo \"$order\" | sed 's/.*\"undrawn\":\\[\\([0-9,]*\\).*/\\1/')\n\
        p=$(echo \"$order\" | sed 's/.*\"first\":\\([0-9]*\\).*/\\1/')\n\
        last=$(echo \"$order\" | sed 's/.*\"last\":\\([0-9]*\\).*/\\1/')\n\
        while [ $p -le $last ]; do each $p; p=$((p+1)); done\n\
        echo '{\"type\":\"done\"}';;\n\
        esac; done\n";
    std::fs::write(&path, head + script + tail).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut config = PdfConfig::new(ChildCommand { program: path, args: vec![] });
    config.work_dir = dir.path().to_owned();
    config.children = 1;
    config
}

fn children(dir: &TempDir) -> u32 {
    std::fs::read_to_string(dir.path().join("count")).unwrap().trim().parse().unwrap()
}

async fn ended(config: PdfConfig) -> crate::support::Finished {
    let mut bench = Bench::start(config).await;
    let job = bench.job(DOCUMENT);
    bench.run(job).await
}

/// The pages that were reported, in order.
fn numbers(finished: &crate::support::Finished) -> Vec<i32> {
    let mut numbers: Vec<i32> = finished.reported_pages().iter().map(|page| page.number).collect();
    numbers.sort_unstable();
    numbers
}

/// The result says so in a sentence; the job hears it with the page, and only once.
fn lost_page_2(finished: &crate::support::Finished) {
    let why = "this page could not be read: the PDF reader failed on it";
    let page = finished.reported_pages().into_iter().find(|page| page.number == 2).unwrap();
    assert_eq!((page.warnings.as_slice(), finished.warnings()), (&[why.to_owned()][..], &[] as &[String]));
    let result: serde_json::Value = serde_json::from_slice(finished.artifact("result.json")).unwrap();
    assert_eq!(result["warnings"], serde_json::json!([format!("Page 2: {why}.")]));
}

const CRASH_ON_2: &str = "on_open() { opened 3; }\neach() { [ $1 = 2 ] && { reading 2; kill -SEGV $$; }; page $1; }\n";

#[tokio::test]
async fn a_page_that_kills_the_child_costs_that_page_only() {
    let dir = TempDir::new().unwrap();
    let finished = ended(scripted(&dir, CRASH_ON_2)).await;
    lost_page_2(&finished);
    assert_eq!(numbers(&finished), [1, 2, 3]);
    assert!(finished.pages()[1].unreadable && !finished.pages()[2].unreadable);
    assert_eq!(children(&dir), 3, "one for the chunk, one for page 2 alone, one for what is left");
}

#[tokio::test]
async fn a_page_that_was_only_the_last_straw_is_read_by_a_child_of_its_own() {
    let dir = TempDir::new().unwrap();
    let script = "on_open() { opened 3; }\neach() { [ $n$1 = 02 ] && { reading 2; kill -SEGV $$; }; page $1; }\n";
    let finished = ended(scripted(&dir, script)).await;
    assert!(finished.warnings().is_empty());
    assert_eq!((numbers(&finished), children(&dir)), (vec![1, 2, 3], 2));
}

#[tokio::test]
async fn a_page_that_dies_of_its_pictures_is_read_without_them() {
    let dir = TempDir::new().unwrap();
    let script = "on_open() { opened 2; }\n\
        each() { [ $1 = 2 ] && [ \"$undrawn\" != 2 ] && { reading 2; drawing 2; kill -SEGV $$; }; page $1; }\n";
    let finished = ended(scripted(&dir, script)).await;
    assert!(finished.warnings().is_empty());
    assert_eq!((numbers(&finished), children(&dir)), (vec![1, 2], 2));
}

#[tokio::test]
async fn a_page_that_hangs_or_never_comes_costs_that_page_only() {
    for each in ["[ $1 = 2 ] && { reading 2; exec sleep 60; }; page $1", "[ $1 = 2 ] || page $1"] {
        let dir = TempDir::new().unwrap();
        let mut config = scripted(&dir, &format!("on_open() {{ opened 3; }}\neach() {{ {each}; }}\n"));
        config.page_timeout = Duration::from_millis(300);
        let finished = ended(config).await;
        lost_page_2(&finished);
        assert_eq!(numbers(&finished), [1, 2, 3], "{each}");
    }
}

#[tokio::test]
async fn a_document_that_kills_every_child_is_a_failed_job() {
    let dir = TempDir::new().unwrap();
    let mut config = scripted(&dir, "on_open() { opened 9; }\neach() { reading $1; kill -ABRT $$; }\n");
    config.child_restarts = 2;
    let finished = ended(config).await;
    assert_eq!((finished.error().code.as_str(), finished.error().retryable), ("PARSER_CRASHED", false));
    assert!(finished.error().message.contains("on page 2"), "{}", finished.error().message);
    assert_eq!(children(&dir), 3);
}

#[tokio::test]
async fn how_a_child_fails_decides_the_code() {
    let memory = "echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$";
    let cases = [
        ("opened 1", &*format!("reading 1; {memory}"), "OUT_OF_MEMORY"),
        ("kill -SEGV $$", "", "PARSER_CRASHED"),
        ("echo 'not json'", "", "PARSER_CRASHED"),
        ("opened 1", "page 7", "PARSER_CRASHED"),
        ("opened 1", "echo '{\"type\":\"opened\",\"pages\":9}'", "PARSER_CRASHED"),
        ("opened 1", "reading 1; head -c 5000000 /dev/zero", "RESULT_TOO_LARGE"),
        ("opened 1", "reading 1; exec sleep 60", "PAGE_TIMEOUT"),
        ("exec sleep 60", "", "PAGE_TIMEOUT"),
        ("echo '{\"type\":\"refused\",\"why\":\"no_pages\",\"detail\":\"\"}'", "", "NO_PAGES"),
        ("echo '{\"type\":\"refused\",\"why\":\"setup\",\"detail\":\"\"}'", "", "WORKER_FAULT"),
    ];
    for (open, each, code) in cases {
        let dir = TempDir::new().unwrap();
        let each = if each.is_empty() { ":" } else { each };
        let mut config = scripted(&dir, &format!("on_open() {{ {open}; }}\neach() {{ {each}; }}\n"));
        config.max_page_bytes = 1 << 20;
        (config.page_timeout, config.idle_timeout) = (Duration::from_millis(300), Duration::from_millis(600));
        let finished = ended(config).await;
        assert_eq!(finished.error().code, code, "{open} {each}: {}", finished.error().message);
        assert_eq!(finished.error().retryable, code == "WORKER_FAULT", "{open} {each}");
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
    poor.child_memory_bytes = 64 << 20;
    let mut bench = Bench::start(poor).await;
    let mut large = fixture("mit/japanese.pdf");
    large.resize(80 << 20, b' ');
    let job = bench.job(&large);
    let finished = bench.run(job).await;
    assert_eq!(finished.error().code, "OUT_OF_MEMORY");
}

#[tokio::test]
async fn a_cancel_kills_the_child_and_all_it_started_within_a_second() {
    let dir = TempDir::new().unwrap();
    let grandchild = dir.path().join("grandchild");
    let script = format!(
        "on_open() {{ sleep 1000 & echo $! > {}; opened 5; }}\n\
         each() {{ [ $1 = 2 ] && {{ reading 2; wait; }}; page $1; }}\n",
        grandchild.display()
    );
    let mut bench = Bench::start(scripted(&dir, &script)).await;
    let job = bench.job(DOCUMENT);
    let attempt = job.attempt.clone();
    bench.line.assign(job).await;
    while !matches!(bench.line.report().await, Some(Report::Page(_))) {}
    let pid = std::fs::read_to_string(&grandchild).unwrap();
    assert!(is_alive(&pid));
    let start = std::time::Instant::now();
    bench.line.reply(Reply::Cancel(CancelAttempt { attempt })).await;
    let said = bench.line.reports().await;
    assert!(matches!(said.last(), Some(Report::Cancelled(_))), "{said:?}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    while is_alive(&pid) {
        assert!(start.elapsed() < Duration::from_secs(1), "the grandchild lives on");
        tokio::task::yield_now().await;
    }
    let left: Vec<PathBuf> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!left.iter().any(|path| path.is_dir()), "temporary files are left: {left:?}");
}

/// How a job of a child that is at work may end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Cancel,
    Silence,
    TimeOut,
    Budget,
    Shutdown,
    Lost,
}

#[tokio::test]
async fn when_a_job_is_told_as_over_its_children_are_gone() {
    use Ending::{Budget, Cancel, Lost, Shutdown, Silence, TimeOut};
    for ending in [Cancel, Silence, TimeOut, Budget, Shutdown, Lost] {
        let dir = TempDir::new().unwrap();
        let pid = dir.path().join("pid");
        let script = format!(
            "on_open() {{ opened 5; }}\neach() {{ [ $1 = 2 ] && {{ reading 2; echo $$ > {}; while :; do :; done; }}; page $1; }}\n",
            pid.display()
        );
        let mut config = scripted(&dir, &script);
        config.child_restarts = 0;
        match ending {
            Silence => config.page_timeout = Duration::from_millis(300),
            Budget => {
                (config.allowance.cpu, config.allowance.cpu_per_page) = (Duration::from_millis(500), Duration::ZERO)
            }
            _ => {}
        }
        let mut bench = Bench::with(config, |worker| {
            worker.grace = Duration::ZERO;
            if ending == TimeOut {
                worker.max_job_duration = Duration::from_secs(1);
            }
        })
        .await;
        let job = bench.job(DOCUMENT);
        let attempt = job.attempt.clone();
        bench.line.assign(job).await;
        while !matches!(bench.line.report().await, Some(Report::Page(_))) {}
        while std::fs::read_to_string(&pid).unwrap_or_default().is_empty() {
            tokio::task::yield_now().await;
        }
        let process = Path::new("/proc").join(std::fs::read_to_string(&pid).unwrap().trim());
        match ending {
            Cancel => bench.line.reply(Reply::Cancel(CancelAttempt { attempt })).await,
            Lost => bench.line.reply(Reply::LeaseLost(LeaseLost { attempt })).await,
            Shutdown => bench.shutdown.cancel(),
            Silence | TimeOut | Budget => {}
        }
        if ending == Lost {
            // Nobody is told of it; it is soon gone.
            let start = std::time::Instant::now();
            while process.exists() {
                assert!(start.elapsed() < Duration::from_secs(5), "it lives on");
                tokio::task::yield_now().await;
            }
            continue;
        }
        let said = bench.line.reports().await;
        let is_right = match (ending, said.last().unwrap()) {
            (Cancel, Report::Cancelled(_)) | (Shutdown, Report::Released(_)) => true,
            (Silence | TimeOut | Budget, Report::Failed(failed)) => {
                let code = failed.error.as_ref().unwrap().code.as_str();
                code == [("PAGE_TIMEOUT", Silence), ("JOB_TIMED_OUT", TimeOut), ("DOCUMENT_TOO_EXPENSIVE", Budget)]
                    .into_iter()
                    .find_map(|(code, of)| (of == ending).then_some(code))
                    .unwrap()
            }
            _ => false,
        };
        assert!(is_right, "{ending:?}: {said:?}");
        assert!(!process.exists(), "{ending:?}: the child is still there");
    }
}

#[tokio::test]
async fn a_child_that_was_killed_from_outside_is_not_the_documents_fault() {
    let dir = TempDir::new().unwrap();
    let finished = ended(scripted(&dir, "on_open() { kill -KILL $$; }\n")).await;
    assert_eq!((finished.error().code.as_str(), finished.error().retryable), ("PARSER_KILLED", true));
}

#[tokio::test]
async fn a_frozen_child_holds_neither_the_stream_nor_the_heartbeats() {
    let dir = TempDir::new().unwrap();
    let mut server = crate::support::FakeServer::start().await;
    let config = scripted(&dir, "on_open() { opened 5; }\neach() { reading $1; kill -STOP $$; }\n");
    let mut worker = courant_worker::Config::new(server.url(), std::sync::Arc::new(String::new), "pdf-1", ["pdf"]);
    worker.slots = 1;
    let handler = std::sync::Arc::new(courant_pdf::PdfWorker::new(config));
    let running = tokio::spawn(courant_worker::run(worker, handler, tokio_util::sync::CancellationToken::new()));
    let (mut line, hello) = server.line().await;
    line.welcome(hello.in_flight, Duration::from_millis(200)).await;
    let job = crate::support::assignment(&server, "J", DOCUMENT);
    line.assign(job).await;
    for _ in 0..5 {
        while !matches!(line.next().await.unwrap(), Report::Heartbeat(_)) {}
        line.reply(Reply::HeartbeatAck(HeartbeatAck::default())).await;
    }
    let attempt = Some(AttemptRef { job_id: "J".into(), attempt: 1, ..Default::default() });
    line.reply(Reply::Cancel(CancelAttempt { attempt })).await;
    while !matches!(line.report().await.unwrap(), Report::Cancelled(_)) {}
    running.abort();
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
    assert_eq!(numbers(&second), [2, 3]);
    assert_eq!(second.text("result.md"), first.text("result.md"));
    assert!(!second.has("pages/000001.json"));
}
