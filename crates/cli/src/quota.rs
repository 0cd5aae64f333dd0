//! `courant quota`.

use std::process::ExitCode;
use std::time::Duration;

use courant_auth::Role;
use courant_proto::v1::GetQuotaRequest;
use serde_json::json;

use crate::args::Quota;
use crate::connect::connect_queue;
use crate::failure::Failure;
use crate::out;

/// Prints what may be submitted and what was.
pub async fn run(args: Quota) -> Result<ExitCode, Failure> {
    // Whoever can read the secret of the data folder may look at anybody's.
    let roles: &[Role] = if args.owner.is_some() { &[Role::Admin] } else { &[] };
    let mut client = connect_queue(&args.connection, roles).await?;
    let request = GetQuotaRequest { owner: args.owner.unwrap_or_default() };
    let quotas = client.get_quota(request).await?.into_inner().quotas;
    if quotas.is_empty() && !args.json {
        out::line("no quotas")?;
    }
    for quota in quotas {
        let after = quota.retry_after.and_then(|after| Duration::try_from(after).ok());
        if args.json {
            let seconds = after.map(|after| after.as_secs_f64());
            out::line(json!({ "name": quota.name, "limit": quota.limit, "used": quota.used, "retryAfter": seconds }))?;
            continue;
        }
        let full = after.map(|after| Duration::from_secs(after.as_secs().max(1)));
        let full = full.map(|after| format!("  full; some is free in {}", humantime::format_duration(after)));
        out::line(format_args!("{:<20} {} of {}{}", quota.name, quota.used, quota.limit, full.unwrap_or_default()))?;
    }
    Ok(ExitCode::SUCCESS)
}
