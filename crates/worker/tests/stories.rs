//! The SDK against a server that the test plays, one story each.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use courant_proto::v1::work_request::Message as Said;
use courant_proto::v1::work_response::Message as Reply;
use courant_proto::v1::*;
use courant_worker::Status as Standing;
use courant_worker::{CallError, Config, Error, Handler, Outcome, Page, Task, TaskError, async_trait, run};
use futures::future::BoxFuture;
use support::{FAULTY_JOB, FakeServer, LONG, assignment};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;

type Work = Box<dyn Fn(Task) -> BoxFuture<'static, Result<Outcome, TaskError>> + Send + Sync>;

struct Does(Work);

#[async_trait]
impl Handler for Does {
    async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
        (self.0)(task).await
    }
}

struct Running {
    status: watch::Receiver<Standing>,
    shutdown: CancellationToken,
    worker: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Waits until the worker stands like this with its server.
    async fn stands(&mut self, status: Standing) {
        let seen = tokio::time::timeout(LONG, self.status.wait_for(|now| *now == status)).await.is_ok();
        assert!(seen, "it is {:?}, not {status:?}", *self.status.borrow());
    }

    async fn end(self) -> Result<(), Error> {
        tokio::time::timeout(LONG, self.worker).await.expect("the worker ends").expect("no panic")
    }
}

fn config(server: &FakeServer) -> Config {
    let mut config = Config::new(server.url(), Arc::new(|| "token".to_owned()), "w-1", ["text"]);
    (config.backoff_min, config.backoff_max) = (Duration::from_millis(1), Duration::from_millis(20));
    config
}

fn start<F>(config: Config, work: impl Fn(Task) -> F + Send + Sync + 'static) -> Running
where
    F: Future<Output = Result<Outcome, TaskError>> + Send + 'static,
{
    let shutdown = CancellationToken::new();
    let handler = Arc::new(Does(Box::new(move |task| Box::pin(work(task)))));
    let status = config.status.watch();
    let worker = tokio::spawn(run(config, handler, shutdown.clone()));
    Running { status, shutdown, worker }
}

async fn until_stopped(task: Task) -> Result<Outcome, TaskError> {
    task.cancelled().cancelled().await;
    Err(TaskError::transient("STOPPED", "stopped"))
}

async fn five_pages(task: Task) -> Result<Outcome, TaskError> {
    task.plan(5).await?;
    for number in 1..=5 {
        task.page(Page { number, ..Default::default() }).await?;
    }
    Ok(Outcome::default())
}

fn page_numbers(said: &[Said]) -> Vec<i32> {
    let number = |said: &Said| match said {
        Said::Page(report) => report.page.as_ref().map(|page| page.number),
        _ => None,
    };
    said.iter().filter_map(number).collect()
}

#[tokio::test]
async fn a_job_runs_from_assignment_to_success() {
    let mut server = FakeServer::start().await;
    let worker = start(config(&server), five_pages);
    let (mut line, hello) = server.line().await;
    assert_eq!((hello.worker_id.as_str(), hello.slots, hello.in_flight.len()), ("w-1", 1, 0));
    line.welcome(vec![], LONG).await;
    line.assign(assignment("J", 1)).await;
    let said = line.reports().await;
    assert!(matches!(said.first(), Some(Said::Plan(plan)) if plan.pages_total == 5));
    assert_eq!(page_numbers(&said), [1, 2, 3, 4, 5]);
    assert!(matches!(said.last(), Some(Said::Succeeded(_))));
    worker.shutdown.cancel();
    while line.report().await.is_some() {}
    worker.end().await.unwrap();
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_on_the_next_stream() {
    let mut server = FakeServer::start().await;
    let _worker = start(config(&server), five_pages);
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    let mut first = Vec::new();
    while page_numbers(&first).len() < 5 {
        first.push(line.unanswered().await.unwrap());
    }
    line.fail(Status::unavailable("cut")).await;

    let (mut line, hello) = server.line().await;
    assert_eq!(
        hello.in_flight,
        [AttemptRef { job_id: "J".into(), attempt: 1, ..Default::default() }],
        "not known to have ended"
    );
    line.welcome(hello.in_flight, LONG).await;
    let said = line.reports().await;
    assert!(matches!(said.first(), Some(Said::Plan(_))));
    assert_eq!(page_numbers(&said), [1, 2, 3, 4, 5]);
    assert!(matches!(said.last(), Some(Said::Succeeded(_))));
}

#[tokio::test]
async fn what_was_acknowledged_is_not_sent_again() {
    let mut server = FakeServer::start().await;
    let go_on = Arc::new(tokio::sync::Notify::new());
    let wait = go_on.clone();
    let _worker = start(config(&server), move |task| {
        let wait = wait.clone();
        async move {
            task.page(Page { number: 1, ..Default::default() }).await?;
            wait.notified().await;
            task.page(Page { number: 2, ..Default::default() }).await?;
            Ok(Outcome::default())
        }
    });
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    assert!(matches!(line.next().await, Some(Said::Page(_))));
    assert!(matches!(line.next().await, Some(Said::Heartbeat(_))), "a batch is followed by a heartbeat");
    line.reply(Reply::HeartbeatAck(HeartbeatAck::default())).await;
    // An order behind the answer, and its own answer, show that the answer was heard.
    line.reply(Reply::Cancel(CancelAttempt {
        attempt: Some(AttemptRef { job_id: "X".into(), attempt: 9, ..Default::default() }),
    }))
    .await;
    assert!(matches!(line.report().await, Some(Said::Cancelled(_))));
    line.fail(Status::unavailable("cut")).await;

    let mut line = server.welcomed_line().await;
    go_on.notify_one();
    assert_eq!(page_numbers(&line.reports().await), [2]);
}

/// Reports page 1, and page 2 when it may.
fn two_pages(
    go_on: &Arc<tokio::sync::Notify>,
) -> impl Fn(Task) -> BoxFuture<'static, Result<Outcome, TaskError>> + use<> {
    let go_on = go_on.clone();
    move |task| {
        let go_on = go_on.clone();
        Box::pin(async move {
            task.page(Page { number: 1, ..Default::default() }).await?;
            go_on.notified().await;
            task.page(Page { number: 2, ..Default::default() }).await?;
            Ok(Outcome::default())
        })
    }
}

/// The number of the next heartbeat.
async fn heartbeat(line: &mut support::Line) -> i64 {
    match line.next().await {
        Some(Said::Heartbeat(heartbeat)) => heartbeat.number,
        other => panic!("not a heartbeat: {other:?}"),
    }
}

/// Returns once the worker has heard all that it was sent.
async fn heard(line: &mut support::Line) {
    let attempt = Some(AttemptRef { job_id: "X".into(), attempt: 9, ..Default::default() });
    line.reply(Reply::Cancel(CancelAttempt { attempt })).await;
    assert!(matches!(line.unanswered().await, Some(Said::Cancelled(_))));
}

#[tokio::test]
async fn what_an_answer_to_a_heartbeat_leaves_open_is_kept_until_the_server_has_it() {
    let pending = || Reply::HeartbeatAck(HeartbeatAck { reports_pending: true, ..HeartbeatAck::default() });
    for (taken, again) in [(false, vec![1, 2]), (true, vec![2])] {
        let mut server = FakeServer::start().await;
        let go_on = Arc::default();
        let _worker = start(config(&server), two_pages(&go_on));
        let mut line = server.welcomed_line().await;
        line.assign(assignment("J", 1)).await;
        assert!(matches!(line.next().await, Some(Said::Page(_))));
        let number = heartbeat(&mut line).await;
        assert!(number > 0);
        line.reply(pending()).await;
        // The number of no heartbeat that was sent yet says nothing.
        line.reply(Reply::ReportsTaken(ReportsTaken { number: number + 7 })).await;
        if taken {
            line.reply(Reply::ReportsTaken(ReportsTaken { number })).await;
        }
        heard(&mut line).await;
        line.fail(Status::unavailable("cut")).await;

        let mut line = server.welcomed_line().await;
        go_on.notify_one();
        assert_eq!(page_numbers(&line.reports().await), again);
    }
}

#[tokio::test]
async fn signs_of_life_go_on_while_reports_are_pending() {
    let mut server = FakeServer::start().await;
    let go_on = Arc::default();
    let _worker = start(config(&server), two_pages(&go_on));
    let (mut line, _) = server.line().await;
    line.welcome(vec![], Duration::from_millis(300)).await;
    line.assign(assignment("J", 1)).await;
    let pending = || Reply::HeartbeatAck(HeartbeatAck { reports_pending: true, ..HeartbeatAck::default() });
    let mut numbers = Vec::new();
    let begun = tokio::time::Instant::now();
    while numbers.len() < 4 {
        match line.next().await {
            Some(Said::Heartbeat(heartbeat)) => {
                numbers.push(heartbeat.number);
                line.reply(pending()).await;
            }
            Some(Said::Page(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(begun.elapsed() >= Duration::from_millis(600), "one in each interval, not one after the other");
    line.reply(Reply::ReportsTaken(ReportsTaken { number: numbers[3] })).await;
    go_on.notify_one();
    assert_eq!(page_numbers(&line.reports().await), [2]);
}

#[tokio::test]
async fn a_full_outbox_holds_the_task_until_the_server_answers() {
    let mut server = FakeServer::start().await;
    let done = Arc::new(AtomicU32::new(0));
    let counter = done.clone();
    let _worker = start(Config { outbox: 2, ..config(&server) }, move |task| {
        let counter = counter.clone();
        async move {
            for number in 1..=6 {
                task.page(Page { number, ..Default::default() }).await?;
                counter.fetch_add(1, Ordering::SeqCst);
            }
            Ok(Outcome::default())
        }
    });
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    assert!(matches!(line.next().await, Some(Said::Page(_))));
    while !matches!(line.next().await, Some(Said::Heartbeat(_))) {}
    assert!(done.load(Ordering::SeqCst) <= 3, "two wait, one may just have gone");
    line.reply(Reply::HeartbeatAck(HeartbeatAck::default())).await;
    assert_eq!(page_numbers(&line.reports().await).last(), Some(&6));
}

#[tokio::test]
async fn a_cancelled_job_is_stopped_and_said_to_be() {
    let mut server = FakeServer::start().await;
    let _worker = start(config(&server), until_stopped);
    let mut line = server.welcomed_line().await;
    for (job, by_heartbeat) in [("A", false), ("B", true)] {
        line.assign(assignment(job, 1)).await;
        let attempt = AttemptRef { job_id: job.into(), attempt: 1, ..Default::default() };
        if by_heartbeat {
            line.reply(Reply::HeartbeatAck(HeartbeatAck { cancel: vec![attempt.clone()], reports_pending: false }))
                .await;
        } else {
            line.reply(Reply::Cancel(CancelAttempt { attempt: Some(attempt.clone()) })).await;
        }
        let said = line.reports().await;
        assert!(matches!(said.last(), Some(Said::Cancelled(c)) if c.attempt == Some(attempt)), "{said:?}");
    }
}

#[tokio::test]
async fn a_handler_that_does_not_listen_is_dropped() {
    let mut server = FakeServer::start().await;
    let config = Config { stop_timeout: Duration::from_millis(10), ..config(&server) };
    let _worker = start(config, |_| std::future::pending());
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    let attempt = Some(AttemptRef { job_id: "J".into(), attempt: 1, ..Default::default() });
    line.reply(Reply::Cancel(CancelAttempt { attempt })).await;
    assert!(matches!(line.report().await, Some(Said::Cancelled(_))));
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_stopped_and_has_failed_for_good() {
    let mut server = FakeServer::start().await;
    let limit = Duration::from_millis(50);
    let config = Config { max_job_duration: limit, stop_timeout: limit, slots: 2, ..config(&server) };
    let _worker = start(config, |task| async move {
        match task.job_id() {
            "deaf" => std::future::pending().await,
            _ => until_stopped(task).await,
        }
    });
    let mut line = server.welcomed_line().await;
    for job in ["listens", "deaf"] {
        line.assign(assignment(job, 1)).await;
        let said = line.reports().await;
        let Some(Said::Failed(ReportFailed { error: Some(error), .. })) = said.last() else { panic!("{said:?}") };
        assert_eq!((error.code.as_str(), error.retryable), ("JOB_TIMED_OUT", false));
        assert!(error.message.contains("Stopped after 0.050 seconds"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_lost_lease_stops_the_task_and_nothing_more_is_said() {
    let mut server = FakeServer::start().await;
    let (send, mut stopped) = tokio::sync::mpsc::unbounded_channel();
    let _worker = start(Config { slots: 3, ..config(&server) }, move |task| {
        let send = send.clone();
        async move {
            task.cancelled().cancelled().await;
            let refused = task.plan(1).await;
            send.send((task.job_id().to_owned(), matches!(refused, Err(CallError::Stopped)))).unwrap();
            Ok(Outcome::default())
        }
    });
    let mut line = server.welcomed_line().await;
    for job in ["A", "B", "C"] {
        line.assign(assignment(job, 1)).await;
    }
    let attempt = Some(AttemptRef { job_id: "A".into(), attempt: 1, ..Default::default() });
    line.reply(Reply::LeaseLost(LeaseLost { attempt })).await;
    assert_eq!(stopped.recv().await, Some(("A".into(), true)));

    // The next stream: B is still ours, C is not.
    line.fail(Status::unavailable("cut")).await;
    let (mut line, hello) = server.line().await;
    let names: Vec<&str> = hello.in_flight.iter().map(|attempt| attempt.job_id.as_str()).collect();
    assert_eq!(names, ["B", "C"]);
    line.welcome(vec![hello.in_flight[0].clone()], LONG).await;
    assert_eq!(stopped.recv().await, Some(("C".into(), true)));
    let attempt = Some(AttemptRef { job_id: "B".into(), attempt: 1, ..Default::default() });
    line.reply(Reply::Cancel(CancelAttempt { attempt: attempt.clone() })).await;
    assert!(matches!(line.report().await, Some(Said::Cancelled(c)) if c.attempt == attempt));
}

#[tokio::test]
async fn a_silent_server_is_left_for_a_new_stream() {
    let mut server = FakeServer::start().await;
    let _worker = start(config(&server), until_stopped);
    let (mut line, _) = server.line().await;
    line.welcome(vec![], Duration::from_millis(20)).await;
    assert!(matches!(line.next().await, Some(Said::Heartbeat(_))), "an idle worker shows that it lives");
    let (_again, _) = server.line().await;
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_worker_lives_on() {
    let mut server = FakeServer::start().await;
    let _worker = start(config(&server), |task| async move {
        if task.number() == 1 {
            panic!("a fault in the handler");
        }
        Ok(Outcome { warnings: vec!["w".into()] })
    });
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    let said = line.reports().await;
    let Some(Said::Failed(ReportFailed { error: Some(error), .. })) = said.last() else { panic!("{said:?}") };
    assert_eq!((error.code.as_str(), error.retryable), ("WORKER_FAULT", true));
    line.assign(assignment("J", 2)).await;
    assert!(matches!(line.reports().await.last(), Some(Said::Succeeded(s)) if s.warnings == ["w"]));
}

#[tokio::test]
async fn a_shutdown_lets_a_job_finish_within_the_grace_period() {
    let mut server = FakeServer::start().await;
    let finish = Arc::new(tokio::sync::Notify::new());
    let wait = finish.clone();
    let worker = start(config(&server), move |_| {
        let wait = wait.clone();
        async move {
            wait.notified().await;
            Ok(Outcome::default())
        }
    });
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    worker.shutdown.cancel();
    assert!(matches!(line.report().await, Some(Said::Slots(ChangeSlots { slots: 0 }))), "nothing new, please");
    // A job that was given all the same is handed back at once, and a new stream has no slot free.
    line.reply(Reply::Assignment(assignment("K", 1))).await;
    assert!(matches!(line.report().await, Some(Said::Released(r)) if r.attempt.as_ref().unwrap().job_id == "K"));
    line.fail(Status::unavailable("cut")).await;
    let (mut line, hello) = server.line().await;
    assert_eq!((hello.slots, hello.in_flight.len()), (0, 1));
    line.welcome(hello.in_flight, LONG).await;
    finish.notify_one();
    assert!(matches!(line.reports().await.last(), Some(Said::Succeeded(_))));
    while line.report().await.is_some() {}
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_hands_back_what_takes_too_long() {
    let mut server = FakeServer::start().await;
    let worker = start(Config { grace: Duration::from_millis(10), ..config(&server) }, until_stopped);
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    worker.shutdown.cancel();
    let said = line.reports().await;
    assert!(matches!(said.first(), Some(Said::Slots(ChangeSlots { slots: 0 }))), "before anything is handed back");
    assert!(matches!(said.last(), Some(Said::Released(_))));
    while line.report().await.is_some() {}
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_server_that_refuses_ends_the_worker_one_that_is_away_does_not() {
    let mut server = FakeServer::start().await;
    let worker = start(config(&server), until_stopped);
    let (line, _) = server.line().await;
    line.fail(Status::unavailable("not yet")).await;
    let (line, _) = server.line().await;
    line.fail(Status::permission_denied("the token lacks the role worker")).await;
    let refused = worker.end().await;
    assert!(matches!(refused, Err(Error::Refused(why)) if why.contains("role worker")));
}

#[tokio::test]
async fn a_fault_of_the_server_does_not_fail_the_job_for_good() {
    let mut server = FakeServer::start().await;
    let _worker = start(config(&server), |task| async move {
        let folder = tempfile::tempdir().unwrap();
        task.read_document(&folder.path().join("document")).await?;
        Ok(Outcome::default())
    });
    let mut line = server.welcomed_line().await;
    line.assign(assignment(FAULTY_JOB, 1)).await;
    let said = line.reports().await;
    let Some(Said::Failed(failed)) = said.last() else { panic!("{said:?}") };
    let error = failed.error.as_ref().unwrap();
    assert_eq!((error.code.as_str(), error.retryable), ("SERVER_FAILED", true), "{}", error.message);
}

#[tokio::test]
async fn documents_and_artifacts_are_tried_again_and_checked() {
    let mut server = FakeServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("document");
    let (target, memory) = (path.clone(), server.memory.clone());
    let _worker = start(config(&server), move |task| {
        let (path, memory) = (target.clone(), memory.clone());
        async move {
            task.read_document(&path).await?;
            // A file is read again from its beginning.
            memory.failing_calls.store(1, Ordering::SeqCst);
            let stored = task.write_artifact("result.json", path.clone()).await?;
            assert_eq!(stored.sha256, task.document_sha256());
            let back = task.read_artifact(1, "result.json").await?;
            assert_eq!(back, std::fs::read(&path).unwrap());
            assert!(matches!(task.read_artifact(1, "nothing").await, Err(CallError::NotFound)));
            Ok(Outcome::default())
        }
    });
    let document = bytes::Bytes::from(vec![7u8; 300_000]);
    server.memory.documents.lock().unwrap().insert("J".into(), document.clone());
    server.memory.failing_calls.store(2, Ordering::SeqCst);
    let mut line = server.welcomed_line().await;
    let sha256 = "0bed63eaf30eebd5cb1fc17b2bfdaaa8d9df9babc59a8e9b0f7ab9e8a8a2a1d1";
    let sum: String = {
        use sha2::Digest;
        sha2::Sha256::digest(&document).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let job = Assignment { document_bytes: 300_000, document_sha256: sum, ..assignment("J", 1) };
    line.assign(job).await;
    let said = line.reports().await;
    assert!(matches!(said.last(), Some(Said::Succeeded(_))), "{said:?}");
    assert!(server.memory.tokens.lock().unwrap().iter().all(|token| token == "Bearer token"));

    // The wrong checksum is not believed, however often it comes.
    let job = Assignment { document_bytes: 300_000, document_sha256: sha256.into(), ..assignment("J", 2) };
    line.assign(job).await;
    line.reply(Reply::Cancel(CancelAttempt {
        attempt: Some(AttemptRef { job_id: "J".into(), attempt: 2, ..Default::default() }),
    }))
    .await;
    assert!(matches!(line.reports().await.last(), Some(Said::Cancelled(_))));
}

#[tokio::test]
async fn a_worker_that_is_cut_off_or_hears_nothing_is_not_ready() {
    let mut server = FakeServer::start().await;
    let mut worker = start(config(&server), until_stopped);
    assert_eq!(*worker.status.borrow(), Standing::Disconnected);
    let (line, _) = server.line().await;
    line.welcome(vec![], Duration::from_millis(100)).await;
    worker.stands(Standing::Serving).await;
    // Not a word more: after two intervals it is out, and tries again.
    worker.stands(Standing::Disconnected).await;
    drop(line);
    let line = server.welcomed_line().await;
    worker.stands(Standing::Serving).await;
    line.fail(Status::unavailable("cut")).await;
    worker.stands(Standing::Disconnected).await;
    let line = server.welcomed_line().await;
    worker.stands(Standing::Serving).await;
    worker.shutdown.cancel();
    worker.stands(Standing::Stopping).await;
    drop(line);
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_task_that_talks_without_a_break_does_not_hide_that_nobody_answers() {
    let mut server = FakeServer::start().await;
    let mut worker = start(config(&server), |task| async move {
        while !task.cancelled().is_cancelled() {
            task.progress(1.0, courant_worker::Stage::Extract, "talking", (0, 0));
            tokio::task::yield_now().await;
        }
        Ok(Outcome::default())
    });
    let (mut line, _) = server.line().await;
    line.welcome(vec![], Duration::from_millis(100)).await;
    worker.stands(Standing::Serving).await;
    line.reply(Reply::Assignment(assignment("J", 1))).await;
    // The test reads on, so the worker can always send; it answers nothing.
    tokio::select! {
        () = worker.stands(Standing::Disconnected) => {}
        () = async { while line.next().await.is_some() {} } => worker.stands(Standing::Disconnected).await,
    }
}

#[tokio::test]
async fn a_drained_worker_stays_connected_and_says_so() {
    let mut server = FakeServer::start().await;
    let mut worker = start(config(&server), until_stopped);
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    line.reply(Reply::Drain(Drain { reason: DrainReason::Operator.into() })).await;
    worker.stands(Standing::Draining).await;
    // What it has goes on, and is still cancelled on this stream.
    line.reply(Reply::Resume(Resume {})).await;
    worker.stands(Standing::Serving).await;
    let attempt = Some(AttemptRef { job_id: "J".into(), attempt: 1, ..Default::default() });
    line.reply(Reply::Cancel(CancelAttempt { attempt })).await;
    assert!(matches!(line.reports().await.last(), Some(Said::Cancelled(_))));
}

#[tokio::test]
async fn a_worker_whose_id_another_took_over_does_not_fight() {
    let mut server = FakeServer::start().await;
    let worker = start(config(&server), until_stopped);
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    line.fail(Status::aborted("another stream with the same worker id took over; give each worker its own id")).await;
    let refused = worker.end().await;
    assert!(matches!(refused, Err(Error::Refused(why)) if why.contains("its own id")));
}

#[tokio::test]
async fn a_report_that_no_server_would_take_is_not_sent() {
    let mut server = FakeServer::start().await;
    let _worker = start(config(&server), |task| async move {
        let page = Page { number: 1, warnings: vec!["x".repeat(4 << 20)], ..Default::default() };
        assert!(matches!(task.page(page).await, Err(CallError::Refused(_))));
        Ok(Outcome::default())
    });
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    let said = line.reports().await;
    assert!(page_numbers(&said).is_empty() && matches!(said.last(), Some(Said::Succeeded(_))));
}

fn deferred(job: &str) -> Reply {
    let attempt = assignment(job, 1).attempt;
    let retry_after = Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 });
    Reply::DeferReports(DeferReports { attempt, retry_after, ..DeferReports::default() })
}

#[tokio::test]
async fn deferred_reports_come_again_on_the_same_stream_and_those_of_other_jobs_go_on() {
    let mut server = FakeServer::start().await;
    let mut config = config(&server);
    config.slots = 2;
    let running = start(config, |task| async move {
        task.plan(1).await?;
        Ok(Outcome::default())
    });
    let (mut line, hello) = server.line().await;
    assert!(hello.resends_reports);
    line.welcome(vec![], Duration::from_secs(10)).await;
    line.assign(assignment("A", 1)).await;
    let mut of_a = Vec::new();
    for _ in 0..2 {
        of_a.push(line.unanswered().await.unwrap());
    }
    line.reply(deferred("A")).await;
    line.reply(Reply::HeartbeatAck(HeartbeatAck::default())).await;
    line.reply(Reply::Assignment(assignment("B", 1))).await;
    let (mut of_b, mut again) = (0, Vec::new());
    while of_b < 3 || again.len() < 3 {
        match line.report().await.unwrap() {
            Said::ResumeReports(resume) => {
                assert_eq!(resume.attempt, assignment("A", 1).attempt);
                again.push(Said::ResumeReports(resume));
            }
            said if of_a.contains(&said) => again.push(said),
            Said::Accepted(_) | Said::Plan(_) | Said::Succeeded(_) => of_b += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(again[1..], of_a, "from the first, in order");
    running.shutdown.cancel();
    while line.report().await.is_some() {}
    running.end().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever_for_reports_that_the_server_defers() {
    let mut server = FakeServer::start().await;
    let mut config = config(&server);
    config.stop_timeout = Duration::from_millis(700);
    let running = start(config, |_| async { Ok(Outcome::default()) });
    let mut line = server.welcomed_line().await;
    line.assign(assignment("A", 1)).await;
    assert!(matches!(line.unanswered().await, Some(Said::Succeeded(_))));
    line.reply(deferred("A")).await;
    running.shutdown.cancel();
    let serving = tokio::spawn(async move {
        while let Some(said) = line.next().await {
            match said {
                Said::Heartbeat(_) => line.reply(Reply::HeartbeatAck(HeartbeatAck::default())).await,
                Said::Succeeded(_) => line.reply(deferred("A")).await,
                _ => {}
            }
        }
    });
    running.end().await.unwrap();
    serving.await.unwrap();
}

/// What somebody without a token gets from the worker's address for operators.
async fn ask(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("it listens");
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("it answers");
    answer
}

#[tokio::test]
async fn a_worker_with_an_address_shows_what_it_did() {
    let mut server = FakeServer::start().await;
    let mut config = config(&server);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it has one");
    drop(free);
    config.metrics_addr = Some(address);
    let mut worker = start(config, |_| async { Ok(Outcome::default()) });
    let mut line = server.welcomed_line().await;
    worker.stands(Standing::Serving).await;
    assert!(ask(address, "/startupz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(address, "/livez").await.starts_with("HTTP/1.1 200"));
    line.assign(assignment("J", 1)).await;
    while !matches!(line.report().await, Some(Said::Succeeded(_))) {}
    let metrics = ask(address, "/metrics").await;
    for expected in [
        "courant_worker_jobs_total{outcome=\"succeeded\"} 1",
        "courant_worker_jobs_total{outcome=\"failed\"} 0",
        "courant_worker_connections 1.0",
        "courant_worker_own_slots 1.0",
        "courant_worker_job_duration_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|line| line == expected), "{expected}:\n{metrics}");
    }
    worker.shutdown.cancel();
    drop((line, server));
    let _ = worker.end().await;
}
