//! Every document of the fixtures ends as its row in their README says.

use anyhow::ensure;
use courant_proto::v1::{Job, JobState, ResultFormat};
use courant_tests::grpc::accepted;
use courant_tests::{Up, documents};

/// How a document ends.
enum Ends {
    /// With a result that holds these words.
    Well(&'static [&'static str]),
    /// With a result and a warning, because it cannot be read without OCR.
    Warned,
    /// With one of these codes.
    Badly(&'static [&'static str]),
    /// Either way, as long as it ends: hostile on purpose.
    Somehow,
}

const ROWS: [(&str, Ends); 15] = [
    ("cc-by-sa-4.0/two-columns.pdf", Ends::Well(&["Two-Column Document with Lorem Ipsum", "Abstract"])),
    ("cc-by-sa-4.0/password-openpassword.pdf", Ends::Badly(&["PASSWORD_REQUIRED"])),
    ("cc-by-sa-4.0/text-and-image.pdf", Ends::Well(&["Your Chapter", "Lorem ipsum dolor sit amet"])),
    ("cc-by-sa-4.0/forms.pdf", Ends::Well(&["Name", "Check", "Submit"])),
    ("cc-by-sa-4.0/arabic.pdf", Ends::Well(&["habibi"])),
    ("cc-by-sa-4.0/pages-120.pdf", Ends::Well(&["Hello, here is some text without a meaning"])),
    ("cc-by-sa-4.0/invalid.pdf", Ends::Badly(&["DAMAGED_DOCUMENT", "NO_PAGES", "NOT_A_PDF"])),
    ("cc-by-sa-4.0/pixel-bomb.pdf", Ends::Somehow),
    ("gfdl-or-cc-by-sa-3.0/scan.pdf", Ends::Warned),
    ("gfdl-or-cc-by-sa-3.0/scan-rotated-skewed.pdf", Ends::Warned),
    ("mit/password-usersecret-aes256.pdf", Ends::Badly(&["PASSWORD_REQUIRED"])),
    ("mit/corrupted-recoverable.pdf", Ends::Well(&["Beautiful is better than ugly."])),
    ("mit/recursive-xobjects.pdf", Ends::Well(&["Hello world"])),
    ("mit/japanese.pdf", Ends::Well(&["わたくしといふ現象は"])),
    ("mit/wide-table.pdf", Ends::Well(&["NICS Firearm Background Checks", "Alabama"])),
];

#[tokio::test]
async fn every_fixture_ends_as_its_row_says() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "2", "--ocr", "off"]).await?;
    let jobs = up.jobs("alice").await?;
    let mut submitted = Vec::new();
    for (name, ends) in &ROWS {
        let (job, _) = accepted(jobs.submit(name, documents::fixture_bytes(name)?).await?)?;
        ensure!(!job.filename.contains('/'), "a path is cut off: {}", job.filename);
        submitted.push((name, ends, job.job_id));
    }
    for (name, ends, job_id) in submitted {
        let job = jobs.ended(&job_id).await?;
        let text = jobs.result(&job_id, ResultFormat::Text).await.unwrap_or_default();
        check(ends, &job, &text)
            .map_err(|error| error.context(format!("{name}: {:?} {:?}", job.error, job.warnings)))?;
    }
    // The workers lived through all of it.
    let (job, _) = accepted(jobs.submit("after.pdf", documents::pages(2)).await?)?;
    ensure!(jobs.ended(&job.job_id).await?.state() == JobState::Succeeded, "a worker has died");
    Ok(())
}

fn check(ends: &Ends, job: &Job, text: &str) -> anyhow::Result<()> {
    let code = job.error.as_ref().map(|error| error.code.as_str()).unwrap_or_default();
    match ends {
        Ends::Well(words) => {
            ensure!(job.state() == JobState::Succeeded, "ended {:?}", job.state());
            ensure!(
                job.pages_done == job.pages_total && job.pages_total > 0,
                "{} of {}",
                job.pages_done,
                job.pages_total
            );
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for word in *words {
                ensure!(flat.contains(word), "{word:?} is not in {flat:.300}");
            }
        }
        Ends::Warned => {
            ensure!(job.state() == JobState::Succeeded && !job.warnings.is_empty(), "ended {:?}", job.state());
        }
        Ends::Badly(codes) => {
            ensure!(job.state() == JobState::Failed && codes.contains(&code), "ended {:?} with {code}", job.state());
            let message = job.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
            ensure!(message.len() > 15, "no reason that a person understands: {message:?}");
        }
        Ends::Somehow => ensure!(job.end_time.is_some(), "it has not ended"),
    }
    Ok(())
}

#[tokio::test]
async fn every_format_is_there_and_says_the_same() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let jobs = up.jobs("alice").await?;
    let (job, _) = accepted(jobs.submit("three.pdf", documents::pages(3)).await?)?;
    let job = jobs.ended(&job.job_id).await?;
    ensure!(job.exports.len() == 4, "{:?}", job.exports);
    for export in &job.exports {
        let result = jobs.result(&job.job_id, export.format()).await?;
        ensure!(result.contains("This is page 3."), "{:?}: {result:.300}", export.format());
        ensure!(result.len() == usize::try_from(export.size_bytes)?, "{:?}", export.format());
    }
    Ok(())
}
