//! The benchmark measures what it says: a small run of it, from workers to browsers.

use clap::Parser as _;
use courant_tests::bench::{Options, run};
use serde_json::Value;
use tempfile::NamedTempFile;

#[tokio::test]
async fn a_small_run_of_the_benchmark_delivers_what_workers_report() -> anyhow::Result<()> {
    let file = NamedTempFile::new()?;
    let path = file.path().to_str().expect("temporary files have plain names");
    let small = ["--rounds", "1", "--connections", "10", "--step-seconds", "0.2", "--json", path];
    run(Options::parse_from(["bench", "latency"].into_iter().chain(small))).await?;
    let report: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{report}");
    for row in rows {
        let figure = |name: &str| row["figures"][name]["median"].as_f64().unwrap_or(f64::NAN);
        // On a machine that is busy with other tests some are merged, as they should be.
        assert!((50.0..=100.5).contains(&figure("delivered, %")), "{row}");
        assert!((0.0..1e4).contains(&figure("p99 ms")), "{row}");
        assert!(figure("load CPU, cores") >= 0.0, "{row}");
    }
    Ok(())
}
