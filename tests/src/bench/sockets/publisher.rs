//! Publishing at a rate, into Courant or into a peer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

use super::frames::{self, TEXT};
use super::ingress::Ingress;
use super::stamp::{self, position};

/// What is due is sent this often.
const TICK: Duration = Duration::from_millis(1);
/// The longest that a server may take nothing in.
const STUCK: Duration = Duration::from_secs(30);
/// POSTs without an answer.
const UNANSWERED: usize = 64;
/// The size of a message to a peer, in bytes: about that of a transient message of Courant.
const MESSAGE: usize = 300;

/// The way in.
pub enum Publisher {
    /// Reports of workers.
    Courant(Ingress),
    Peer(PeerPublisher),
}

/// One connection to a peer.
pub struct PeerPublisher {
    stream: TcpStream,
    language: Language,
    /// What was published and not yet written.
    out: Vec<u8>,
    /// Around the time in every message.
    before: String,
    after: String,
}

/// What a peer understands.
pub enum Language {
    /// `POST /pub/TOPIC`, several at a time.
    Post { buffered: usize, unanswered: usize, unread: Vec<u8> },
    /// `PUB TOPIC LENGTH`.
    Nats,
    /// WebSocket text messages `TOPIC MESSAGE`.
    Frames,
}

impl Publisher {
    async fn publish(&mut self, topic: usize) -> anyhow::Result<()> {
        match self {
            Self::Courant(ingress) => ingress.progress(topic).await,
            Self::Peer(peer) => peer.publish(topic).await,
        }
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Courant(_) => Ok(()),
            Self::Peer(peer) => peer.flush().await,
        }
    }

    /// Publishes so many messages per second to the topics in turn; gives back how many the server took in.
    pub async fn run(&mut self, topics: usize, per_second: f64, time: Duration) -> anyhow::Result<u64> {
        let mut sent = 0;
        let running = self.at_rate(topics, per_second, time, &mut sent);
        match tokio::time::timeout(time + STUCK, running).await {
            Ok(done) => done.map(|()| sent),
            Err(_) => bail!("after {sent} messages the server took in nothing for {STUCK:?}"),
        }
    }

    async fn at_rate(&mut self, topics: usize, per_second: f64, time: Duration, sent: &mut u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let elapsed = begun.elapsed();
            if elapsed >= time {
                return self.flush().await;
            }
            // The first at once.
            let due = 1 + (per_second * elapsed.as_secs_f64()) as u64;
            while *sent < due && begun.elapsed() < time {
                self.publish(usize::try_from(*sent)? % topics).await?;
                *sent += 1;
            }
            self.flush().await?;
        }
    }
}

/// The name of a topic of a peer.
pub fn topic_name(topic: usize) -> String {
    format!("t{topic}")
}

impl PeerPublisher {
    pub fn new(stream: TcpStream, language: Language) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        let before = r#"{"type":"job-progress","operation":""#.to_owned();
        let mut after =
            r#"","jobId":"01K9Z3V5Q6W7E8R9T0Y1M2N3P4","status":"progress","progress":42.5,"note":""#.to_owned();
        let rest = MESSAGE.saturating_sub(before.len() + stamp::text(stamp::now()).len() + after.len() + 2);
        after.push_str(&"x".repeat(rest));
        after.push_str("\"}");
        Ok(Self { stream, language, out: Vec::new(), before, after })
    }

    async fn publish(&mut self, topic: usize) -> anyhow::Result<()> {
        let topic = topic_name(topic);
        let message = format!("{}{}{}", self.before, stamp::text(stamp::now()), self.after);
        let length = message.len();
        let text = match &mut self.language {
            Language::Post { buffered, .. } => {
                *buffered += 1;
                format!("POST /pub/{topic} HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n{message}")
            }
            Language::Nats => format!("PUB {topic} {length}\r\n{message}\r\n"),
            Language::Frames => {
                frames::write(TEXT, format!("{topic} {message}").as_bytes(), &mut self.out);
                return Ok(());
            }
        };
        self.out.extend_from_slice(text.as_bytes());
        if matches!(self.language, Language::Post { buffered, .. } if buffered >= UNANSWERED) {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        let Self { stream, language: Language::Post { buffered, unanswered, unread }, .. } = self else {
            return Ok(());
        };
        *unanswered += std::mem::take(buffered);
        while *unanswered > UNANSWERED {
            ensure!(stream.read_buf(unread).await? > 0, "the server closed the publisher's connection");
            while let Some(length) = answer_length(unread)? {
                unread.drain(..length);
                *unanswered -= 1;
            }
        }
        Ok(())
    }
}

/// Bytes of the first HTTP answer, when it is all there.
fn answer_length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = position(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.lines().next().context("an empty answer")?;
    ensure!(status.starts_with("http/1.1 2"), "a message was answered with {status:?}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let whole = end + 4 + length.map_or(Ok(0), |length| length.trim().parse::<usize>())?;
    Ok((bytes.len() >= whole).then_some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_all_of_it_is_there() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\nX: y\r\n\r\nabcdeHTTP/1.1 2";
        for length in 0..answer.len() {
            let found = answer_length(&answer[..length]).unwrap();
            let whole = answer.len() - b"HTTP/1.1 2".len();
            assert_eq!(found, (length >= whole).then_some(whole), "of {length} bytes");
        }
        assert_eq!(answer_length(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some(27));
        assert!(answer_length(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").is_err());
    }
}
