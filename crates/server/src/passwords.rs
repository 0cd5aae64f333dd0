//! Passwords of documents: sealed before they are stored, opened for the worker that holds the job and for nobody else,
//! removed when the job has ended.
//!
//! They lie beside the document and not in the log, which is kept longer and read by many.

use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::JobId;
use courant_joblog::job::Job;

use crate::engine::Engine;
use crate::error::Error;

/// The pause before what could not be removed is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Stores a password for a job. Gives back its name, which is for the log.
pub async fn store(engine: &Engine, job: &JobId, password: &str) -> Result<Box<str>, Error> {
    let name = JobId::random().to_string();
    engine.objects.put(&engine.objects.password(job, &name), engine.passwords.seal(job, password)).await?;
    Ok(name.into())
}

/// The password of a job that a worker holds.
pub async fn read(engine: &Engine, job: &Job) -> Result<String, Error> {
    let unreadable = || Error::PasswordUnreadable(job.id.clone());
    let name = job.password.as_deref().ok_or_else(unreadable)?;
    let stored = engine.objects.get(&engine.objects.password(&job.id, name)).await?.ok_or_else(unreadable)?;
    engine.passwords.unseal(&job.id, &stored).ok_or_else(unreadable)
}

/// Removes one that came to nothing.
pub async fn drop_unused(engine: &Engine, job: &JobId, name: Option<&str>) {
    if let Some(name) = name {
        engine.objects.remove(&engine.objects.password(job, name)).await;
    }
}

/// Removes the passwords of jobs that have ended, for ever.
pub async fn run(engine: Arc<Engine>) {
    let news = engine.indexes(|indexes, _| indexes.unused_passwords.news());
    loop {
        while let Some((job, name)) = engine.indexes(|indexes, _| indexes.unused_passwords.first()) {
            let path = engine.objects.password(&job, &name);
            match engine.objects.delete(&path).await {
                Ok(()) => engine.indexes(|indexes, _| indexes.unused_passwords.removed(&(job, name))),
                Err(error) => {
                    tracing::warn!(%job, %error, "the password of an ended job could not be removed; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        news.notified().await;
    }
}
