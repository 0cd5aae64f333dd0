//! Passwords of documents: sealed before they are stored, opened for the worker that holds the job and for nobody else,
//! removed when the job has ended.
//!
//! They lie beside the document and not in the log, which is kept longer and read by many.

use std::sync::Arc;
use std::time::Duration;

use courant_joblog::ids::JobId;
use courant_joblog::job::Job;

use crate::error::Error;
use crate::job_folder::JobFolder;
use crate::services::Services;

/// The pause before what could not be removed is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Stores a password for a job. Gives back its name, which is for the log.
pub async fn store(services: &Services, folder: &JobFolder, password: &str) -> Result<Box<str>, Error> {
    let name = JobId::random().to_string();
    let sealed = services.passwords.seal(folder.job(), password);
    services.objects.put(&services.objects.password(folder, &name), sealed).await?;
    Ok(name.into())
}

/// The password of a job that a worker holds.
pub async fn read(services: &Services, job: &Job) -> Result<String, Error> {
    let unreadable = || Error::PasswordUnreadable(job.id.clone());
    let name = job.password.as_deref().ok_or_else(unreadable)?;
    let stored =
        services.objects.get(&services.objects.password(&JobFolder::of(job), name)).await?.ok_or_else(unreadable)?;
    services.passwords.unseal(&job.id, &stored).ok_or_else(unreadable)
}

/// Removes one that came to nothing.
pub async fn drop_unused(services: &Services, folder: &JobFolder, name: Option<&str>) {
    if let Some(name) = name {
        services.objects.remove(&services.objects.password(folder, name)).await;
    }
}

/// Removes the passwords of jobs that have ended, for ever.
pub async fn run(services: Arc<Services>) {
    let unused = &services.projections.unused_passwords;
    let added = services.engine.projection(unused, |unused, _| unused.added());
    loop {
        while let Some((folder, name)) = services.engine.projection(unused, |unused, _| unused.first()) {
            let path = services.objects.password(&folder, &name);
            match services.objects.delete(&path).await {
                Ok(()) => services.engine.projection(unused, |unused, _| unused.removed(&(folder, name))),
                Err(error) => {
                    tracing::warn!(job = %folder.job(), %error, "the password of an ended job could not be removed; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
        added.notified().await;
    }
}
