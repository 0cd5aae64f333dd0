//! `courant`: the all-in-one (`up`) and the commands that talk to a running one.
//!
//! Owns the command line, the data folder of the all-in-one and what people read on a terminal. Speaks to the service
//! through its gRPC endpoint only, like any other client; must never open the log of a running `up`. `migrate` and `backup` read logs
//! by themselves: the one of a server that is stopped, the other in a way that servers do not notice.

mod act;
mod admin;
mod args;
mod batch;
mod connect;
mod convert;
mod failure;
mod follow;
mod home;
mod jobs;
mod operate;
mod out;
mod outputs;
mod parameters;
mod password;
mod queue;
mod quota;
mod result;
mod submit;
mod token;
mod transfer;
mod up;
mod view;
mod watch;
mod webhooks;
mod words;

use std::process::ExitCode;

use courant_runtime::command_line;

use crate::args::{Command, Courant, OperatorCommand};
use crate::failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = command_line::parse::<Courant>().command;
    if matches!(command, Command::PdfChild) {
        // The isolated child: no runtime, no threads of ours.
        return courant_pdf::child::main();
    }
    if matches!(
        command,
        Command::Up(_) | Command::Token(_) | Command::Operator(OperatorCommand::Backup(_) | OperatorCommand::Admin(_))
    ) {
        courant_server::data_dir::keep_private();
    }
    match run(command) {
        Ok(code) => code,
        Err(failure) if out::is_output_closed(&failure) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("courant: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Up(up) => up::run(*up),
        command => {
            let runtime = tokio::runtime::Runtime::new()?;
            let ended = runtime.block_on(call(command));
            // A read of standard input that blocks must not hold the exit up.
            runtime.shutdown_background();
            ended
        }
    }
}

/// Commands that talk to a running service.
async fn call(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Up(up) => up::run(*up),
        Command::Submit(submit) => submit::run(*submit).await,
        Command::Convert(convert) => convert::run(*convert).await,
        Command::Watch(watch) => watch::run(watch).await,
        Command::Jobs(jobs) => jobs::run(jobs).await,
        Command::Queue(queue) => queue::run(queue).await,
        Command::Cancel(cancel) => act::cancel(cancel).await,
        Command::Delete(delete) => act::delete(delete).await,
        Command::Batch(batch) => batch::run(batch).await,
        Command::Quota(quota) => quota::run(quota).await,
        Command::Retry(retry) => act::retry(retry).await,
        Command::Result(result) => result::run(result).await,
        Command::Outputs(outputs) => outputs::run(outputs).await,
        Command::Output(output) => result::run_output(output).await,
        Command::Webhooks(webhooks) => webhooks::run(webhooks.command).await,
        Command::Operator(command) => run_operator(command).await,
        Command::Token(token) => token::run(&token),
        Command::PdfChild => Ok(courant_pdf::child::main()),
    }
}

/// Commands of those who run a service.
async fn run_operator(command: OperatorCommand) -> Result<ExitCode, Failure> {
    match command {
        OperatorCommand::Workers(args) => operate::workers(args).await,
        OperatorCommand::Drain(args) => operate::drain(args).await,
        OperatorCommand::Resume(args) => operate::resume(args).await,
        OperatorCommand::Metrics(args) => operate::metrics(args).await,
        #[cfg(feature = "nats")]
        OperatorCommand::Migrate(args) => transfer::migrate(*args).await,
        OperatorCommand::Backup(args) => transfer::backup(*args).await,
        #[cfg(feature = "nats")]
        OperatorCommand::BeginEpoch(args) => transfer::begin_epoch(*args).await,
        OperatorCommand::Admin(args) => admin::run(args.command).await,
    }
}
