//! `courant outputs`.

use std::process::ExitCode;

use courant_bridge::wire::job::Output as OutputJson;
use courant_proto::v1::ListOutputsRequest;

use crate::args::Outputs;
use crate::connect::connect;
use crate::failure::Failure;
use crate::out;

/// Prints one line for each output: its name, media type and size in bytes.
pub async fn run(args: Outputs) -> Result<ExitCode, Failure> {
    let mut client = connect(&args.connection).await?;
    let request = ListOutputsRequest { job_id: args.job.clone() };
    for output in client.list_outputs(request).await?.into_inner().outputs {
        if args.json {
            out::line(serde_json::to_string(&OutputJson::new(&args.job, &output))?)?;
        } else {
            out::line(format_args!("{:<32} {:<40} {}", output.name, output.media_type, output.size_bytes))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
