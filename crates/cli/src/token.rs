//! `courant token`.

use std::process::ExitCode;

use courant_auth::Signer;

use crate::args::Token;
use crate::failure::Failure;
use crate::home::Home;
use crate::out;

/// Prints a token and nothing else, so that `$(courant token …)` works.
pub fn run(args: &Token) -> Result<ExitCode, Failure> {
    let secret = Home::open(&args.data_dir)?.secret()?;
    out::line(Signer::hs256(&secret).sign(&args.sub, &args.roles, args.ttl)?)?;
    Ok(ExitCode::SUCCESS)
}
