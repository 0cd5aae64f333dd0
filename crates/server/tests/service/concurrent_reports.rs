//! A worker's reports while the log is slow: those of one job keep their order, those of others and signs of life go on.

use std::sync::Arc;

use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::*;
use courant_server::Config;

use crate::gated_log::GatedLog;
use crate::support::{Worker, *};

/// A worker of two jobs, accepted; the server's log can be held back.
struct Story {
    log: Arc<GatedLog>,
    world: World,
    worker: Worker,
    /// The first job and the second.
    a: AttemptRef,
    b: AttemptRef,
}

async fn story() -> Story {
    story_with(|_| ()).await
}

async fn story_with(tune: fn(&mut Config)) -> Story {
    let log = Arc::new(GatedLog::default());
    let world = World::with_log(log.clone(), tune).await;
    let (first, second) = (submit(&world).await, submit(&world).await);
    let mut worker = world.worker_apart("w", 2).await;
    let ats = [worker.take().await.attempt.unwrap(), worker.take().await.attempt.unwrap()];
    worker.sync().await;
    let of = |id: &str| ats.iter().find(|at| at.job_id == id).unwrap().clone();
    let (a, b) = (of(&first), of(&second));
    Story { log, world, worker, a, b }
}

impl Story {
    /// Holds back what is said of the first job, beginning with how many pages it has.
    async fn hold_plan(&self, pages: i32) {
        self.log.hold(&self.a.job_id);
        self.worker.plan(&self.a, pages).await;
        self.log.until_held(&self.a.job_id, 1).await;
    }

    /// Returns once everything said so far has been read.
    async fn has_read(&mut self, number: i64) {
        self.worker.send(Report::Heartbeat(Heartbeat { number })).await;
        let answer = self.worker.order().await;
        assert!(matches!(&answer, Order::HeartbeatAck(ack) if ack.reports_pending), "{answer:?}");
    }

    fn release(&self) {
        self.log.release(&self.a.job_id);
    }
}

async fn submit(world: &World) -> String {
    world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id
}

fn page(at: &AttemptRef, number: i32) -> Report {
    let page = Page { number, width: 100.0, height: 100.0, ..Page::default() };
    Report::Page(ReportPage { attempt: Some(at.clone()), page: Some(page), ..Default::default() })
}

/// Stores the artifacts of pages.
async fn store(worker: &mut Worker, at: &AttemptRef, pages: impl IntoIterator<Item = i32>) {
    for page in pages {
        worker.write(at, &format!("pages/{page:06}.json"), b"{}").await.unwrap();
    }
}

#[tokio::test]
async fn a_job_ends_while_the_append_of_another_on_the_same_stream_is_held_back() {
    let mut story = story().await;
    story.hold_plan(1).await;
    let mut watching = story.world.watch("alice", &story.b.job_id, "").await;
    story.worker.succeed(&story.b).await;
    watching.until("succeeded").await;
    story.log.until_held(&story.a.job_id, 1).await;
    story.release();
    story.worker.sync().await;
    assert_eq!(story.world.job("alice", &story.a.job_id).await.pages_total, 1);
}

#[tokio::test]
async fn a_heartbeat_with_a_number_is_answered_at_once_and_again_when_what_came_before_has_arrived() {
    let mut story = story().await;
    story.worker.send(Report::Heartbeat(Heartbeat { number: 1 })).await;
    let answer = story.worker.order().await;
    assert!(matches!(&answer, Order::HeartbeatAck(ack) if !ack.reports_pending), "nothing is pending: {answer:?}");
    story.hold_plan(1).await;
    story.has_read(2).await;
    story.worker.send(Report::Heartbeat(Heartbeat::default())).await;
    story.has_read(3).await;
    assert!(story.worker.next_now().is_none(), "without a number it waits for what came before it");
    story.release();
    let (first, second) = (story.worker.order().await, story.worker.order().await);
    assert!(matches!(&first, Order::ReportsTaken(taken) if taken.number == 3), "one for both: {first:?}");
    assert!(matches!(&second, Order::HeartbeatAck(ack) if !ack.reports_pending), "{second:?}");
    assert_eq!(story.world.job("alice", &story.a.job_id).await.pages_total, 1);
    assert_eq!(story.worker.sync().await.len(), 1, "nothing more comes of it");
}

#[tokio::test]
async fn what_has_not_arrived_is_not_acknowledged_by_what_has() {
    let mut story = story().await;
    let mut watching = story.world.watch("alice", &story.b.job_id, "").await;
    story.hold_plan(1).await;
    story.worker.succeed(&story.b).await;
    watching.until("succeeded").await;
    for number in 1..200 {
        story.worker.plan(&story.b, 1).await;
        story.worker.send(Report::Heartbeat(Heartbeat { number })).await;
        let answers = [story.worker.order().await, story.worker.order().await];
        let over = |order: &Order| matches!(order, Order::LeaseLost(lost) if lost.attempt.as_ref() == Some(&story.b));
        let pending = |order: &Order| matches!(order, Order::HeartbeatAck(ack) if ack.reports_pending);
        assert!(answers.iter().any(over) && answers.iter().any(pending), "{answers:?}");
    }
    story.release();
    let answer = story.worker.order().await;
    assert!(matches!(&answer, Order::ReportsTaken(taken) if taken.number == 199), "{answer:?}");
}

#[tokio::test]
async fn a_change_of_slots_waits_for_no_report() {
    let mut story = story().await;
    story.hold_plan(1).await;
    story.worker.send(Report::Slots(ChangeSlots { slots: 3 })).await;
    let third = submit(&story.world).await;
    assert_eq!(story.worker.take().await.attempt.unwrap().job_id, third);
    story.release();
    story.worker.sync().await;
}

#[tokio::test]
async fn reports_of_one_attempt_keep_their_order() {
    let mut story = story().await;
    store(&mut story.worker, &story.a.clone(), 1..=2).await;
    let watching = story.world.watch("alice", &story.a.job_id, "").await;
    story.hold_plan(2).await;
    story.worker.send(page(&story.a, 1)).await;
    let progress = ReportProgress { stage: Stage::Extract.into(), percent: 7.0, ..ReportProgress::default() };
    story.worker.send(Report::Progress(ReportProgress { attempt: Some(story.a.clone()), ..progress })).await;
    story.worker.send(page(&story.a, 2)).await;
    story.worker.succeed(&story.a).await;
    story.worker.plan(&story.a, 2).await;
    story.has_read(1).await;
    assert!(story.worker.next_now().is_none());
    story.release();
    let sent = story.worker.sync().await;
    assert!(matches!(&sent[..], [Order::LeaseLost(_), Order::ReportsTaken(_), Order::HeartbeatAck(_)]), "{sent:?}");
    assert_eq!(names(&watching.durable().await), ["planned", "page", "page", "succeeded"]);
}

#[tokio::test]
async fn pages_that_wait_together_become_one_append() {
    let mut story = story().await;
    let pages = 100;
    store(&mut story.worker, &story.a.clone(), 1..=pages).await;
    let watching = story.world.watch("alice", &story.a.job_id, "").await;
    story.hold_plan(pages).await;
    let before = story.log.appends(&story.a.job_id).len();
    // One of them twice.
    for number in (1..=pages).chain([7]) {
        story.worker.send(page(&story.a, number)).await;
    }
    story.has_read(1).await;
    story.release();
    story.worker.succeed(&story.a).await;
    story.worker.sync().await;
    assert_eq!(story.log.appends(&story.a.job_id)[before..], [1, 64, 36, 1]);
    let job = story.world.job("alice", &story.a.job_id).await;
    assert_eq!((job.state(), job.pages_done), (JobState::Succeeded, pages));
    let events = watching.durable().await;
    let numbers: Vec<i32> = events
        .iter()
        .filter_map(|(_, _, event)| match event.change.as_ref()? {
            job_event::Change::PageFinished(page) => Some(page.page.as_ref()?.number),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, (1..=pages).collect::<Vec<_>>());
    assert!(events.is_sorted_by(|before, after| before.0 < after.0), "each with a revision of its own");
}

#[tokio::test]
async fn a_bad_page_among_those_that_wait_ends_the_attempt_behind_the_good_ones() {
    for bad in [9, 4, 0] {
        let mut story = story().await;
        // Page 9 is over the plan, page 4 was not stored, page 0 is none.
        store(&mut story.worker, &story.a.clone(), [1, 2, 3, 9]).await;
        let watching = story.world.watch("alice", &story.a.job_id, "").await;
        story.hold_plan(4).await;
        for number in [1, 2, bad, 3] {
            story.worker.send(page(&story.a, number)).await;
        }
        story.worker.succeed(&story.a).await;
        story.has_read(1).await;
        story.release();
        let sent = story.worker.sync().await;
        let lost = |order: &Order| matches!(order, Order::LeaseLost(lost) if lost.attempt.as_ref() == Some(&story.a));
        assert_eq!(sent.iter().filter(|order| lost(order)).count(), 3, "that and all behind it: {sent:?}");
        let job = story.world.job("alice", &story.a.job_id).await;
        assert_eq!((job.state(), job.pages_done), (JobState::Failed, 2), "{bad}");
        assert_eq!(job.error.unwrap().code, "INVALID_REPORT");
        assert_eq!(names(&watching.durable().await), ["planned", "page", "page", "failed"]);
        story.worker.succeed(&story.b).await;
        story.worker.sync().await;
        assert_eq!(story.world.job("alice", &story.b.job_id).await.state(), JobState::Succeeded, "on the same stream");
    }
}

#[tokio::test]
async fn pages_of_a_part_that_wait_together_become_one_append() {
    let log = Arc::new(GatedLog::default());
    let world = World::with_log(log.clone(), |_| ()).await;
    let job = submit(&world).await;
    let mut lead = world.worker("lead").await;
    let at = lead.take().await.attempt.unwrap();
    lead.plan(&at, 10).await;
    let pages = vec![PageRange { first: 6, last: 10 }];
    lead.send(Report::Offer(OfferPages { attempt: Some(at.clone()), revision: 1, pages })).await;
    let mut helper = world.helper("helper", 1, vec![]).await;
    let part = helper.take().await.attempt.unwrap();
    store(&mut helper, &part, 6..=10).await;
    helper.sync().await;
    log.hold(&job);
    helper.send(page(&part, 6)).await;
    log.until_held(&job, 1).await;
    for number in [7, 8, 9, 10] {
        helper.send(page(&part, number)).await;
    }
    helper.send(Report::Heartbeat(Heartbeat { number: 1 })).await;
    assert!(matches!(helper.order().await, Order::HeartbeatAck(ack) if ack.reports_pending));
    log.release(&job);
    helper.sync().await;
    assert!(log.appends(&job).ends_with(&[1, 4]), "{:?}", log.appends(&job));
    assert_eq!(world.job("alice", &job).await.pages_done, 5);
}

/// A page of more than a megabyte.
fn large_page(at: &AttemptRef, number: i32) -> Report {
    let zone = |index| Zone { zone_id: format!("z{index}"), index, note: "n".repeat(1024), ..zone(number) };
    let page = Page { number, width: 100.0, height: 100.0, zones: (1..=1000).map(zone).collect(), ..Page::default() };
    Report::Page(ReportPage { attempt: Some(at.clone()), page: Some(page), ..Default::default() })
}

#[tokio::test]
async fn a_worker_that_sends_more_than_may_wait_is_not_read_further_and_another_does_not_notice() {
    let small: fn(&AttemptRef, i32) -> Report = page;
    for (fits, too_many, report) in [(250, 10, small), (6, 10, large_page)] {
        let mut story = story().await;
        story.hold_plan(1).await;
        for _ in 0..fits {
            story.worker.send(report(&story.a, 1)).await;
        }
        story.has_read(1).await;
        let (a, out) = (story.a.clone(), story.worker.outgoing());
        let sending = tokio::spawn(async move {
            for _ in 0..too_many {
                out.send(WorkRequest { message: Some(report(&a, 1)) }).await.unwrap();
            }
            out.send(WorkRequest { message: Some(Report::Heartbeat(Heartbeat { number: 2 })) }).await.unwrap();
        });

        let id = story.world.submit_with("bob", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
        let mut other = story.world.worker("other").await;
        let at = other.take().await.attempt.unwrap();
        other.work_off(&at, 3).await;
        other.sync().await;
        assert_eq!(story.world.job("bob", &id).await.state(), JobState::Succeeded);
        assert!(story.worker.next_now().is_none(), "the second heartbeat was read");

        story.release();
        // The pages were not stored: the attempt ends.
        while !matches!(story.worker.order().await, Order::HeartbeatAck(_)) {}
        sending.await.unwrap();
        assert_eq!(story.world.job("alice", &story.a.job_id).await.state(), JobState::Failed);
    }
}

#[tokio::test]
async fn a_worker_whose_signs_of_life_lie_unread_keeps_its_jobs() {
    let lease = std::time::Duration::from_millis(900);
    let mut story = story_with(|config| config.lease = std::time::Duration::from_millis(900)).await;
    story.hold_plan(1).await;
    for _ in 0..255 {
        story.worker.plan(&story.a, 1).await;
    }
    // It goes on sending, as a worker does that does not know.
    let until = tokio::time::Instant::now() + 3 * lease;
    while tokio::time::Instant::now() < until {
        story.worker.send(Report::Heartbeat(Heartbeat { number: 1 })).await;
        tokio::time::sleep(lease / 9).await;
    }
    assert_eq!(story.world.job("alice", &story.b.job_id).await.attempt, 1);
    story.release();
    while !matches!(story.worker.order().await, Order::HeartbeatAck(_)) {}
    let job = story.world.job("alice", &story.b.job_id).await;
    assert_eq!((job.state(), job.attempt), (JobState::Running, 1));
}

#[tokio::test]
async fn a_stream_that_is_cut_while_reports_are_under_way_loses_and_doubles_nothing() {
    // Back before or after the log goes on.
    for back_early in [true, false] {
        let mut story = story().await;
        store(&mut story.worker, &story.a.clone(), 1..=3).await;
        let watching = story.world.watch("alice", &story.a.job_id, "").await;
        story.hold_plan(3).await;
        for number in 1..=2 {
            story.worker.send(page(&story.a, number)).await;
        }
        story.has_read(1).await;
        let Story { log, world, worker, a, b } = story;
        drop(worker);
        if !back_early {
            log.release(&a.job_id);
        }
        let mut worker = world.worker_with("w", 2, vec![a.clone(), b.clone()]).await;
        assert_eq!(worker.welcome.in_flight.len(), 2);
        // None of it was acknowledged: everything again.
        worker.plan(&a, 3).await;
        for number in 1..=3 {
            worker.send(page(&a, number)).await;
        }
        worker.succeed(&a).await;
        log.release(&a.job_id);
        worker.sync().await;
        let job = world.job("alice", &a.job_id).await;
        assert_eq!((job.state(), job.attempt, job.pages_done), (JobState::Succeeded, 1, 3), "{back_early}");
        assert_eq!(names(&watching.durable().await), ["planned", "page", "page", "page", "succeeded"]);
    }
}

#[tokio::test]
async fn what_arrived_before_a_stream_ended_is_taken() {
    let mut story = story().await;
    store(&mut story.worker, &story.a.clone(), 1..=2).await;
    story.hold_plan(2).await;
    for number in 1..=2 {
        story.worker.send(page(&story.a, number)).await;
    }
    story.worker.succeed(&story.a).await;
    story.has_read(1).await;
    // Nobody may say hello twice.
    story.worker.send(hello("w", 2, vec![])).await;
    let succeeded = story.world.watch("alice", &story.a.job_id, "").await;
    story.release();
    let ended = story.worker.end().await;
    assert_eq!(ended.code(), tonic::Code::InvalidArgument, "{ended:?}");
    assert_eq!(names(&succeeded.durable().await), ["planned", "page", "page", "succeeded"]);
}
