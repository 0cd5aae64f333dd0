//! Why a server does not start, and why one stops.

use courant_joblog::log::ReadError;
use courant_joblog::sqlite;
use courant_runtime::supervisor::TaskFailed;

use crate::config::ConfigError;
use crate::data_dir::DataDirError;
use crate::notifications::push::PushError;
use crate::notifications::store::StoreError;
use crate::objects;
use crate::services::OpenError;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value of the configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] sqlite::OpenError),
    /// The engine, or the key of passwords, cannot be opened.
    #[error(transparent)]
    Services(#[from] OpenError),
    /// The object store cannot be opened.
    #[error(transparent)]
    Objects(#[from] objects::OpenError),
    /// Web Push cannot be used.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The client for webhooks cannot be made.
    #[error("the client for webhooks cannot be made: {0}")]
    Webhooks(#[from] reqwest::Error),
    /// The notifications cannot be opened.
    #[error(transparent)]
    NotificationStore(#[from] StoreError),
}

/// Why a server stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The log failed: going on could lie.
    #[error("the log failed: {0}")]
    Log(#[from] ReadError),
    /// A background task is gone, and the server cannot go on without it.
    #[error(transparent)]
    Task(#[from] TaskFailed),
    #[error("serving failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The reflection service could not be made.
    #[error("reflection failed: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}
