//! A whole worker: takes jobs of the kind `text`, counts their words and writes the number as every result asked for.
//!
//! ```sh
//! COURANT_TOKEN=$(courant token --role worker) cargo run -p courant-worker --example word_count
//! ```

use std::sync::Arc;

use courant_worker::{Config, Handler, Outcome, ResultFormat, Stage, Task, TaskError, async_trait, run};
use tokio_util::sync::CancellationToken;

struct WordCount;

#[async_trait]
impl Handler for WordCount {
    async fn run(&self, task: Task) -> Result<Outcome, TaskError> {
        let path = std::env::temp_dir().join(format!("{}-{}", task.job_id(), task.number()));
        task.progress(5.0, Stage::Analyse, "Reading the text", (0, 1));
        task.read_document(&path).await?;
        let text = tokio::fs::read_to_string(&path).await;
        let _ = tokio::fs::remove_file(&path).await;
        let text = text.map_err(|_| TaskError::permanent("NOT_A_TEXT", "The document is not UTF-8 text."))?;
        let words = text.split_whitespace().count();
        for format in task.formats() {
            let (name, result) = match format {
                ResultFormat::Json => ("result.json", format!("{{\"words\":{words}}}")),
                ResultFormat::Markdown => ("result.md", format!("**{words}** words\n")),
                ResultFormat::Html => ("result.html", format!("<!doctype html><p>{words} words</p>")),
                ResultFormat::Text | ResultFormat::Unspecified => ("result.txt", format!("{words} words\n")),
            };
            task.export_started(format).await?;
            task.write_artifact(name, result).await?;
            task.export_completed(format).await?;
        }
        Ok(Outcome::default())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let server = std::env::var("COURANT_SERVER").unwrap_or_else(|_| "http://127.0.0.1:50051".into());
    let token = std::env::var("COURANT_TOKEN").map_err(|_| "COURANT_TOKEN must hold a token with the role worker")?;
    let config = Config::new(server, Arc::new(move || token.clone()), "word-count-1", ["text"]);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    });
    Ok(run(config, Arc::new(WordCount), shutdown).await?)
}
