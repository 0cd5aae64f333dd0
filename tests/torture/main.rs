//! Whether `torture` finds faults: planted in a server that is real but for its log, each must be noticed by its name, and
//! none where there is none.

use std::process::{Command, Output};

use anyhow::{bail, ensure};
use tempfile::TempDir;

/// Faults that need something rare: entries that are appended together, or a claim.
const RARE: [&str; 6] =
    ["halved-submit", "halved-pages", "swapped-pages", "page-dropped", "ends-skipped", "two-claims"];

/// Runs the tool for a few seconds against the server with this fault: until it was hit several times, or until the server was
/// killed while something was under way.
fn torture(fault: &str, faults: &str) -> anyhow::Result<Output> {
    let seconds = if faults == "kills" { "12" } else { ["6", "10"][usize::from(RARE.contains(&fault))] };
    // Jobs that a fault stopped never end.
    let calm = if fault == "none" { "15" } else { "6" };
    let home = TempDir::with_prefix("torture-")?;
    let folder = home.path().join("run");
    let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
    command.args(["--seed", "5", "--seconds", seconds, "--calm", calm, "--faults", faults]);
    command.args(["--server", env!("CARGO_BIN_EXE_faulty-server"), "--server-flag=--fault", "--server-flag", fault]);
    Ok(command.arg("--folder").arg(folder).output()?)
}

/// Insists that one of these rules was broken. On a busy machine a rare fault may not be hit in one run: it has three.
fn caught(fault: &str, faults: &str, rules: &[&str]) -> anyhow::Result<()> {
    let runs = if RARE.contains(&fault) { 3 } else { 1 };
    let mut last = String::new();
    for _ in 0..runs {
        let output = torture(fault, faults)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let found = rules.iter().any(|rule| said.contains(&format!("{rule} was broken")));
        if found && output.status.code() == Some(1) {
            return Ok(());
        }
        last = format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    bail!("{fault} was not noticed in {runs} runs:\n{last}")
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() -> anyhow::Result<()> {
    let output = torture("none", "kills")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.contains("violations") && said.contains(" 0 failed"), "{said}");
    Ok(())
}

#[test]
fn a_dropped_event_is_noticed() -> anyhow::Result<()> {
    caught("dropped", "none", &["reliable", "resumable", "durable-before-heard"])
}

#[test]
fn a_doubled_event_is_noticed() -> anyhow::Result<()> {
    caught("doubled", "none", &["unique"])
}

#[test]
fn swapped_events_are_noticed() -> anyhow::Result<()> {
    caught("swapped", "none", &["same-content"])
}

#[test]
fn a_lost_submit_is_noticed() -> anyhow::Result<()> {
    caught("lost", "kills", &["acknowledged-submits", "resumable"])
}

#[test]
fn an_attempt_given_twice_is_noticed() -> anyhow::Result<()> {
    caught("two-claims", "none", &["one-attempt", "unique"])
}

#[test]
fn a_percent_that_falls_is_noticed() -> anyhow::Result<()> {
    caught("percent-back", "none", &["percent-never-back"])
}

#[test]
fn a_strangers_event_is_noticed() -> anyhow::Result<()> {
    caught("leaked", "none", &["isolated"])
}

#[test]
fn a_lost_document_is_noticed() -> anyhow::Result<()> {
    caught("document-lost", "none", &["acknowledged-submits"])
}

#[test]
fn a_lost_artifact_is_noticed() -> anyhow::Result<()> {
    caught("artifact-lost", "none", &["results"])
}

#[test]
fn half_a_submit_is_noticed() -> anyhow::Result<()> {
    caught("halved-submit", "none", &["legal-moves", "atomic", "reads", "snapshot-is-sum", "every-job-ends"])
}

#[test]
fn half_a_batch_of_pages_is_noticed() -> anyhow::Result<()> {
    caught("halved-pages", "none", &["acknowledged-reports"])
}

#[test]
fn swapped_pages_of_a_batch_are_noticed() -> anyhow::Result<()> {
    caught("swapped-pages", "none", &["snapshot-is-sum"])
}

#[test]
fn a_page_dropped_from_a_batch_is_noticed() -> anyhow::Result<()> {
    caught("page-dropped", "none", &["acknowledged-reports"])
}

#[test]
fn ends_skipped_among_those_appended_together_are_noticed() -> anyhow::Result<()> {
    caught("ends-skipped", "none", &["acknowledged-reports", "every-job-ends"])
}

#[test]
fn a_batch_that_a_crash_loses_is_noticed() -> anyhow::Result<()> {
    caught("unsynced-batch", "kills", &["durable-before-heard", "acknowledged-submits", "acknowledged-reports"])
}

#[test]
fn a_report_acknowledged_before_its_append_is_noticed() -> anyhow::Result<()> {
    caught("acknowledged-early", "kills", &["acknowledged-reports"])
}
