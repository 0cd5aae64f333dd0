//! What workers make beside the formats: listed, read and removed with the job.

use courant_proto::v1::work_request::Message as Report;
use courant_proto::v1::*;
use tonic::{Code, Status};

use crate::support::*;

fn output(at: &AttemptRef, name: &str, media_type: &str, artifact: Option<&[u8]>) -> Report {
    let artifact = artifact.map(bytes::Bytes::copy_from_slice);
    Report::Output(ReportOutput {
        attempt: Some(at.clone()),
        name: name.into(),
        media_type: media_type.into(),
        artifact,
    })
}

async fn list(world: &World, who: &str, id: &str) -> Result<Vec<Output>, Status> {
    Ok(world.jobs(who).list_outputs(ListOutputsRequest { job_id: id.into() }).await?.into_inner().outputs)
}

/// What an output says of itself, and its bytes from `offset` on.
async fn read(world: &World, who: &str, id: &str, name: &str, offset: i64) -> Result<(Output, Vec<u8>), Status> {
    use read_output_response::Part;
    let request = ReadOutputRequest { job_id: id.into(), name: name.into(), offset, limit: 0 };
    let mut stream = world.jobs(who).read_output(request).await?.into_inner();
    let Some(Part::Header(header)) = stream.message().await?.unwrap().part else { panic!("no header") };
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await? {
        let Some(Part::Chunk(chunk)) = message.part else { panic!("not a chunk") };
        bytes.extend_from_slice(&chunk);
    }
    Ok((header, bytes))
}

#[tokio::test]
async fn what_a_worker_marks_as_an_output_is_listed_and_read_at_once() {
    let world = World::new().await;
    let submitted = world.submit_with("alice", markdown_only(), b"x").await.unwrap();
    let id = submitted.job.unwrap().job_id;
    let watcher = world.watch("alice", &id, &submitted.cursor).await;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    let picture = vec![7; 300_000];
    worker.write(&at, "figures/1.png", &picture).await.unwrap();
    worker.send(output(&at, "figures/1.png", "image/png", None)).await;
    worker.send(output(&at, "words.csv", "text/csv; charset=utf-8", Some(b"a,1\n"))).await;
    worker.send(output(&at, "empty", "", Some(b""))).await;
    // Once more: it changes nothing.
    worker.send(output(&at, "words.csv", "text/csv; charset=utf-8", Some(b"a,1\n"))).await;
    worker.sync().await;

    let listed = list(&world, "alice", &id).await.unwrap();
    let facts: Vec<_> =
        listed.iter().map(|of| (of.name.as_str(), of.media_type.as_str(), of.size_bytes, of.attempt)).collect();
    let expected = [
        ("figures/1.png", "image/png", 300_000, 1),
        ("words.csv", "text/csv; charset=utf-8", 4, 1),
        ("empty", "application/octet-stream", 0, 1),
    ];
    assert_eq!(facts, expected);
    assert_eq!(read(&world, "alice", &id, "figures/1.png", 0).await.unwrap(), (listed[0].clone(), picture));
    assert_eq!(read(&world, "alice", &id, "words.csv", 2).await.unwrap().1, b"1\n");
    assert_eq!(read(&world, "alice", &id, "empty", 0).await.unwrap().1, b"");
    let beyond = read(&world, "alice", &id, "words.csv", 5).await.unwrap_err();
    assert_eq!(beyond.code(), Code::OutOfRange);

    worker.work_off(&at, 1).await;
    let events = watcher.durable().await;
    assert_eq!(names(&events).iter().filter(|name| **name == "output-stored").count(), 3);
    assert_eq!(events.last().unwrap().2.job.as_ref().unwrap().outputs, listed);
    let all = list(&world, "alice", &id).await.unwrap();
    assert_eq!((all[0].name.as_str(), &all[1..]), ("result.md", &listed[..]), "exports are outputs, too");
    assert_eq!(read(&world, "alice", &id, "result.md", 2).await.unwrap().1, b"Hello");
}

#[tokio::test]
async fn they_stay_over_attempts_and_restarts_and_the_newer_one_wins() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    worker.send(output(&at, "kept", "text/plain", Some(b"one"))).await;
    worker.send(output(&at, "again", "text/plain", Some(b"one"))).await;
    worker.fail(&at, true).await;
    let at = worker.take().await.attempt.unwrap();
    worker.send(output(&at, "again", "text/html", Some(b"two"))).await;
    worker.sync().await;
    drop(worker);
    let world = world.restart().await;
    let listed = list(&world, "alice", &id).await.unwrap();
    let facts: Vec<_> = listed.iter().map(|of| (of.name.as_str(), of.media_type.as_str(), of.attempt)).collect();
    assert_eq!(facts, [("kept", "text/plain", 1), ("again", "text/html", 2)]);
    assert_eq!(read(&world, "alice", &id, "kept", 0).await.unwrap().1, b"one");
    assert_eq!(read(&world, "alice", &id, "again", 0).await.unwrap().1, b"two");
}

#[tokio::test]
async fn others_find_neither_the_job_nor_its_outputs_and_nothing_is_left_of_a_removed_one() {
    let world = World::new().await;
    let id = world.submit_with("alice", markdown_only(), b"x").await.unwrap().job.unwrap().job_id;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    worker.write(&at, "big", &vec![1; 200_000]).await.unwrap();
    worker.send(output(&at, "big", "", None)).await;
    worker.work_off(&at, 1).await;
    worker.sync().await;
    assert_eq!(list(&world, "bob", &id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(reason(&read(&world, "bob", &id, "big", 0).await.unwrap_err()), "JOB_NOT_FOUND");
    for name in ["nothing", "", "../document", "a1/big", "pages/000001.json", "BIG"] {
        let refused = read(&world, "alice", &id, name, 0).await.unwrap_err();
        assert_eq!(reason(&refused), "RESULT_NOT_FOUND", "{name}");
    }
    world.jobs("alice").delete_job(DeleteJobRequest { job_id: id.clone() }).await.unwrap();
    assert_eq!(list(&world, "alice", &id).await.unwrap_err().code(), Code::NotFound);
    until(|| world.files().is_empty()).await;
}

#[tokio::test]
async fn a_job_has_at_most_256() {
    let world = World::new().await;
    let id = world.submit("alice").await.job.unwrap().job_id;
    let mut worker = world.worker("w1").await;
    let at = worker.take().await.attempt.unwrap();
    for number in 0..256 {
        worker.send(output(&at, &format!("o{number}"), "text/plain", Some(b"x"))).await;
    }
    worker.sync().await;
    // In the place of one there is room.
    worker.send(output(&at, "o0", "text/plain", Some(b"y"))).await;
    worker.sync().await;
    assert_eq!(world.job("alice", &id).await.state(), JobState::Running);
    worker.send(output(&at, "one-more", "text/plain", Some(b"x"))).await;
    worker.sync().await;
    let job = world.job("alice", &id).await;
    let error = job.error.clone().unwrap();
    assert_eq!((job.state(), error.code.as_str(), job.outputs.len()), (JobState::Failed, "INVALID_REPORT", 256));
    assert!(error.message.contains("256 outputs"), "{}", error.message);
}
