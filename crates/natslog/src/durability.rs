//! Whether the servers keep what they acknowledge: their version, and whether they sync each write.
//!
//! `sync_interval` is a setting of the server. Neither the stream nor the connection shows it to a client; only a user of the
//! system account may ask.

use std::time::Duration;

use async_nats::{Client, ServerInfo};
use futures::StreamExt as _;
use serde::Deserialize;

use crate::connect::{Connection, connect};
use crate::options::{OpenError, Options};

/// The oldest version that will do: major, minor.
const NEEDED: (u32, u32) = (2, 15);
const NEEDED_TEXT: &str = "2.15";
/// A blob, or a record of usual size, and its headers.
pub(crate) const LEAST_PAYLOAD: usize = 512 * 1024;
/// How long to wait for one more server's answer.
const ANSWERS: Duration = Duration::from_millis(500);

/// What a server says of its JetStream.
#[derive(Debug, Deserialize)]
struct Answer {
    server: Named,
    data: JetStream,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
struct JetStream {
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    config: SyncConfig,
}

#[derive(Debug, Default, Deserialize)]
struct SyncConfig {
    #[serde(default)]
    sync_always: bool,
}

/// Whether the server can hold the log at all.
pub(crate) fn check_server(info: &ServerInfo) -> Result<(), OpenError> {
    let server = format!("{} ({}:{})", info.server_name, info.host, info.port);
    if version(&info.version).is_none_or(|found| found < NEEDED) {
        return Err(OpenError::Version { server, found: info.version.clone(), needed: NEEDED_TEXT });
    }
    if info.max_payload < LEAST_PAYLOAD {
        return Err(OpenError::Payload { found: info.max_payload, needed: LEAST_PAYLOAD });
    }
    Ok(())
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whether what is acknowledged survives the machine, for a stream on so many nodes.
pub(crate) async fn check_sync(options: &Options, replicas: usize) -> Result<(), OpenError> {
    if options.allow_lossy {
        tracing::warn!("the log may lose acknowledged entries when a machine goes down (--allow-lossy)");
        return Ok(());
    }
    let Some(login) = &options.system_login else {
        return unknown(replicas);
    };
    let Connection { client, .. } = connect(options, login).await?;
    let Answers { answered, lazy } = ask_servers(&client).await?;
    if lazy.is_empty() {
        return check_answers(answered, replicas);
    }
    let reason = format!("NATS syncs writes only from time to time on {}", lazy.join(", "));
    Err(OpenError::Lossy { reason, advice: "" })
}

fn unknown(replicas: usize) -> Result<(), OpenError> {
    if replicas == 1 {
        let reason = "the stream has one replica, and whether its server syncs each write is not known".into();
        let advice = ", and name a user of the system account, who may ask whether it does";
        return Err(OpenError::Lossy { reason, advice });
    }
    tracing::warn!(
        "whether the NATS servers sync each write is not known: set sync_interval: always, and a system login"
    );
    Ok(())
}

/// A server that is down is not asked; with a majority the stream works, and so must a server that starts then.
fn check_answers(answered: usize, replicas: usize) -> Result<(), OpenError> {
    let majority = replicas / 2 + 1;
    if answered < majority {
        let reason = format!("{answered} of at least {majority} NATS servers answered; is it a user of that account?");
        return Err(failed(reason));
    }
    if answered < replicas {
        tracing::warn!(
            answered,
            replicas,
            "whether all NATS servers sync each write is not known: some do not answer; set sync_interval: always on each"
        );
    }
    Ok(())
}

fn failed(reason: String) -> OpenError {
    OpenError::JetStream { reason: format!("the system account: {reason}") }
}

/// What servers with JetStream answered.
struct Answers {
    answered: usize,
    /// The names of those that do not sync each write.
    lazy: Vec<String>,
}

async fn ask_servers(client: &Client) -> Result<Answers, OpenError> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| failed(error.to_string()))?;
    let asked = client.publish_with_reply("$SYS.REQ.SERVER.PING.JSZ", inbox, "{}".into()).await;
    asked.map_err(|error| failed(error.to_string()))?;
    let (mut answered, mut lazy) = (0, Vec::new());
    while let Ok(Some(message)) = tokio::time::timeout(ANSWERS, answers.next()).await {
        let Ok(Answer { server, data }) = serde_json::from_slice(&message.payload) else { continue };
        if data.disabled {
            continue;
        }
        answered += 1;
        if !data.config.sync_always {
            lazy.push(server.name);
        }
    }
    Ok(Answers { answered, lazy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_answers_will_do() {
        for (answered, replicas, will_do) in
            [(3, 3, true), (5, 3, true), (2, 3, true), (1, 3, false), (1, 1, true), (0, 1, false), (2, 5, false)]
        {
            assert_eq!(check_answers(answered, replicas).is_ok(), will_do, "{answered} of {replicas}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (text, will_do) in
            [("2.15.1", true), ("v2.16.0-dev", true), ("3.0.0", true), ("2.9.10", false), ("", false)]
        {
            assert_eq!(version(text).is_some_and(|found| found >= NEEDED), will_do, "{text}");
        }
    }
}
