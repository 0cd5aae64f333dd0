//! A TCP proxy between all parties, with everything networks do to connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::plan::Cut;

/// How a link is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LinkCondition {
    /// Everything passes.
    #[default]
    Normal,
    /// Nothing passes, in either direction, and nobody is told.
    Stalled,
    /// Everything is late by this much.
    Delayed(Duration),
    /// This many bytes pass in a second.
    Trickling(usize),
    /// No new connections.
    Closed,
}

/// A proxy with an address that stays, whatever happens to what is behind it.
#[derive(Debug)]
pub struct Proxy {
    /// Where to connect to.
    pub address: SocketAddr,
    condition: watch::Sender<LinkCondition>,
    cut: watch::Sender<(u64, Cut)>,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Proxy {
    /// Opens a proxy; its target is not known yet.
    pub async fn open() -> anyhow::Result<Self> {
        Self::open_at(Ipv4Addr::LOCALHOST).await
    }

    /// Opens one at this address.
    pub async fn open_at(address: Ipv4Addr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let proxy = Self {
            address: listener.local_addr()?,
            condition: watch::Sender::new(LinkCondition::Normal),
            cut: watch::Sender::new((0, Cut::Fin)),
            target: Arc::default(),
        };
        let (condition, cut, target) = (proxy.condition.subscribe(), proxy.cut.subscribe(), proxy.target.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = *target.lock();
                let Some(target) = target.filter(|_| *condition.borrow() != LinkCondition::Closed) else { continue };
                let (condition, mut cut) = (condition.clone(), cut.clone());
                cut.mark_unchanged();
                tokio::spawn(proxy_connection(client, target, condition, cut));
            }
        });
        Ok(proxy)
    }

    /// Where new connections go; to nowhere while the target is down.
    pub fn aim(&self, target: Option<SocketAddr>) {
        *self.target.lock() = target;
    }

    /// Whether what is behind it is there.
    pub fn has_target(&self) -> bool {
        self.target.lock().is_some()
    }

    /// Changes how the link is.
    pub fn set(&self, condition: LinkCondition) {
        self.condition.send_replace(condition);
    }

    /// Cuts all connections that are there.
    pub fn cut(&self, how: Cut) {
        self.cut.send_modify(|(count, cut)| (*count, *cut) = (*count + 1, how));
    }
}

async fn proxy_connection(
    client: TcpStream,
    target: SocketAddr,
    condition: watch::Receiver<LinkCondition>,
    mut cut: watch::Receiver<(u64, Cut)>,
) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let both = async {
        let (mut up, mut down) = (condition.clone(), condition);
        tokio::join!(
            copy_stream(&mut from_client, &mut to_server, &mut up),
            copy_stream(&mut from_server, &mut to_client, &mut down)
        )
    };
    tokio::select! {
        _ = both => return,
        _ = cut.changed() => {}
    }
    if cut.borrow().1 == Cut::Rst {
        let halves = [from_client.reunite(to_client), from_server.reunite(to_server)];
        halves.into_iter().flatten().for_each(|stream| {
            let _ = stream.set_zero_linger();
        });
    }
}

/// Carries one direction to its end.
async fn copy_stream(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    condition: &mut watch::Receiver<LinkCondition>,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let now = *condition.borrow_and_update();
        if now == LinkCondition::Stalled {
            if condition.changed().await.is_err() {
                return;
            }
            continue;
        }
        let most = if let LinkCondition::Trickling(rate) = now { (rate / 20).max(1) } else { buffer.len() };
        let read = tokio::select! {
            read = from.read(&mut buffer[..most]) => read,
            _ = condition.changed() => continue,
        };
        let Ok(count @ 1..) = read else { break };
        match now {
            LinkCondition::Delayed(time) => tokio::time::sleep(time).await,
            LinkCondition::Trickling(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            LinkCondition::Normal | LinkCondition::Stalled | LinkCondition::Closed => {}
        }
        // It may have begun to stall while these bytes were under way.
        if condition.wait_for(|now| *now != LinkCondition::Stalled).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Ok(address)
    }

    async fn connected() -> anyhow::Result<(Proxy, TcpStream)> {
        let proxy = Proxy::open().await?;
        proxy.aim(Some(echo().await?));
        let mut stream = TcpStream::connect(proxy.address).await?;
        said(&mut stream, b"hello").await?;
        Ok((proxy, stream))
    }

    async fn said(stream: &mut TcpStream, words: &[u8]) -> anyhow::Result<()> {
        stream.write_all(words).await?;
        let mut heard = vec![0; words.len()];
        stream.read_exact(&mut heard).await?;
        anyhow::ensure!(heard == words, "{heard:?}");
        Ok(())
    }

    #[tokio::test]
    async fn what_was_stalled_comes_when_the_stall_is_over() -> anyhow::Result<()> {
        let (proxy, mut stream) = connected().await?;
        proxy.set(LinkCondition::Stalled);
        stream.write_all(b"late").await?;
        let mut heard = [0; 4];
        let waiting = tokio::time::timeout(Duration::from_millis(50), stream.read_exact(&mut heard)).await;
        anyhow::ensure!(waiting.is_err(), "it passed");
        proxy.set(LinkCondition::Normal);
        stream.read_exact(&mut heard).await?;
        anyhow::ensure!(&heard == b"late");
        said(&mut stream, b"again").await
    }

    #[tokio::test]
    async fn cuts_end_connections_in_order_or_at_once() -> anyhow::Result<()> {
        let (proxy, mut stream) = connected().await?;
        proxy.cut(Cut::Fin);
        anyhow::ensure!(stream.read(&mut [0; 1]).await? == 0, "no end");
        let (proxy, mut stream) = connected().await?;
        proxy.cut(Cut::Rst);
        let error = stream.read(&mut [0; 1]).await.err().map(|error| error.kind());
        anyhow::ensure!(error == Some(std::io::ErrorKind::ConnectionReset), "{error:?}");
        Ok(())
    }

    #[tokio::test]
    async fn late_thin_and_closed_links_behave_so() -> anyhow::Result<()> {
        let (proxy, mut stream) = connected().await?;
        proxy.set(LinkCondition::Delayed(Duration::from_millis(5)));
        said(&mut stream, b"late").await?;
        proxy.set(LinkCondition::Trickling(40));
        said(&mut stream, b"thin").await?;
        proxy.set(LinkCondition::Closed);
        let mut refused = TcpStream::connect(proxy.address).await?;
        anyhow::ensure!(!matches!(refused.read(&mut [0; 1]).await, Ok(1..)), "it was let in");
        said(&mut stream, b"still there").await
    }
}
