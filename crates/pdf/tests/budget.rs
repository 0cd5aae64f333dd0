//! What one document may cost: documents within every limit of a page and of a child that would hold a worker for hours.

// Helpers of tests count as code of their own to the lint.
#![allow(clippy::unwrap_used)]

#[path = "all/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use courant_pdf::{Allowance, PdfConfig};
use courant_proto::v1::PageRange;
use courant_proto::v1::work_request::Message as Report;
use support::{Bench, config, costly, fixture};

const SECOND: Duration = Duration::from_secs(1);

/// No more than these seconds of processor time, whatever the document.
fn poor(seconds: u32) -> PdfConfig {
    let allowance = Allowance { cpu: seconds * SECOND, cpu_per_page: Duration::ZERO, ..Allowance::default() };
    PdfConfig { allowance, ..config() }
}

fn children() -> usize {
    let own = std::process::id().to_string();
    let stats = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats
        .filter(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.split_whitespace().nth(1) == Some(&own)))
        .count()
}

/// One test, since it counts the children of this process.
#[tokio::test]
async fn a_document_that_costs_too_much_ends_for_good_and_others_go_on() {
    let mut bench = Bench::start(poor(3)).await;
    // Hours, if it were let.
    let job = bench.job(&costly(5_000, 20_000));
    let start = Instant::now();
    let ended = bench.run(job.clone()).await;
    assert_eq!((ended.error().code.as_str(), ended.error().retryable), ("DOCUMENT_TOO_EXPENSIVE", false));
    assert!(ended.error().message.contains("Stopped after 3 seconds of processor time"), "{}", ended.error().message);
    assert_eq!(children(), 0, "its children are gone when its end is told");
    println!("ended after {:?}", start.elapsed());

    // Tried again, it does not begin from nothing: it ends as soon as its pages, and with them its limit, are known.
    let mut again = job.clone();
    again.attempt.as_mut().unwrap().attempt = 2;
    let ended = bench.run(again).await;
    assert_eq!(ended.error().code, "DOCUMENT_TOO_EXPENSIVE");
    let pages = ended.said.iter().filter(|said| matches!(said, Report::Page(_))).count();
    assert!(pages <= 16, "{pages} pages of the second attempt");

    // A part of it has a part of the budget, and its end is the end of the part only.
    let mut part = bench.job(&costly(5_000, 20_000));
    part.attempt.as_mut().unwrap().part = "P".into();
    part.pages = Some(PageRange { first: 100, last: 199 });
    let ended = bench.run(part).await;
    assert_eq!(ended.error().code, "DOCUMENT_TOO_EXPENSIVE");
    assert!(ended.error().message.contains("Stopped after 0 seconds"), "{}", ended.error().message);

    let honest = bench.job(&fixture("cc-by-sa-4.0/two-columns.pdf"));
    assert!(bench.run(honest).await.has("result.txt"));
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_ends_for_good() {
    let allowance = Allowance { time: SECOND, time_per_page: Duration::ZERO, ..Allowance::default() };
    let mut bench = Bench::start(PdfConfig { allowance, ..config() }).await;
    let job = bench.job(&costly(5_000, 20_000));
    let ended = bench.run(job).await;
    assert_eq!((ended.error().code.as_str(), ended.error().retryable), ("JOB_TIMED_OUT", false));
    assert!(ended.error().message.contains("Stopped after 1 second,"), "{}", ended.error().message);
}
