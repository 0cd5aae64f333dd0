//! Messages between servers, over plain NATS: they are in no stream.

use async_nats::Client;
use async_trait::async_trait;
use bytes::Bytes;
use courant_joblog::peers::{INBOX, Peers, Subject};
use futures::StreamExt as _;
use tokio::sync::mpsc;

/// On the connection of the log.
#[derive(Debug)]
pub(crate) struct NatsPeers {
    client: Client,
    /// How subjects begin: not with the stream's name, under which everything is kept.
    prefix: Box<str>,
}

impl NatsPeers {
    pub(crate) fn new(client: Client, stream: &str) -> Self {
        Self { client, prefix: format!("_peers.{stream}.").into() }
    }

    fn name(&self, subject: Subject) -> String {
        match subject {
            Subject::Servers => format!("{}servers", self.prefix),
            Subject::Presence => format!("{}presence", self.prefix),
            Subject::Progress(partition) => format!("{}progress.{partition:02}", self.prefix),
        }
    }
}

#[async_trait]
impl Peers for NatsPeers {
    async fn publish(&self, subject: Subject, message: Bytes) {
        if let Err(error) = self.client.publish(self.name(subject), message).await {
            tracing::debug!(%error, "a message to other servers was not sent");
        }
    }

    async fn subscribe(&self, subject: Subject) -> mpsc::Receiver<Bytes> {
        let (sender, inbox) = mpsc::channel(INBOX);
        // The client subscribes again whenever the connection is made again.
        let mut messages = match self.client.subscribe(self.name(subject)).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "messages of other servers do not arrive");
                return inbox;
            }
        };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = messages.next() => match message {
                        Some(message) => drop(sender.try_send(message.payload)),
                        None => return,
                    },
                    () = sender.closed() => return,
                }
            }
        });
        inbox
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::connect::connect;
    use crate::testing::{Cluster, PATIENCE, Sync};

    #[tokio::test]
    async fn who_subscribed_hears_what_others_publish_also_after_a_break() {
        let cluster = Cluster::single(Sync::Lazy);
        let options = cluster.lossy("courant");
        let (one, other) =
            (connect(&options, &options.login).await.unwrap(), connect(&options, &options.login).await.unwrap());
        let (one, other) = (NatsPeers::new(one.client, "courant"), NatsPeers::new(other.client, "courant"));
        let mut servers = other.subscribe(Subject::Servers).await;
        let mut progress = other.subscribe(Subject::Progress(7)).await;
        let hears = async |text: &'static str| {
            // What is published while the other does not hear is gone.
            let again = async {
                loop {
                    one.publish(Subject::Progress(8), "nobody's".into()).await;
                    one.publish(Subject::Progress(7), text.into()).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            again.await
        };
        for text in ["before", "after"] {
            let heard = async { while progress.recv().await.unwrap() != text {} };
            let heard = async {
                tokio::select! { () = heard => {}, () = hears(text) => {} }
            };
            tokio::time::timeout(PATIENCE, heard).await.unwrap();
            cluster.nodes[0].kill();
            cluster.nodes[0].start();
        }
        assert!(servers.try_recv().is_err(), "of another subject");
    }
}
