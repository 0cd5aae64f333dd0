//! Who does not say who they are, gets in nowhere, and is told why.

use anyhow::ensure;
use courant_proto::v1::ListJobsRequest;
use courant_tests::Up;
use courant_tests::grpc::{Jobs, reason};
use courant_tests::http::Web;
use courant_tests::up::HOUR;
use courant_tests::ws::Socket;
use serde_json::json;
use tonic::Code;

/// A token whose signature is wrong, none at all, and one that has run out.
fn bad_tokens(up: &Up) -> anyhow::Result<[(String, &'static str); 3]> {
    let good = up.token("alice", &[], HOUR)?;
    let forged = format!("{}.AAAA", good.rsplit_once('.').map_or("", |(signed, _)| signed));
    Ok([
        (forged, "TOKEN_INVALID"),
        ("nonsense".to_owned(), "TOKEN_INVALID"),
        (up.expired_token("alice")?, "TOKEN_EXPIRED"),
    ])
}

#[tokio::test]
async fn over_grpc() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let none = Jobs::anonymous(&up.grpc).await?.client.list_jobs(ListJobsRequest::default()).await.unwrap_err();
    ensure!(none.code() == Code::Unauthenticated && reason(&none) == "TOKEN_MISSING", "{none}");
    for (token, expected) in bad_tokens(&up)? {
        let mut client = Jobs::connect(&up.grpc, &token).await?.client;
        let refused = client.list_jobs(ListJobsRequest::default()).await.unwrap_err();
        ensure!(refused.code() == Code::Unauthenticated && reason(&refused) == expected, "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn over_http() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    let none = Web::new(&up.http, None).get("/v1/jobs").await?;
    ensure!(none.status == 401 && none.json()?["code"] == "TOKEN_MISSING", "{none:?}");
    for (token, expected) in bad_tokens(&up)? {
        let refused = Web::new(&up.http, Some(token)).get("/v1/jobs").await?;
        ensure!(refused.status == 401 && refused.json()?["code"] == expected, "{refused:?}");
        ensure!(refused.content_type.starts_with("application/problem+json"), "{refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn over_websocket() -> anyhow::Result<()> {
    let up = Up::with(&["--workers", "0"]).await?;
    for (token, expected) in bad_tokens(&up)? {
        let mut socket = Socket::open(&up.http).await?;
        let refused = socket.ask(json!({"type": "auth", "token": token})).await?;
        ensure!(refused["type"] == "auth-error" && refused["code"] == expected, "{refused}");
        ensure!(socket.closed().await? == 4401, "{:?}", socket.heard);
    }
    let mut socket = Socket::open(&up.http).await?;
    let early = socket.ask(json!({"type": "subscribe", "topic": "mine"})).await?;
    ensure!(early["type"] == "error" && early["code"] == "TOKEN_MISSING", "{early}");
    Ok(())
}

#[tokio::test]
async fn no_token_reaches_the_log() -> anyhow::Result<()> {
    let mut up = Up::with(&["--workers", "1", "--log", "debug"]).await?;
    let token = up.token("alice", &[], HOUR)?;
    up.jobs("alice").await?.submit_kind("test", "x").await?;
    up.web("alice")?.get("/v1/jobs").await?;
    up.socket("alice").await?.subscribe("mine", None).await?;
    up.stop().await?;
    let (logged, secret) = (up.logged()?, std::fs::read_to_string(up.data().join("secret"))?);
    let header = token.split('.').next().unwrap_or_default();
    ensure!(!logged.is_empty() && !logged.contains(header) && !logged.contains(secret.trim()), "a secret was logged");
    Ok(())
}
