//! The end of `courant up`: first it says that it is not ready and serves all the same, then it drains.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use courant_tests::{Up, within};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn health(up: &Up) -> anyhow::Result<i32> {
    let channel = Endpoint::from_shared(format!("http://{}", up.grpc))?.connect().await?;
    let request = HealthCheckRequest { service: String::new() };
    Ok(HealthClient::new(channel).check(request).await?.into_inner().status)
}

#[tokio::test]
async fn a_lame_duck_is_not_ready_and_serves_new_callers_before_it_drains() -> anyhow::Result<()> {
    let mut up = Up::with(&["--workers", "0", "--lame-duck", "3s"]).await?;
    let web = up.web("alice")?;
    ensure!(web.get("/readyz").await?.status == 200 && health(&up).await? == ServingStatus::Serving as i32);
    let told = Instant::now();
    up.terminate();
    within("the bridge to be not ready", async {
        while web.get("/readyz").await?.status != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    })
    .await?;
    // New connections on both endpoints, for as long as load balancers may still send them.
    ensure!(health(&up).await? == ServingStatus::NotServing as i32, "probes are not told");
    let fresh = up.web("alice")?;
    ensure!(fresh.get("/livez").await?.status == 200 && fresh.get("/v1/jobs").await?.status == 200);
    let submitted = up.jobs("alice").await?.submit("late.pdf", courant_tests::documents::pages(1)).await;
    submitted.context("a submit of a caller that did not know yet")?;
    ensure!(up.ended().await? == Some(0), "{}", up.logged()?);
    ensure!(told.elapsed() >= Duration::from_secs(3), "it ended after {:?}", told.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_at_once() -> anyhow::Result<()> {
    let mut up = Up::with(&["--workers", "0", "--lame-duck", "60s"]).await?;
    let web = up.web("alice")?;
    up.terminate();
    within("the bridge to be not ready", async {
        while web.get("/readyz").await?.status != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    })
    .await?;
    let again = Instant::now();
    up.terminate();
    up.ended().await?;
    ensure!(again.elapsed() < Duration::from_secs(20), "{:?}", again.elapsed());
    Ok(())
}
