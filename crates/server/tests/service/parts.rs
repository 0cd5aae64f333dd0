//! Large documents done by several workers: offered, given, done, handed back, fenced.

use std::time::Duration;

use courant_auth::Role;
use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::work_response::Message as Order;
use courant_proto::v1::*;

use crate::support::{Worker, *};

const PAGES: i32 = 10;

/// A job of ten pages in the hands of a lead, whose number of pages is known.
struct Story {
    world: World,
    job: String,
    cursor: String,
    lead: Worker,
    at: AttemptRef,
}

async fn story() -> Story {
    story_in(World::new().await).await
}

async fn story_in(world: World) -> Story {
    let submitted = world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    let (job, cursor) = (submitted.job.unwrap().job_id, submitted.cursor);
    let mut lead = world.helper("lead", 1, vec![]).await;
    let at = lead.take().await.attempt.unwrap();
    lead.plan(&at, PAGES).await;
    Story { world, job, cursor, lead, at }
}

impl Story {
    /// The lead offers; gives back what it is told to that.
    async fn offer(&mut self, revision: i64, ranges: &[(i32, i32)]) -> PartsChanged {
        self.lead.offer(&self.at, revision, ranges).await;
        self.until(|parts| parts.revision == revision).await
    }

    /// Waits until the lead is told this.
    async fn until(&mut self, received: impl Fn(&PartsChanged) -> bool) -> PartsChanged {
        loop {
            let parts = self.lead.parts().await;
            if received(&parts) {
                return parts;
            }
        }
    }

    async fn returned(&mut self) -> PartsChanged {
        self.until(|parts| parts.held.is_empty()).await
    }

    async fn done(&self) -> i32 {
        self.world.job("alice", &self.job).await.pages_done
    }

    /// The lead does these pages and ends the job; gives back the names of what watchers were told.
    async fn finish(mut self, pages: impl IntoIterator<Item = i32>) -> (World, Job, Vec<&'static str>) {
        for page in pages {
            self.lead.page(&self.at, page).await;
        }
        self.lead.write(&self.at, "result.md", b"# Hello").await.unwrap();
        let (attempt, format) = (|| Some(self.at.clone()), ResultFormat::Markdown.into());
        self.lead.send(Report::ExportStarted(ReportExportStarted { attempt: attempt(), format })).await;
        self.lead.send(Report::ExportCompleted(ReportExportCompleted { attempt: attempt(), format })).await;
        self.lead.succeed(&self.at).await;
        let events = self.world.watch("alice", &self.job, &self.cursor).await.durable().await;
        let percents: Vec<f64> = events.iter().map(|(_, _, event)| event.job.as_ref().unwrap().percent()).collect();
        assert!(percents.is_sorted(), "one progress, never back: {percents:?}");
        let job = self.world.job("alice", &self.job).await;
        (self.world, job, names(&events))
    }
}

trait Percent {
    fn percent(&self) -> f64;
}

impl Percent for Job {
    fn percent(&self) -> f64 {
        self.progress.as_ref().map_or(0.0, |progress| progress.percent)
    }
}

impl Worker {
    async fn offer(&self, at: &AttemptRef, revision: i64, ranges: &[(i32, i32)]) {
        let pages = ranges.iter().map(|&(first, last)| PageRange { first, last }).collect();
        self.send(Report::Offer(OfferPages { attempt: Some(at.clone()), revision, pages })).await;
    }

    /// The next news of its parts; other orders are passed over.
    async fn parts(&mut self) -> PartsChanged {
        loop {
            if let Order::Parts(parts) = self.order().await {
                return parts;
            }
        }
    }

    /// Waits to be told that a part is over.
    async fn lost(&mut self, at: &AttemptRef) {
        loop {
            if let Order::LeaseLost(lost) = self.order().await {
                assert_eq!(lost.attempt.as_ref(), Some(at));
                return;
            }
        }
    }

    /// Accepts the next assignment, which is to be a part.
    async fn part(&mut self) -> (AttemptRef, (i32, i32)) {
        let assignment = self.take().await;
        let (at, pages) = (assignment.attempt.unwrap(), assignment.pages.unwrap());
        assert!(!at.part.is_empty());
        (at, (pages.first, pages.last))
    }

    async fn released(&self, at: &AttemptRef) {
        self.send(Report::Released(ReportReleased { attempt: Some(at.clone()) })).await;
    }
}

fn held(parts: &PartsChanged) -> Vec<(i32, i32)> {
    parts.held.iter().map(|range| (range.first, range.last)).collect()
}

fn finished(parts: &PartsChanged) -> Vec<(i32, i32)> {
    parts.finished_pages.iter().map(|range| (range.first, range.last)).collect()
}

#[tokio::test]
async fn pages_are_offered_taken_done_and_merged_with_one_progress() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    let received = story.offer(1, &[(5, 7), (8, 10)]).await;
    assert!(held(&received).len() <= 1 && finished(&received).is_empty());
    let (first, pages) = helper.part().await;
    assert_eq!(pages, (8, 10), "from the back");
    story.until(|parts| held(parts) == [(8, 10)]).await;
    let document = ReadDocumentRequest { attempt: Some(first.clone()) };
    assert!(helper.client.read_document(document).await.is_ok());
    for page in [8, 9, 10] {
        helper.page(&first, page).await;
    }
    helper.succeed(&first).await;
    let received = story.until(|parts| finished(parts) == [(8, 10)] && held(parts) != [(8, 10)]).await;
    assert!(received.finished_pages.iter().all(|range| range.attempt == 1));
    let read = ReadArtifactRequest { attempt: Some(story.at.clone()), written_by: 1, name: "pages/000009.json".into() };
    assert!(story.lead.client.read_artifact(read).await.is_ok(), "the lead reads what the helper wrote");
    let (second, pages) = helper.part().await;
    assert_eq!(pages, (5, 7));
    for page in [5, 6, 7] {
        helper.page(&second, page).await;
    }
    helper.succeed(&second).await;
    story.until(|parts| finished(parts) == [(5, 10)]).await;
    let (_, job, names) = story.finish(1..=4).await;
    assert_eq!((job.state(), job.pages_done, job.attempt), (JobState::Succeeded, PAGES, 1));
    assert_eq!(names.iter().filter(|name| **name == "page").count(), 10, "each page once");
}

#[tokio::test]
async fn who_does_not_take_parts_never_sees_one_and_nor_does_the_lead() {
    let mut story = story().await;
    let mut old = story.world.worker("old").await;
    let received = story.offer(1, &[(5, 10)]).await;
    assert!(received.held.is_empty());
    assert_eq!(old.sync().await.len(), 1);
    assert_eq!(story.lead.sync().await.len(), 1);
    // Taken back before anybody came: then nobody gets them.
    story.offer(2, &[]).await;
    let mut late = story.world.helper("late", 1, vec![]).await;
    assert_eq!(late.sync().await.len(), 1);
    let (_, job, _) = story.finish(1..=10).await;
    assert_eq!(job.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_part_of_a_dead_helper_comes_back_with_what_was_done_of_it() {
    let mut story = story_in(World::tuned(|config| config.lease = Duration::from_millis(900)).await).await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    story.offer(1, &[(6, 10)]).await;
    let (part, _) = helper.part().await;
    helper.page(&part, 7).await;
    helper.sync().await;
    // Silent from here on; the lead is not.
    let received = loop {
        story.lead.send(Report::Heartbeat(Heartbeat::default())).await;
        let received = tokio::time::timeout(Duration::from_millis(100), story.returned()).await;
        if let Ok(received) = received.map(|received| (finished(&received) == [(7, 7)]).then_some(received))
            && let Some(received) = received
        {
            break received;
        }
    };
    assert_eq!(received.finished_pages[0].attempt, 1);
    let refused = helper.write(&part, "pages/000008.json", b"{}").await.unwrap_err();
    assert_eq!(reason(&refused), "LEASE_LOST");
    let page = Page { number: 8, width: 1.0, height: 1.0, ..Page::default() };
    helper.send(Report::Page(ReportPage { attempt: Some(part.clone()), page: Some(page), ..Default::default() })).await;
    helper.lost(&part).await;
    let (_, job, _) = story.finish((1..=10).filter(|page| *page != 7)).await;
    assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1), "the lead finished alone, in the same attempt");
}

#[tokio::test]
async fn when_the_lead_is_gone_the_next_attempt_keeps_the_pages_and_the_helper_is_out() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    story.offer(1, &[(6, 10)]).await;
    let (part, _) = helper.part().await;
    for page in [6, 8] {
        helper.page(&part, page).await;
    }
    story.lead.page(&story.at, 1).await;
    story.lead.sync().await;
    helper.sync().await;
    // It comes back and has forgotten everything.
    let mut again = story.world.worker_with("lead", 0, vec![]).await;
    helper.lost(&part).await;
    let refused = helper.write(&part, "pages/000007.json", b"{}").await.unwrap_err();
    assert_eq!(reason(&refused), "LEASE_LOST");
    let whole = helper.take().await;
    let at = whole.attempt.clone().unwrap();
    assert_eq!((at.attempt, at.part.as_str()), (2, ""), "the helper gets the job, as a whole");
    let done: Vec<_> = whole.finished_pages.iter().map(|range| (range.first, range.last, range.attempt)).collect();
    assert_eq!(done, [(1, 1, 1), (6, 6, 1), (8, 8, 1)], "it knows which, not only how many");
    // The old part says something still.
    let page = Page { number: 7, width: 1.0, height: 1.0, ..Page::default() };
    helper.send(Report::Page(ReportPage { attempt: Some(part.clone()), page: Some(page), ..Default::default() })).await;
    helper.lost(&part).await;
    assert_eq!(story.done().await, 3);
    again.sync().await;
}

#[tokio::test]
async fn a_cancel_reaches_lead_and_helper() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    story.offer(1, &[(6, 10)]).await;
    let (part, _) = helper.part().await;
    helper.sync().await;
    story.world.cancel("alice", &story.job).await.unwrap();
    helper.lost(&part).await;
    loop {
        if let Order::Cancel(cancel) = story.lead.order().await {
            assert_eq!(cancel.attempt.as_ref(), Some(&story.at));
            break;
        }
    }
    let refused = helper.write(&part, "pages/000006.json", b"{}").await.unwrap_err();
    assert_eq!(reason(&refused), "LEASE_LOST");
    story.lead.send(Report::Cancelled(ReportCancelled { attempt: Some(story.at.clone()) })).await;
    story.lead.sync().await;
    assert_eq!(story.world.job("alice", &story.job).await.state(), JobState::Cancelled);
}

#[tokio::test]
async fn waiting_jobs_go_before_parts_and_parts_make_way() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    let other = story.world.submit_with("bob", markdown_only(), b"y").await.unwrap().job.unwrap().job_id;
    let whole = helper.take().await.attempt.unwrap();
    assert_eq!(whole.job_id, other);
    story.offer(1, &[(6, 10)]).await;
    assert_eq!(helper.sync().await.len(), 1, "busy");
    helper.work_off(&whole, 1).await;
    let (part, _) = helper.part().await;
    helper.page(&part, 9).await;
    helper.sync().await;
    let third = story.world.submit_with("bob", markdown_only(), b"z").await.unwrap().job.unwrap().job_id;
    let (mut lost, mut taken) = (None, None);
    while lost.is_none() || taken.is_none() {
        match helper.order().await {
            Order::LeaseLost(order) => lost = order.attempt,
            Order::Assignment(order) => taken = order.attempt,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((lost.as_ref(), taken.unwrap().job_id), (Some(&part), third));
    let received = story.returned().await;
    assert_eq!(finished(&received), [(9, 9)]);
}

#[tokio::test]
async fn a_part_reports_its_own_pages_and_nothing_else() {
    for invalid in 0..4 {
        let mut story = story().await;
        let mut helper = story.world.helper("helper", 1, vec![]).await;
        story.offer(1, &[(6, 10)]).await;
        let (part, _) = helper.part().await;
        for name in ["pages/000005.json", "pages/000011.json", "result.md", "pages/6.json"] {
            let refused = helper.write(&part, name, b"{}").await.unwrap_err();
            assert_eq!(reason(&refused), "INVALID_FIELD", "{name}");
        }
        let attempt = Some(part.clone());
        let page = Page { number: 5, width: 1.0, height: 1.0, ..Page::default() };
        helper
            .send(match invalid {
                0 => Report::Page(ReportPage { attempt, page: Some(page), ..Default::default() }),
                1 => Report::Page(ReportPage { attempt, page: Some(Page { number: 6, ..page }), ..Default::default() }),
                2 => Report::Plan(ReportPlan { attempt, pages_total: 3, document_pages: 0 }),
                _ => Report::Offer(OfferPages { attempt, revision: 1, pages: vec![] }),
            })
            .await;
        helper.lost(&part).await;
        let received = story.returned().await;
        assert!(finished(&received).is_empty());
        let (_, job, _) = story.finish(1..=10).await;
        assert_eq!(job.state(), JobState::Succeeded, "the job does not suffer");
    }
}

#[tokio::test]
async fn a_part_that_is_declined_not_accepted_or_failed_comes_back() {
    for how in 0..3 {
        let world = World::tuned(|config| config.accept_within = Duration::from_millis(100)).await;
        let mut story = story_in(world).await;
        let mut helper = story.world.helper("helper", 1, vec![]).await;
        story.offer(1, &[(6, 10)]).await;
        let part = helper.assigned().await.attempt.unwrap();
        match how {
            0 => helper.released(&part).await,
            1 => {}
            _ => {
                helper.send(Report::Accepted(Accepted { attempt: Some(part.clone()) })).await;
                helper.fail(&part, true).await;
            }
        }
        story.returned().await;
        let (_, job, _) = story.finish(1..=10).await;
        assert_eq!((job.state(), job.attempt), (JobState::Succeeded, 1));
    }
}

#[tokio::test]
async fn a_helper_that_comes_back_with_its_part_keeps_it_and_without_it_loses_it() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    story.offer(1, &[(6, 10)]).await;
    let (part, _) = helper.part().await;
    helper.sync().await;
    let mut back = story.world.helper("helper", 1, vec![part.clone()]).await;
    assert_eq!(back.welcome.in_flight, std::slice::from_ref(&part));
    back.page(&part, 6).await;
    back.sync().await;
    assert_eq!(story.done().await, 1);
    let fresh = story.world.helper("helper", 0, vec![]).await;
    assert!(fresh.welcome.in_flight.is_empty());
    assert_eq!(finished(&story.returned().await), [(6, 6)]);
    let refused = back.write(&part, "pages/000007.json", b"{}").await.unwrap_err();
    assert_eq!(reason(&refused), "LEASE_LOST");
}

#[tokio::test]
async fn a_lead_that_comes_back_goes_on_with_its_parts_as_they_are() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    story.offer(1, &[(3, 5), (6, 10)]).await;
    let (part, _) = helper.part().await;
    story.lead = story.world.helper("lead", 1, vec![story.at.clone()]).await;
    helper.page(&part, 6).await;
    helper.sync().await;
    let received = story.offer(1, &[(3, 5), (6, 10)]).await;
    assert_eq!((held(&received), finished(&received)), (vec![(6, 10)], vec![(6, 6)]));
    helper.released(&part).await;
    let (_, pages) = helper.part().await;
    assert_eq!(pages, (3, 5), "what was given and came back is not given again under the same offer");
}

#[tokio::test]
async fn a_restart_of_the_server_ends_parts_and_the_lead_offers_the_rest_again() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    story.offer(1, &[(6, 10)]).await;
    let (part, _) = helper.part().await;
    helper.page(&part, 9).await;
    helper.sync().await;
    story.lead.sync().await;
    drop((helper, story.lead));
    let world = story.world.restart().await;
    let mut helper = world.helper("helper", 1, vec![part.clone()]).await;
    assert!(helper.welcome.in_flight.is_empty());
    let lead = world.helper("lead", 1, vec![story.at.clone()]).await;
    assert_eq!(lead.welcome.in_flight, std::slice::from_ref(&story.at));
    let mut story = Story { world, lead, ..story };
    story.lead.offer(&story.at, 1, &[(6, 10)]).await;
    let received = story.until(|parts| parts.revision == 1).await;
    assert_eq!(finished(&received), [(9, 9)]);
    let (new, _) = helper.part().await;
    assert_ne!(new.part, part.part, "a part is given once");
    let refused = helper.write(&part, "pages/000008.json", b"{}").await.unwrap_err();
    assert_eq!(reason(&refused), "LEASE_LOST");
    helper.write(&new, "pages/000008.json", b"{}").await.unwrap();
}

#[tokio::test]
async fn offers_that_make_no_sense_end_the_attempt_with_the_reason() {
    let twice = [(1, 5), (5, 10)];
    let bad: [(i64, &[(i32, i32)]); 6] =
        [(0, &[(6, 10)]), (1, &[(0, 3)]), (1, &[(6, 11)]), (1, &[(9, 6)]), (1, &[(-1, 3)]), (1, &twice)];
    for (revision, ranges) in bad {
        let mut story = story().await;
        story.lead.offer(&story.at, revision, ranges).await;
        story.lead.lost(&story.at.clone()).await;
        let job = story.world.job("alice", &story.job).await;
        assert_eq!((job.state(), job.error.unwrap().code.as_str()), (JobState::Failed, "INVALID_REPORT"), "{ranges:?}");
    }
}

#[tokio::test]
async fn progress_that_a_lead_counts_alone_does_not_go_back() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    story.offer(1, &[(6, 10)]).await;
    let (part, _) = helper.part().await;
    for page in 6..=10 {
        helper.page(&part, page).await;
    }
    helper.sync().await;
    let (attempt, stage) = (Some(story.at.clone()), Stage::Extract.into());
    let operation = "Processed 2/10 pages".to_owned();
    let report = ReportProgress { attempt, percent: 27.0, stage, operation, units_done: 2, units_total: PAGES };
    story.lead.send(Report::Progress(report)).await;
    story.lead.sync().await;
    let progress = story.world.job("alice", &story.job).await.progress.unwrap();
    assert_eq!((progress.percent, progress.operation.as_str(), progress.units_done), (45.0, "Processed 5/10 pages", 5));
}

#[tokio::test]
async fn operators_see_who_helps() {
    let mut story = story().await;
    let mut helper = story.world.helper("helper", 1, vec![]).await;
    story.offer(1, &[(6, 10)]).await;
    helper.part().await;
    helper.sync().await;
    let request = ListWorkersRequest::default();
    let workers = story.world.admin(&[Role::Admin]).list_workers(request).await.unwrap().into_inner().workers;
    let parts: Vec<_> = workers.iter().map(|worker| (worker.worker_id.as_str(), worker.parts)).collect();
    assert_eq!(parts, [("helper", 1), ("lead", 0)]);
}
