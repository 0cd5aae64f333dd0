//! What workers send that makes no sense. Whoever holds the job loses it with a reason; whoever does not changes
//! nothing; and nothing is left behind.

use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::*;
use tonic::Code;

use crate::support::{Worker, *};

type Nonsense = fn(Option<AttemptRef>) -> Report;

fn progress(attempt: Option<AttemptRef>, percent: f64) -> Report {
    let stage = Stage::Extract.into();
    Report::Progress(ReportProgress { attempt, percent, stage, ..ReportProgress::default() })
}

fn plan(attempt: Option<AttemptRef>, pages_total: i32) -> Report {
    Report::Plan(ReportPlan { attempt, pages_total, document_pages: 0 })
}

fn page(attempt: Option<AttemptRef>, page: Page) -> Report {
    Report::Page(ReportPage { attempt, page: Some(page), ..Default::default() })
}

fn zoned(attempt: Option<AttemptRef>, change: fn(&mut Zone)) -> Report {
    let mut zone = zone(1);
    change(&mut zone);
    Report::Zone(ReportZone { attempt, zone: Some(zone) })
}

fn failed(attempt: Option<AttemptRef>, code: &str, message: &str) -> Report {
    let error = JobError { code: code.into(), message: message.into(), retryable: true };
    Report::Failed(ReportFailed { attempt, error: Some(error) })
}

fn completed(attempt: Option<AttemptRef>, format: i32) -> Report {
    Report::ExportCompleted(ReportExportCompleted { attempt, format })
}

fn output(attempt: Option<AttemptRef>, name: &str, media_type: &str) -> Report {
    let (name, media_type, artifact) = (name.into(), media_type.into(), Some(b"x".as_slice().into()));
    Report::Output(ReportOutput { attempt, name, media_type, artifact })
}

/// Each alone makes no sense, in an attempt that has a plan of two pages and page 9 stored.
const INVALID_REPORTS: &[(&str, Nonsense)] = &[
    ("percent is not a number", |at| progress(at, f64::NAN)),
    ("percent is endless", |at| progress(at, f64::INFINITY)),
    ("percent is endless the other way", |at| progress(at, f64::NEG_INFINITY)),
    ("percent is negative", |at| progress(at, -0.1)),
    ("percent is over 100", |at| progress(at, 100.1)),
    ("the stage is none", |at| Report::Progress(ReportProgress { attempt: at, ..Default::default() })),
    ("the stage is unknown", |at| Report::Progress(ReportProgress { attempt: at, stage: 99, ..Default::default() })),
    ("units are negative", |at| {
        let stage = Stage::Extract.into();
        Report::Progress(ReportProgress { attempt: at, stage, units_done: -1, ..Default::default() })
    }),
    ("the sentence is long", |at| {
        let (stage, operation) = (Stage::Extract.into(), "x".repeat(256));
        Report::Progress(ReportProgress { attempt: at, stage, operation, ..Default::default() })
    }),
    ("no zone", |at| Report::Zone(ReportZone { attempt: at, zone: None })),
    ("a zone without a name", |at| zoned(at, |zone| zone.zone_id.clear())),
    ("a zone with a long name", |at| zoned(at, |zone| zone.zone_id = "z".repeat(65))),
    ("a zone of page 0", |at| zoned(at, |zone| zone.page = 0)),
    ("a zone of a negative page", |at| zoned(at, |zone| zone.page = i32::MIN)),
    ("a zone with a corner nowhere", |at| {
        zoned(at, |zone| zone.bounding_box = Some(BoundingBox { x0: f64::NAN, ..Default::default() }))
    }),
    ("a huge zone", |at| zoned(at, |zone| zone.bounding_box = Some(BoundingBox { x1: 1e300, ..Default::default() }))),
    ("a zone of an unknown kind", |at| zoned(at, |zone| zone.kind = 99)),
    ("a zone of an unknown status", |at| zoned(at, |zone| zone.status = -1)),
    ("a zone more than certain", |at| zoned(at, |zone| zone.confidence = 1.1)),
    ("a zone with a long note", |at| zoned(at, |zone| zone.note = "n".repeat(1025))),
    ("no pages", |at| plan(at, 0)),
    ("negative pages", |at| plan(at, -1)),
    ("pages without end", |at| plan(at, i32::MAX)),
    ("another plan", |at| plan(at, 3)),
    ("no page", |at| Report::Page(ReportPage { attempt: at, page: None, ..Default::default() })),
    ("page 0", |at| page(at, Page::default())),
    ("a negative page", |at| page(at, Page { number: -1, ..Page::default() })),
    ("a page over the plan", |at| page(at, Page { number: 9, ..Page::default() })),
    ("a page that was not stored", |at| page(at, Page { number: 2, ..Page::default() })),
    ("a page as wide as nothing", |at| page(at, Page { number: 1, width: f64::NAN, ..Page::default() })),
    ("a page of negative height", |at| page(at, Page { number: 1, height: -1.0, ..Page::default() })),
    ("a page with too many zones", |at| page(at, Page { number: 1, zones: vec![zone(1); 1001], ..Page::default() })),
    ("a page with too many warnings", |at| {
        page(at, Page { number: 1, warnings: vec!["w".into(); 11], ..Page::default() })
    }),
    ("a page with a long warning", |at| {
        page(at, Page { number: 1, warnings: vec!["w".repeat(1025)], ..Page::default() })
    }),
    ("an export of no format", |at| Report::ExportStarted(ReportExportStarted { attempt: at, format: 0 })),
    ("an export of an unknown format", |at| Report::ExportStarted(ReportExportStarted { attempt: at, format: 99 })),
    ("an export nobody asked for", |at| {
        Report::ExportStarted(ReportExportStarted { attempt: at, format: ResultFormat::Html.into() })
    }),
    ("an export's percent is no number", |at| {
        let format = ResultFormat::Markdown.into();
        Report::ExportProgress(ReportExportProgress { attempt: at, format, percent: f64::NAN })
    }),
    ("an export that was not stored", |at| completed(at, ResultFormat::Markdown.into())),
    ("the end of an export of an unknown format", |at| completed(at, -7)),
    ("an export failed for no reason", |at| {
        let format = ResultFormat::Markdown.into();
        Report::ExportFailed(ReportExportFailed { attempt: at, format, error: None })
    }),
    ("an output without a name", |at| output(at, "", "text/plain")),
    ("an output that leads elsewhere", |at| output(at, "../document", "text/plain")),
    ("an output with the name of an export", |at| output(at, "result.md", "text/markdown")),
    ("an output with the name of a page", |at| output(at, "pages/000001.json", "application/json")),
    ("an output that was not stored", |at| {
        Report::Output(ReportOutput { attempt: at, name: "words.txt".into(), ..Default::default() })
    }),
    ("an output of no media type", |at| output(at, "words.txt", "text")),
    ("an output that breaks a header", |at| output(at, "words.txt", "text/plain\r\nx: y")),
    ("an output of a long media type", |at| output(at, "words.txt", &format!("text/{}", "x".repeat(123)))),
    ("a huge output in a report", |at| {
        let (name, artifact) = ("words.txt".into(), Some(vec![0; (1 << 20) + 1].into()));
        Report::Output(ReportOutput { attempt: at, name, artifact, ..Default::default() })
    }),
    ("failed for no reason", |at| Report::Failed(ReportFailed { attempt: at, error: None })),
    ("failed with an odd code", |at| failed(at, "not a code", "x")),
    ("failed with no code", |at| failed(at, "", "x")),
    ("failed with a novel", |at| failed(at, "X", &"long ".repeat(1000))),
    ("done with a long warning", |at| {
        Report::Succeeded(ReportSucceeded { attempt: at, warnings: vec!["w".repeat(1025)] })
    }),
];

/// A job in a worker's hands, with a plan of two pages; the artifact of page 9 is stored.
async fn held(world: &World, worker: &mut Worker) -> AttemptRef {
    world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    let at = worker.take().await.attempt.unwrap();
    worker.plan(&at, 2).await;
    worker.write(&at, "pages/000009.json", b"{}").await.unwrap();
    worker.sync().await;
    at
}

fn is_lost(order: &Order, at: &AttemptRef) -> bool {
    matches!(order, Order::LeaseLost(lost) if lost.attempt.as_ref() == Some(at))
}

#[tokio::test]
async fn from_who_holds_the_job_it_ends_the_job_with_a_reason_and_the_worker_goes_on() {
    let world = World::new().await;
    let mut worker = world.worker("w").await;
    for (name, invalid) in INVALID_REPORTS {
        let at = held(&world, &mut worker).await;
        worker.send(invalid(Some(at.clone()))).await;
        let sent = worker.sync().await;
        assert!(is_lost(&sent[0], &at), "{name}: {sent:?}");
        let job = world.job("alice", &at.job_id).await;
        let error = job.error.clone().unwrap_or_default();
        assert_eq!((job.state(), error.code.as_str()), (JobState::Failed, "INVALID_REPORT"), "{name}");
        assert!(error.message.len() < 500 && !error.retryable, "{name}: {}", error.message);
        assert_eq!((job.pages_done, job.pages_total, job.exports.len()), (0, 2, 0), "{name} left something");
    }
}

#[tokio::test]
async fn from_anybody_else_it_changes_nothing() {
    let world = World::new().await;
    let (mut owner, mut stranger) = (world.worker("owner").await, world.worker_with("stranger", 0, vec![]).await);
    let at = held(&world, &mut owner).await;
    let (before, files) = (world.job("alice", &at.job_id).await.revision, world.files());
    let next = AttemptRef { attempt: 2, ..at.clone() };
    for (name, invalid) in INVALID_REPORTS {
        for (sender, received) in [(&mut stranger, &at), (&mut owner, &next)] {
            sender.send(invalid(Some(received.clone()))).await;
            let sent = sender.sync().await;
            assert!(is_lost(&sent[0], received), "{name}: {sent:?}");
        }
    }
    assert_eq!(world.job("alice", &at.job_id).await.revision, before);
    assert_eq!(world.files(), files);
    // And once it is over, it stays over, also for who held it.
    owner.fail(&at, false).await;
    owner.sync().await;
    let before = world.job("alice", &at.job_id).await.revision;
    for (name, invalid) in INVALID_REPORTS {
        owner.send(invalid(Some(at.clone()))).await;
        let sent = owner.sync().await;
        assert!(is_lost(&sent[0], &at), "{name}: {sent:?}");
    }
    assert_eq!(world.job("alice", &at.job_id).await.revision, before);
}

#[tokio::test]
async fn an_attempt_that_cannot_be_one_ends_the_stream_and_not_the_job() {
    let world = World::new().await;
    let odd = [
        None,
        Some(AttemptRef { job_id: String::new(), attempt: 1, ..Default::default() }),
        Some(AttemptRef { job_id: "J".into(), attempt: 0, ..Default::default() }),
        Some(AttemptRef { job_id: "J".into(), attempt: i32::MIN, ..Default::default() }),
        Some(AttemptRef { job_id: "J".repeat(1 << 20), attempt: 1, ..Default::default() }),
    ];
    let mut worker = world.worker("w").await;
    let at = held(&world, &mut worker).await;
    for odd in odd {
        worker.send(progress(odd, 1.0)).await;
        let status = worker.end().await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        worker = world.worker_with("w", 1, vec![at.clone()]).await;
        assert_eq!(worker.welcome.in_flight, std::slice::from_ref(&at), "the lease outlives the stream");
    }
}

#[tokio::test]
async fn ids_of_every_unicode_oddity_are_just_unknown() {
    let world = World::new().await;
    let mut worker = world.worker("w").await;
    for job_id in ["\0", "../..", "日本語", "e\u{301}", "\u{202e}abc", "\u{feff}", "👩‍👩‍👧‍👦", "a\nb", "'; DROP TABLE", "*.>"]
    {
        let at = AttemptRef { job_id: job_id.into(), attempt: 1, credential: "x".into(), ..Default::default() };
        worker.send(plan(Some(at.clone()), 1)).await;
        let sent = worker.sync().await;
        assert!(is_lost(&sent[0], &at), "{job_id:?}: {sent:?}");
        let refused = worker.write(&at, "x", b"x").await.unwrap_err();
        assert_eq!(reason(&refused), "LEASE_LOST", "{job_id:?}");
    }
    assert!(world.files().is_empty());
}

#[tokio::test]
async fn a_message_too_large_to_read_ends_the_stream_with_the_reason() {
    let world = World::new().await;
    let mut worker = world.worker("w").await;
    let at = held(&world, &mut worker).await;
    let operation = "x".repeat(10 << 20);
    let stage = Stage::Extract.into();
    let huge = ReportProgress { attempt: Some(at.clone()), operation, stage, ..Default::default() };
    worker.send(Report::Progress(huge)).await;
    let status = worker.end().await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{status}");
    assert_eq!(world.job("alice", &at.job_id).await.state(), JobState::Running);
}

#[tokio::test]
async fn artifacts_keep_to_their_folder_and_their_attempt() {
    let world = World::new().await;
    let (mut worker, mut stranger) = (world.worker("w").await, world.worker_with("stranger", 0, vec![]).await);
    let at = held(&world, &mut worker).await;
    let files = world.files();
    let names = [
        "",
        "/",
        ".",
        "..",
        "../x",
        "a/../b",
        "a/b/c",
        "/etc/passwd",
        "a//b",
        "a/",
        ".hidden",
        "a/.b",
        "A",
        "ä",
        "a b",
        "a\\b",
        "a\0b",
        "a\nb",
        "%2e%2e",
        "a*",
        "日本",
        "e\u{301}",
        "\u{202e}x",
    ];
    for name in names.map(str::to_owned).into_iter().chain(["x".repeat(129), "x".repeat(1 << 20)]) {
        let refused = worker.write(&at, &name, b"x").await.unwrap_err();
        let received: String = name.chars().take(40).collect();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::InvalidArgument, "INVALID_FIELD"),
            "{received:?}"
        );
        let read = ReadArtifactRequest { attempt: Some(at.clone()), written_by: 1, name };
        assert_eq!(reason(&worker.client.read_artifact(read).await.unwrap_err()), "INVALID_FIELD", "{received:?}");
    }
    for attempt in [0, -1] {
        let never = AttemptRef { attempt, ..at.clone() };
        assert_eq!(reason(&worker.write(&never, "x", b"x").await.unwrap_err()), "INVALID_FIELD");
    }
    let other = AttemptRef { attempt: 2, ..at.clone() };
    assert_eq!(reason(&worker.write(&other, "x", b"x").await.unwrap_err()), "LEASE_LOST");
    worker.fail(&at, false).await;
    worker.sync().await;
    assert_eq!(reason(&stranger.write(&at, "x", b"x").await.unwrap_err()), "LEASE_LOST", "a finished attempt");
    assert_eq!(world.files(), files, "something was left behind");
}

#[tokio::test]
async fn an_artifact_of_an_attempt_that_ends_meanwhile_leaves_nothing() {
    use write_artifact_request::Part;
    let world = World::new().await;
    let mut worker = world.worker("w").await;
    let at = held(&world, &mut worker).await;
    let files = world.files();
    for cut in [false, true] {
        let (send, parts) = tokio::sync::mpsc::channel(4);
        let part = |part| WriteArtifactRequest { part: Some(part) };
        let header = WriteArtifactHeader { attempt: Some(at.clone()), name: "late.txt".into() };
        send.send(part(Part::Header(header))).await.unwrap();
        send.send(part(Part::Chunk(vec![b'x'; 1000].into()))).await.unwrap();
        let mut client = worker.client.clone();
        let parts = tokio_stream::wrappers::ReceiverStream::new(parts);
        let writing = tokio::spawn(async move { client.write_artifact(parts).await });
        if cut {
            worker.sync().await;
            writing.abort();
            continue;
        }
        worker.sync().await;
        worker.fail(&at, true).await;
        worker.sync().await;
        drop(send);
        assert_eq!(reason(&writing.await.unwrap().unwrap_err()), "LEASE_LOST");
    }
    // The store cleans up behind a cut stream by itself, in its own time.
    while world.files() != files {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_flood_of_nonsense_is_answered_and_does_no_harm() {
    const FLOOD: usize = 5_000;
    let world = World::new().await;
    let mut fool = world.worker_with("fool", 0, vec![]).await;
    let mut worker = world.worker("w").await;
    let at = held(&world, &mut worker).await;
    let begun = std::time::Instant::now();
    let mut lost = 0;
    for n in 0..FLOOD {
        let (_, invalid) = INVALID_REPORTS[n % INVALID_REPORTS.len()];
        let job_id = if n % 2 == 0 { at.job_id.clone() } else { format!("J{n}") };
        fool.send(invalid(Some(AttemptRef { job_id, attempt: 1, ..Default::default() }))).await;
        lost += usize::from(matches!(fool.order().await, Order::LeaseLost(_)));
    }
    println!("{FLOOD} senseless reports answered in {:?}", begun.elapsed());
    assert_eq!(lost, FLOOD);
    worker.page(&at, 1).await;
    worker.page(&at, 2).await;
    worker.succeed(&at).await;
    worker.sync().await;
    assert_eq!(world.job("alice", &at.job_id).await.state(), JobState::Succeeded);
}
