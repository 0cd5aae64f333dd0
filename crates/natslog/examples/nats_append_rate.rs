//! How many appends a second NATS gives, on so many replicas (1 if not said):
//! `cargo run --release -p courant-natslog --example nats_append_rate -- nats://host:port [replicas]`.
//!
//! The stream `append-rate` stays there. What SQLite gives says the example of the same name of `courant-joblog`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use courant_joblog::append_rate::{AppendRate, measure};
use courant_joblog::log::Log;
use courant_natslog::{NatsLog, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().ok_or("name the URL of a NATS server")?;
    let replicas = arguments.next().map_or(Ok(1), |replicas| replicas.parse())?;
    let options = Options { replicas, allow_lossy: true, stream: "append-rate".into(), ..Options::new([server]) };
    println!("{}", AppendRate::COLUMNS);
    for appenders in [1, 16, 128] {
        let log: Arc<dyn Log> = Arc::new(NatsLog::open(options.clone()).await?);
        println!("{}", measure(&log, appenders, Duration::from_secs(4)).await?);
    }
    let began = Instant::now();
    let log = NatsLog::open(options).await?;
    let opened = began.elapsed();
    let jobs = log.latest().await?.all().await?.len();
    println!("opened in {opened:.2?}, the newest entries of {jobs} jobs in {:.2?}", began.elapsed() - opened);
    Ok(())
}
