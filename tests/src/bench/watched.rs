//! Waiting jobs of one owner, each watched by a WebSocket, while nothing happens.

use std::time::{Duration, Instant};

use super::cpu::Used;
use super::load::{Submits, Way, owners};
use super::{Options, Row, server};
use crate::ws::Socket;

pub async fn measure(options: &Options, jobs: usize) -> anyhow::Result<Row> {
    let mut row = Row::new(format!("watched: {jobs} waiting jobs, each watched, for {} s", options.watched_seconds));
    let up = server(options, 0).await?;
    let clients = owners(&up, 1).await?;
    let token = up.token("owner-0", &[], crate::up::HOUR)?;
    let submits = Submits::open(&clients[0], Way::Calls).await?;
    let mut sockets = Vec::new();
    for _ in 0..jobs {
        let job = submits.submit().await?;
        let mut socket = Socket::open(&up.http).await?;
        socket.sign_in(&token).await?;
        socket.subscribe(&format!("job/{job}"), None).await?;
        sockets.push(socket);
    }
    // What follows from the last submit is over by then.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (begun, used) = (Instant::now(), Used::now(&up)?);
    tokio::time::sleep(Duration::from_secs(options.watched_seconds)).await;
    let (server, _) = Used::since(used, &up)?;
    row.add("% of a core", server / begun.elapsed().as_secs_f64() * 100.0);
    Ok(row)
}
