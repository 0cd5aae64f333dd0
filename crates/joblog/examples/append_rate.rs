//! How many durable appends a second this disk gives:
//! `cargo run --release -p courant-joblog --features conformance --example append_rate [folder]`.

use std::sync::Arc;
use std::time::Duration;

use courant_joblog::append_rate::{AppendRate, measure};
use courant_joblog::log::Log;
use courant_joblog::sqlite::{Options, SqliteLog};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    println!("{}", AppendRate::COLUMNS);
    for appenders in [1, 16, 256] {
        let dir = tempfile::tempdir_in(&parent)?;
        let log: Arc<dyn Log> = Arc::new(SqliteLog::open(dir.path(), Options::default())?);
        println!("{}", measure(&log, appenders, Duration::from_secs(5)).await?);
    }
    Ok(())
}
