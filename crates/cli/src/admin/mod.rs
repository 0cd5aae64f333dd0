//! `courant admin …`: what operators do.

mod audit;

use std::process::ExitCode;

use crate::args::AdminCommand;
use crate::failure::Failure;

pub async fn run(command: AdminCommand) -> Result<ExitCode, Failure> {
    match command {
        AdminCommand::Audit(args) => audit::run(args).await,
    }
}
