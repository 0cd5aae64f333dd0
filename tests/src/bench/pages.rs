//! Pages of PDFs with a sentence each, read by one PDF worker, which runs beside this process.

use std::time::Instant;

use anyhow::ensure;
use courant_proto::v1::JobState;
use futures::future::try_join_all;

use super::cpu::Used;
use super::load::owners;
use super::{Options, Row, server};
use crate::pdf_worker::PdfWorker;
use crate::{documents, grpc};

/// Pages of one document.
const PAGES: usize = 2_000;

pub async fn measure(options: &Options, at_once: usize) -> anyhow::Result<Row> {
    let mut row = Row::new(format!("pages: {at_once} document(s) of {PAGES} small pages at once, one PDF worker"));
    for _ in 0..options.rounds {
        let up = server(options, 0).await?;
        let worker = PdfWorker::start(&up, "bench", &[]).await?;
        let clients = owners(&up, 1).await?;
        let (begun, used) = (Instant::now(), Used::now(&up)?);
        let documents = (0..at_once).map(|_| async {
            let (job, cursor) = grpc::accepted(clients[0].submit("bench.pdf", documents::pages(PAGES)).await?)?;
            clients[0].watch(&job.job_id, &cursor).await?.to_end().await?;
            ensure!(clients[0].get(&job.job_id).await?.state() == JobState::Succeeded, "the document failed");
            Ok(())
        });
        try_join_all(documents).await?;
        let seconds = begun.elapsed().as_secs_f64();
        // What a process used counts as ours when it has ended.
        worker.stop().await?;
        let (server, load) = Used::since(used, &up)?;
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let pages = (PAGES * at_once) as f64;
        row.add("pages/s", pages / seconds);
        row.add("server CPU µs/page", server / pages * 1e6);
        row.add("worker CPU µs/page", load / pages * 1e6);
    }
    Ok(row)
}
