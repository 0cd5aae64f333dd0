//! `courant watch`.

use std::process::ExitCode;

use crate::args::Watch;
use crate::failure::Failure;
use crate::follow::Follower;
use crate::view;

/// Follows the jobs to their ends.
pub async fn run(args: Watch) -> Result<ExitCode, Failure> {
    if args.after.is_some() && args.jobs.len() > 1 {
        return Err(Failure::OneOnly { flag: "--after", thing: "job" });
    }
    let cursor = args.after.unwrap_or_default();
    let follower = |job_id| Follower {
        job_id,
        connection: args.connection.clone(),
        following: args.following.clone(),
        cursor: cursor.clone(),
    };
    let followers = args.jobs.into_iter().map(follower).collect();
    view::follow(followers, view::for_output(args.json).as_mut()).await
}
