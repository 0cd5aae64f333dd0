//! `courant up --check-config`: what would keep it from starting.

use courant_auth::{Secret, Verifier};
use courant_pdf::ChildCommand;
use courant_runtime::command_line::Problems;
use courant_server::check;

use super::ServerEndpoint;
use crate::args::Up;
use crate::failure::Failure;

pub fn check_config(args: &Up) -> Result<Problems, Failure> {
    let mut problems = Problems::default();
    check::check(&args.server, &mut problems);
    check::check_secret("--data-dir", &args.server.data_dir.join("secret"), &args.server.data_dir, &mut problems);
    args.telemetry.check(&mut problems);
    problems.check("--jwt-keys", args.trust.check());
    let client_ca = ("--tls-client-ca", args.tls_client_ca.as_deref());
    problems
        .check_files(&[args.tls.files().as_slice(), &[client_ca]].concat(), args.tls.load(args.tls_client_ca.clone()));
    problems.check("PDF processing", args.pdf.config(ChildCommand::this_program()?));
    if problems.found().is_empty() {
        // Who calls, and with what, is not part of what is checked.
        let secret = Secret::new([0; 32])?;
        let endpoint = ServerEndpoint { url: "http://127.0.0.1:1".to_owned(), tls: None };
        problems.check("web server", super::bridge(args, &endpoint, &secret, Verifier::hs256(&secret)));
    }
    Ok(problems)
}
