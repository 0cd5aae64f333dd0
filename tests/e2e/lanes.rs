//! The lanes: premium first, the large ones by themselves.

use anyhow::ensure;
use courant_proto::v1::{Lane, SubmitJobHeader};
use courant_tests::Up;
use courant_tests::grpc::accepted;
use courant_tests::worker::Worker;

fn header(name: &str, lane: Lane) -> SubmitJobHeader {
    SubmitJobHeader {
        kind: "test".to_owned(),
        filename: name.to_owned(),
        lane: lane.into(),
        ..SubmitJobHeader::default()
    }
}

#[tokio::test]
async fn premium_is_served_first_and_places_are_right() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    let (first, _) = accepted(jobs.submit_with(header("first", Lane::Normal), b"1".to_vec()).await?)?;
    let (second, _) = accepted(jobs.submit_with(header("second", Lane::Normal), b"2".to_vec()).await?)?;
    let (paid, _) = accepted(jobs.submit_with(header("paid", Lane::Premium), b"3".to_vec()).await?)?;
    for (job, place) in [(&first, 1), (&second, 2), (&paid, 1)] {
        let found = jobs.get(&job.job_id).await?.queue_position.map(|found| found.position);
        ensure!(found == Some(place), "{} has place {found:?}, not {place}", job.filename);
    }
    let mut worker = Worker::start(&up, "test", 1)?;
    for name in ["paid", "first", "second"] {
        let work = worker.next().await?;
        ensure!(work.task.filename() == name, "{} came instead of {name}", work.task.filename());
        work.succeed();
    }
    worker.stop().await
}

#[tokio::test]
async fn a_large_document_goes_to_its_own_lane() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0", "--large-document-bytes", "1000"]).await?;
    let jobs = up.jobs("alice").await?;
    let (small, _) = accepted(jobs.submit_with(header("small", Lane::Unspecified), vec![b'x'; 1000]).await?)?;
    let (large, _) = accepted(jobs.submit_with(header("large", Lane::Unspecified), vec![b'x'; 1001]).await?)?;
    ensure!(small.lane() == Lane::Normal && large.lane() == Lane::Large, "{:?} {:?}", small.lane(), large.lane());
    Ok(())
}
