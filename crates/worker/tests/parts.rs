//! Large documents in parts, as the SDK does them against a server that the test plays.

mod support;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::work_request::Message as Said;
use courant_proto::v1::work_response::Message as Reply;
use courant_proto::v1::*;
use courant_worker::{Config, Handler, Outcome, Page, SplitEvent, Task, TaskError, async_trait, run};
use support::{FakeServer, LONG, assignment};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// As a lead it offers pages 4 to 6 and 7 to 9 of nine, takes the first back, and tells the test what comes of it; as a helper
/// it does the pages it is given.
struct Divides(mpsc::UnboundedSender<SplitEvent>);

#[async_trait]
impl Handler for Divides {
    async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
        task.plan(9).await?;
        let mut split = task.split();
        split.offer([4..=6, 7..=9]);
        assert_eq!(split.first_untaken(), Some(4..=6));
        split.take_back(&(4..=6));
        while split.outstanding() > 0 {
            let _ = self.0.send(split.next().await?);
        }
        Ok(Outcome::default())
    }

    async fn run_part(&self, task: Task, pages: RangeInclusive<u32>) -> Result<(), TaskError> {
        for number in pages {
            task.write_artifact(&format!("pages/{number:06}.json"), "{}".to_owned()).await?;
            task.page(Page { number: number as i32, ..Page::default() }).await?;
        }
        Ok(())
    }
}

async fn start() -> (FakeServer, mpsc::UnboundedReceiver<SplitEvent>, CancellationToken) {
    let server = FakeServer::start().await;
    let mut config = Config::new(server.url(), Arc::new(|| "token".to_owned()), "w-1", ["text"]);
    (config.backoff_min, config.backoff_max) = (Duration::from_millis(1), Duration::from_millis(20));
    config.parts = true;
    let (send, changes) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    tokio::spawn(run(config, Arc::new(Divides(send)), shutdown.clone()));
    (server, changes, shutdown)
}

fn range(first: i32, last: i32) -> PageRange {
    PageRange { first, last }
}

fn parts(revision: i64, held: &[PageRange], finished: &[(i32, i32)]) -> Reply {
    let attempt = assignment("J", 1).attempt;
    let finished = finished.iter().map(|&(first, last)| FinishedPages { first, last, attempt: 1 });
    Reply::Parts(PartsChanged { attempt, revision, held: held.to_vec(), finished_pages: finished.collect() })
}

async fn offer(line: &mut support::Line) -> OfferPages {
    loop {
        match line.report().await {
            Some(Said::Offer(offer)) => return offer,
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
}

async fn next(changes: &mut mpsc::UnboundedReceiver<SplitEvent>) -> SplitEvent {
    tokio::time::timeout(LONG, changes.recv()).await.expect("a change").expect("the handler is there")
}

#[tokio::test]
async fn every_range_comes_back_once_also_over_a_new_stream_and_a_new_server() {
    let (mut server, mut changes, _shutdown) = start().await;
    let (mut line, hello) = server.line().await;
    assert!(hello.takes_parts);
    line.welcome(vec![], LONG).await;
    line.assign(assignment("J", 1)).await;
    let newest = loop {
        let offer = offer(&mut line).await;
        if offer.pages == [range(7, 9)] {
            break offer;
        }
        assert_eq!(offer.pages, [range(7, 9), range(4, 6)]);
    };
    line.reply(parts(newest.revision, &[range(7, 9)], &[])).await;
    assert_eq!(next(&mut changes).await, SplitEvent::Taken(7..=9));
    assert_eq!(next(&mut changes).await, SplitEvent::Returned { pages: 4..=6, finished: vec![] });
    assert_eq!(offer(&mut line).await.pages, [], "what is taken is not offered any more");
    line.fail(Status::unavailable("cut")).await;

    // Another server, which knows of no part.
    let (mut line, hello) = server.line().await;
    line.welcome(hello.in_flight, LONG).await;
    let again = offer(&mut line).await;
    assert!(again.pages.is_empty() && again.revision > newest.revision);
    line.reply(parts(again.revision, &[], &[(1, 2), (8, 8)])).await;
    let SplitEvent::Returned { pages, finished } = next(&mut changes).await else { panic!("not back") };
    assert_eq!((pages, finished.iter().map(|page| page.number).collect::<Vec<_>>()), (7..=9, vec![8]));
    assert!(matches!(line.reports().await.last(), Some(Said::Succeeded(_))));
}

#[tokio::test]
async fn the_offer_of_a_dropped_split_stays_also_on_a_new_stream() {
    struct Drops;
    #[async_trait]
    impl Handler for Drops {
        async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
            task.split().offer([4..=6]);
            task.cancelled().cancelled().await;
            Ok(Outcome::default())
        }
    }
    let mut server = FakeServer::start().await;
    let mut config = Config::new(server.url(), Arc::new(|| "token".to_owned()), "w-1", ["text"]);
    (config.backoff_min, config.backoff_max) = (Duration::from_millis(1), Duration::from_millis(20));
    tokio::spawn(run(config, Arc::new(Drops), CancellationToken::new()));
    let mut line = server.welcomed_line().await;
    line.assign(assignment("J", 1)).await;
    let first = offer(&mut line).await;
    assert_eq!(first.pages, [range(4, 6)]);
    line.fail(Status::unavailable("cut")).await;
    let mut line = server.welcomed_line().await;
    assert_eq!(offer(&mut line).await, first);
}

#[tokio::test]
async fn a_part_is_done_under_its_own_name_and_can_be_lost_alone() {
    let (mut server, _changes, _shutdown) = start().await;
    let mut line = server.welcomed_line().await;
    let part = |id: &str| {
        let whole = assignment("J", 1);
        let attempt = whole.attempt.clone().map(|at| AttemptRef { part: id.into(), ..at });
        Assignment { attempt, pages: Some(range(2, 3)), ..whole }
    };
    line.assign(part("a")).await;
    let said = line.reports().await;
    let numbers: Vec<_> = said
        .iter()
        .filter_map(|said| match said {
            Said::Page(report) => {
                assert_eq!(report.attempt, part("a").attempt);
                report.page.as_ref().map(|page| page.number)
            }
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [2, 3]);
    assert!(matches!(said.last(), Some(Said::Succeeded(end)) if end.attempt == part("a").attempt));

    // The same pages again are another part; on a stream that does not know it, it is over.
    line.assign(part("b")).await;
    while !matches!(line.unanswered().await, Some(Said::Succeeded(_))) {}
    line.fail(Status::unavailable("cut")).await;
    let (line, hello) = server.line().await;
    assert_eq!(hello.in_flight, Vec::from_iter(part("b").attempt));
    line.welcome(vec![], Duration::from_secs(10)).await;
    line.fail(Status::unavailable("cut")).await;
    let (_line, hello) = server.line().await;
    assert!(hello.in_flight.is_empty());
}

#[tokio::test]
async fn a_handler_without_parts_hands_them_back() {
    struct Whole;
    #[async_trait]
    impl Handler for Whole {
        async fn run(&self, _: Task) -> Result<Outcome, TaskError> {
            Ok(Outcome::default())
        }
    }
    let mut server = FakeServer::start().await;
    let config = Config::new(server.url(), Arc::new(|| "token".to_owned()), "w-1", ["text"]);
    tokio::spawn(run(config, Arc::new(Whole), CancellationToken::new()));
    let (mut line, hello) = server.line().await;
    assert!(!hello.takes_parts);
    line.welcome(vec![], LONG).await;
    let whole = assignment("J", 1);
    let attempt = whole.attempt.clone().map(|at| AttemptRef { part: "a".into(), ..at });
    line.assign(Assignment { attempt, pages: Some(range(1, 1)), ..whole }).await;
    let said = line.reports().await;
    assert!(matches!(said.last(), Some(Said::Failed(end)) if end.error.as_ref().unwrap().code == "NO_PARTS"));
}
