//! Lists with filters, their pages, and their cursors.

use courant_proto::v1::*;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::*;

fn filtered(filter: &str) -> ListJobsRequest {
    ListJobsRequest { filter: filter.into(), ..ListJobsRequest::default() }
}

fn labelled(team: &str) -> SubmitJobHeader {
    SubmitJobHeader { labels: [("team".to_owned(), team.to_owned())].into(), ..SubmitJobHeader::default() }
}

#[tokio::test]
async fn a_filter_finds_what_it_describes_page_by_page_while_jobs_come_in() {
    let world = World::new().await;
    let mut red = Vec::new();
    for number in 0..9 {
        let team = if number % 3 == 0 { "blue" } else { "red" };
        let id = world.submit_with("alice", labelled(team), b"x").await.unwrap().job.unwrap().job_id;
        if team == "red" {
            red.push(id);
        }
    }
    let mut alice = world.jobs("alice");
    let mut request = ListJobsRequest { page_size: 2, ..filtered(r#"state = QUEUED AND labels.team = "red""#) };
    let mut found = Vec::new();
    loop {
        let page = alice.list_jobs(request.clone()).await.unwrap().into_inner();
        assert!(page.jobs.len() <= 2);
        found.extend(page.jobs.into_iter().map(|job| job.job_id));
        world.submit_with("alice", labelled("red"), b"x").await.unwrap();
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    red.sort();
    found.sort();
    assert_eq!(found, red, "all that were there, once, and none that came later");
    let first = alice.list_jobs(ListJobsRequest { page_size: 2, ..filtered("red") }).await.unwrap().into_inner();
    let other = ListJobsRequest { page_token: first.next_page_token, ..filtered("blue") };
    assert_eq!(reason(&alice.list_jobs(other).await.unwrap_err()), "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn what_is_no_filter_is_refused_with_its_place() {
    let world = World::new().await;
    let refused = world.jobs("alice").list_jobs(filtered("state = DONE")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "FILTER_INVALID"));
    assert!(refused.message().starts_with("filter, at byte 9: expected one of QUEUED"), "{}", refused.message());
    let details = refused.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "filter");
    let long = world.jobs("alice").list_jobs(filtered(&"x".repeat(1 << 20))).await.unwrap_err();
    assert_eq!(reason(&long), "FILTER_INVALID");
}

#[tokio::test]
async fn a_filter_never_shows_anothers_jobs() {
    let world = World::new().await;
    world.submit("alice").await;
    let list = world.jobs("bob").list_jobs(filtered("owner = alice OR state = QUEUED")).await.unwrap().into_inner();
    assert!(list.jobs.is_empty());
}

#[tokio::test]
async fn the_cursor_of_a_list_leads_into_a_watch_without_a_gap() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let cursor = world.jobs("alice").list_jobs(filtered("state = QUEUED")).await.unwrap().into_inner().cursor;
    world.cancel("alice", &id).await.unwrap();
    let events = world.watch("alice", &id, &cursor).await.durable().await;
    assert_eq!(names(&events), ["cancelled"]);
}
