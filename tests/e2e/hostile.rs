//! One user takes what can be had of the whole program, and another must not notice.

use std::time::{Duration, Instant};

use anyhow::ensure;
use courant_proto::v1::submit_job_request::Part;
use courant_proto::v1::{SubmitJobHeader, SubmitJobRequest};
use courant_tests::{Up, documents};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Documents that stop arriving after [`SENT`] MiB, each.
const UNFINISHED: usize = 400;
const SENT: usize = 5;
/// What they may take in all, in bytes: the share of one user is 128 MiB, the window of each HTTP/2 connection 1 MiB, and some
/// more. Without a share they took all they sent, 2,000 MiB.
const HELD: u64 = (128 + UNFINISHED as u64 + 112) << 20;
/// A second user's requests take less. Generous: without the attack they take milliseconds.
const UNNOTICED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn documents_that_stop_arriving_take_the_memory_of_one_share() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let bob = up.jobs("bob").await?;
    bob.submit("first.pdf", documents::pages(1)).await?;
    let before = up.resident_bytes()?;
    let mut unfinished = Vec::new();
    for number in 0..UNFINISHED {
        // As many connections as a client likes.
        let mut client = up.jobs("mallory").await?.client;
        let (parts, arriving) = mpsc::channel(SENT + 1);
        parts.send(SubmitJobRequest { part: Some(Part::Header(SubmitJobHeader::default())) }).await?;
        for _ in 0..SENT {
            parts.send(SubmitJobRequest { part: Some(Part::Chunk(vec![b'x'; 1 << 20].into())) }).await?;
        }
        unfinished.push((tokio::spawn(async move { client.submit_job(ReceiverStream::new(arriving)).await }), parts));
        if number % 50 == 0 {
            let begun = Instant::now();
            bob.submit("more.pdf", documents::pages(1)).await?;
            ensure!(begun.elapsed() < UNNOTICED, "the second user waits {:?}", begun.elapsed());
        }
    }
    let held = up.resident_bytes()?.saturating_sub(before);
    println!("{} MiB are held", held >> 20);
    ensure!(held < HELD, "{} MiB are held", held >> 20);
    ensure!(unfinished.iter().any(|(call, _)| !call.is_finished()), "none of them has come that far");
    Ok(())
}
