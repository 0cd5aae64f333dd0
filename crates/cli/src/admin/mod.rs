//! `courant admin …`: what operators do. Everything goes through the gRPC API, except a backup, which is made beside the server.

mod audit;
mod backup;
mod bulk;
mod connections;
mod explain;
mod lanes;
mod log;

use std::process::ExitCode;

use self::bulk::Action;
use crate::args::{AdminCommand, AdminJobs, Quota};
use crate::failure::Failure;
use crate::{jobs, operate, quota};

#[expect(clippy::cognitive_complexity, reason = "one line for each command")]
pub async fn run(command: AdminCommand) -> Result<ExitCode, Failure> {
    match command {
        AdminCommand::Audit(args) => audit::run(args).await,
        AdminCommand::Explain(args) => explain::run(args).await,
        AdminCommand::Lanes(args) => lanes::list(args).await,
        AdminCommand::PauseLane(args) => lanes::pause(args).await,
        AdminCommand::ResumeLane(args) => lanes::resume(args).await,
        AdminCommand::SetLaneWeight(args) => lanes::set_weight(args).await,
        AdminCommand::Workers(args) => operate::workers(args).await,
        AdminCommand::DrainWorker(args) => operate::drain(args).await,
        AdminCommand::ResumeWorker(args) => operate::resume(args).await,
        AdminCommand::Jobs(args) => list_jobs(args).await,
        AdminCommand::CancelJobs(args) => bulk::run(args, Action::Cancel).await,
        AdminCommand::RetryJobs(args) => bulk::run(args, Action::Retry).await,
        AdminCommand::DeleteJobs(args) => bulk::run(args, Action::Delete).await,
        AdminCommand::Quota(args) => show_quota(args).await,
        AdminCommand::Log(args) => log::info(args).await,
        AdminCommand::Backup(args) => backup::run(*args).await,
        AdminCommand::Verify(args) => log::verify(args).await,
        AdminCommand::Connections(args) => connections::list(args).await,
        AdminCommand::CloseConnections(args) => connections::close(args).await,
        AdminCommand::Topics(args) => connections::topics(args).await,
    }
}

async fn list_jobs(args: AdminJobs) -> Result<ExitCode, Failure> {
    let AdminJobs { owner, filter, limit, operator } = args;
    jobs::list_of(&owner.unwrap_or_else(|| "-".to_owned()), filter, limit, operator).await
}

async fn show_quota(args: Quota) -> Result<ExitCode, Failure> {
    quota::run(args).await
}
