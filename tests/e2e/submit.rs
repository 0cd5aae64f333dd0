//! Submitting: safe to repeat, never by mistake.

use anyhow::ensure;
use courant_proto::v1::SubmitJobHeader;
use courant_tests::grpc::{accepted, reason};
use courant_tests::{Up, documents};
use tonic::Code;

fn with_id(request_id: &str) -> SubmitJobHeader {
    SubmitJobHeader { request_id: request_id.to_owned(), filename: "a.pdf".to_owned(), ..SubmitJobHeader::default() }
}

#[tokio::test]
async fn the_same_request_gives_the_same_job_even_after_a_crash() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let (first, _) = accepted(up.jobs("alice").await?.submit_with(with_id("r-1"), documents::pages(1)).await?)?;
    let (again, _) = accepted(up.jobs("alice").await?.submit_with(with_id("r-1"), documents::pages(1)).await?)?;
    ensure!(first.job_id == again.job_id, "a second job was made");
    let up = up.kill_and_restart().await?;
    let (later, _) = accepted(up.jobs("alice").await?.submit_with(with_id("r-1"), documents::pages(1)).await?)?;
    ensure!(first.job_id == later.job_id, "a second job was made after the crash");
    // The id of one user says nothing about another's.
    let (other, _) = accepted(up.jobs("bob").await?.submit_with(with_id("r-1"), documents::pages(1)).await?)?;
    ensure!(other.job_id != first.job_id && other.owner == "bob", "{other:?}");
    Ok(())
}

#[tokio::test]
async fn the_same_request_with_another_document_is_refused() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let jobs = up.jobs("alice").await?;
    jobs.submit_with(with_id("r-1"), documents::pages(1)).await?;
    let refused = jobs.submit_with(with_id("r-1"), documents::pages(2)).await.unwrap_err();
    ensure!(refused.code() == Code::AlreadyExists && reason(&refused) == "REQUEST_ID_MISMATCH", "{refused}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_a_document_is_refused_at_the_door() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0", "--max-document-bytes", "1000"]).await?;
    let jobs = up.jobs("alice").await?;
    let empty = jobs.submit("empty.pdf", Vec::new()).await.unwrap_err();
    ensure!(empty.code() == Code::InvalidArgument && reason(&empty) == "DOCUMENT_EMPTY", "{empty}");
    let large = jobs.submit("large.pdf", vec![b'x'; 1001]).await.unwrap_err();
    ensure!(large.code() == Code::ResourceExhausted && reason(&large) == "DOCUMENT_TOO_LARGE", "{large}");
    let header = SubmitJobHeader { sha256: "0".repeat(64), ..with_id("") };
    let wrong = jobs.submit_with(header, b"%PDF-1.4".to_vec()).await.unwrap_err();
    ensure!(wrong.code() == Code::InvalidArgument && reason(&wrong) == "CHECKSUM_MISMATCH", "{wrong}");
    ensure!(jobs.submit("fits.pdf", vec![b'x'; 1000]).await.is_ok(), "the limit itself must fit");
    Ok(())
}
