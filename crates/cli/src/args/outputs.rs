//! Flags for parameters of jobs, and for what workers make of them.

use std::path::PathBuf;

use clap::Args;

use super::Connection;

#[derive(Args, Clone)]
pub struct ParameterFlags {
    /// What the workers are to do, as a JSON object; `@FILE` reads it from a file
    #[arg(long, env = "COURANT_PARAMETERS", value_name = "JSON")]
    pub parameters: Option<String>,

    /// One parameter, KEY=VALUE, where VALUE is JSON or else a text; may be given several times
    #[arg(long = "param", env = "COURANT_PARAM", value_parser = parameter, value_name = "KEY=VALUE")]
    pub single: Vec<(String, serde_json::Value)>,
}

#[derive(Args)]
pub struct Outputs {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,

    /// Print JSON, one output per line
    #[arg(long, env = "COURANT_JSON")]
    pub json: bool,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Args)]
pub struct OutputArgs {
    /// The job
    #[arg(value_name = "JOB")]
    pub job: String,

    /// The name of the output, as `courant outputs` prints it
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Write to this file, all or nothing; default: standard output
    #[arg(long, short, env = "COURANT_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub connection: Connection,
}

fn parameter(text: &str) -> Result<(String, serde_json::Value), String> {
    let (key, value) = text.split_once('=').ok_or("a parameter looks like KEY=VALUE")?;
    if key.is_empty() {
        return Err("a parameter looks like KEY=VALUE".to_owned());
    }
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}
