//! The isolated child: the only process that parses a PDF, and the one that becomes an OCR program.
//!
//! Gives up what it does not need before it reads the first byte. A page that panics costs that page; what kills the
//! process is the parent's to notice.

mod exec;
mod read;
mod window;

use std::process::ExitCode;

use crate::jail::{self, Purpose};
use crate::protocol::{ChildTask, JAIL, REQUEST_VARIABLE, Request};

/// Runs the child to its end. For the hidden subcommand `pdf-child`.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pdf-child: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), ChildError> {
    jail::close_inherited();
    let request = std::env::var(REQUEST_VARIABLE).map_err(|_| ChildError::NoRequest)?;
    let request: Request = serde_json::from_str(&request)?;
    match &request.task {
        ChildTask::Read { document, max_pages, picture, rules } => {
            read::run(&request, document, *max_pages, *picture, *rules)
        }
        ChildTask::Become { program, args, read, announce } => {
            exec::become_program(&request, program, args, read, *announce)
        }
        ChildTask::Probe => {
            let layers = jail::enter(request.parent, &request.limits, &Purpose::Compute)?;
            eprintln!("{JAIL}{layers}");
            Ok(())
        }
    }
}

/// Why the child gives up without a word to the parent.
#[derive(Debug, thiserror::Error)]
enum ChildError {
    #[error("this is not for people: {REQUEST_VARIABLE} is not set")]
    NoRequest,
    #[error("the request, an order or an answer is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the parent cannot be told: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0} cannot be started: {1}")]
    Start(String, std::io::Error),
    #[error("the first order must be to open the document")]
    NotOpen,
}
