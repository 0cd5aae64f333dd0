//! Messages between the servers that have one log open. They are not kept: what is to survive is in the log.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};

/// Messages that wait for one subscriber; those beyond are gone.
pub const INBOX: usize = 1024;

/// What a message is about. Servers hear what they subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Which servers there are, and which workers each of them hears.
    Servers,
    /// Which bridges there are, and who is connected to them.
    Presence,
    /// Progress of the jobs of a partition that is not in the log.
    Progress(u8),
}

/// Carries messages to all servers that have the log open, the sender among them. Those of one sender arrive in order; any may be
/// missing.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Sends a message. Whether anybody hears it is not known.
    async fn publish(&self, subject: Subject, message: Bytes);

    /// Messages from now on, until the receiver is dropped. Who reads too slowly misses some.
    async fn subscribe(&self, subject: Subject) -> mpsc::Receiver<Bytes>;
}

/// Carries messages within this process.
#[derive(Debug)]
pub struct LocalPeers(broadcast::Sender<(Subject, Bytes)>);

impl Default for LocalPeers {
    fn default() -> Self {
        Self(broadcast::Sender::new(INBOX))
    }
}

#[async_trait]
impl Peers for LocalPeers {
    async fn publish(&self, subject: Subject, message: Bytes) {
        // Nobody may be listening.
        let _ = self.0.send((subject, message));
    }

    async fn subscribe(&self, subject: Subject) -> mpsc::Receiver<Bytes> {
        let (sender, inbox) = mpsc::channel(INBOX);
        let mut all = self.0.subscribe();
        tokio::spawn(async move {
            loop {
                let received = tokio::select! {
                    received = all.recv() => received,
                    () = sender.closed() => return,
                };
                match received {
                    Ok((of, message)) if of == subject => drop(sender.try_send(message)),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
        inbox
    }
}
