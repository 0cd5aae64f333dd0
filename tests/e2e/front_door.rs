//! `courant up` itself: its folder, its promises at the start and its end.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use courant_tests::{Up, program};
use tokio::io::{AsyncBufReadExt as _, BufReader};

fn mode(path: &std::path::Path) -> anyhow::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

#[tokio::test]
async fn it_is_ready_quickly_and_keeps_its_secret() -> anyhow::Result<()> {
    let up = Up::start().await?;
    // Measured for people to read; a shared machine may be slow, so only absurd times fail.
    println!("ready after {:?}", up.ready_after);
    ensure!(up.ready_after < Duration::from_secs(20), "{:?}", up.ready_after);
    ensure!(mode(&up.data())? == 0o700 && mode(&up.data().join("secret"))? == 0o600, "others can look in");
    let note = std::fs::read_to_string(up.data().join("up.json"))?;
    ensure!(note.contains(&up.grpc) && note.contains(&up.http) && !note.contains("eyJ"), "{note}");
    Ok(())
}

#[tokio::test]
async fn into_a_pipe_it_prints_no_token() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let data = home.path().join("data").to_string_lossy().into_owned();
    let free = "127.0.0.1:0";
    let flags = ["up", "--data-dir", &data, "--grpc", free, "--http", free, "--workers", "0", "--user", "alice"];
    let mut child = program::command(&flags)?.stderr(std::process::Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("it is piped")?).lines();
    let mut printed = String::new();
    while let Some(line) = lines.next_line().await? {
        printed.push_str(&line);
        if line.trim().starts_with("stop") {
            break;
        }
    }
    child.start_kill()?;
    ensure!(printed.contains("courant token") && !printed.contains("eyJ"), "{printed}");
    Ok(())
}

#[tokio::test]
async fn a_second_one_on_the_same_folder_is_refused_in_one_sentence() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let data = up.data_arg()?;
    let second = program::run(&["up", "--data-dir", &data, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]).await?;
    ensure!(second.code == 1 && second.out.is_empty(), "{second:?}");
    ensure!(second.err.trim().lines().count() == 1 && second.err.contains("in use"), "{second:?}");
    ensure!(up.jobs("alice").await?.submit("a.pdf", b"x".to_vec()).await.is_ok(), "the first was disturbed");
    Ok(())
}

#[tokio::test]
async fn what_cannot_work_is_said_in_one_sentence() -> anyhow::Result<()> {
    let up = Up::start().await?;
    let scratch = up.scratch().join("other");
    let other = scratch.to_string_lossy().into_owned();
    let free = "127.0.0.1:0";
    let cases: [(&[&str], i32, &str); 5] = [
        (&["up", "--data-dir", &other, "--grpc", &up.grpc, "--http", free], 1, "cannot listen"),
        (&["up", "--data-dir", &other, "--grpc", free, "--http", &up.http], 1, "cannot listen"),
        (&["up", "--data-dir", "/proc/nothing", "--grpc", free, "--http", free], 1, "/proc/nothing"),
        (&["up", "--data-dir", &other, "--max-attempts", "0"], 1, "--max-attempts"),
        (&["up", "--grpc", "nonsense"], 2, "--grpc"),
    ];
    for (arguments, code, word) in cases {
        let ran = program::run(arguments).await?;
        ensure!(ran.code == code && ran.err.contains(word) && ran.out.is_empty(), "{arguments:?}: {ran:?}");
        ensure!(code == 2 || ran.err.trim().lines().count() == 1, "{arguments:?}: {ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn told_to_stop_it_ends_in_order_and_the_work_is_kept() -> anyhow::Result<()> {
    let mut up = Up::start().await?;
    let jobs = up.jobs("alice").await?;
    let answer = jobs.submit("long.pdf", courant_tests::documents::pages(2000)).await?;
    let (job, cursor) = courant_tests::grpc::accepted(answer)?;
    let mut watch = jobs.watch(&job.job_id, &cursor).await?;
    watch.until(|event| event.job.as_ref().is_some_and(|job| job.pages_done >= 2)).await?;
    let code = up.stop().await?;
    ensure!(code == Some(0), "ended with {code:?}: {}", up.logged()?);
    ensure!(!up.data().join("up.json").exists(), "it left its note behind");
    let up = up.kill_and_restart().await?;
    let job = up.jobs("alice").await?.ended(&job.job_id).await?;
    ensure!(job.pages_done == 2000, "{job:?}");
    Ok(())
}
