//! What is measured: Courant with jobs behind its topics, or a peer.

use super::courant::{Arrangement, Courant};
use super::endpoint::{Endpoint, Greeting};
use super::ingress::{Ingress, Submission};
use super::peers::{Peer, Running};
use super::publisher::Publisher;
use super::usage::Processes;
use crate::bench::Options;

/// What browsers subscribe to. Peers have one kind of topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Job,
    Document,
}

impl Kind {
    /// As in names of rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Job => "job/ID",
            Self::Document => "document/ID",
        }
    }

    /// Those that are measured: of a peer, the only one there is.
    pub const fn of(peer: Option<Peer>) -> &'static [Self] {
        match peer {
            None => &[Self::Job, Self::Document],
            Some(_) => &[Self::Job],
        }
    }
}

/// A running system with topics that can be followed and published to.
pub struct Target {
    pub end: Endpoint,
    /// How each topic is followed.
    pub topics: Vec<Greeting>,
    pub publisher: Publisher,
    /// What is published to in turn: the topics, or the jobs behind a single one.
    pub sources: usize,
    pub processes: Processes,
    /// Goes last: dropping it ends the programs.
    running: Keep,
}

enum Keep {
    Courant(Box<Courant>),
    Peer(#[allow(dead_code, reason = "held so that it runs")] Box<Running>),
}

impl Target {
    /// Starts it. Of Courant each topic is a running job of a user of its own.
    pub async fn start(options: &Options, topics: usize, kind: Kind, how: Arrangement) -> anyhow::Result<Self> {
        let Some(peer) = options.sockets.peer else {
            return Self::courant(options, topics, kind, how).await;
        };
        let (running, publisher) = peer.start(options.server_core).await?;
        Ok(Self {
            end: running.end.clone(),
            topics: (0..topics).map(|topic| peer.greeting(topic)).collect(),
            publisher: Publisher::Peer(publisher),
            sources: topics,
            processes: Processes(vec![("server", running.program.group)]),
            running: Keep::Peer(Box::new(running)),
        })
    }

    /// One topic on which so many messages per second are no older ones' successors: of Courant it is all of a user's jobs.
    pub async fn single(options: &Options, jobs: usize) -> anyhow::Result<Self> {
        match options.sockets.peer {
            Some(_) => Self::start(options, 1, Kind::Job, Arrangement::Joint).await,
            None => Self::mine(options, jobs, Arrangement::Joint).await,
        }
    }

    /// Courant with so many jobs of one user, who follows all of them by one topic.
    pub async fn mine(options: &Options, jobs: usize, how: Arrangement) -> anyhow::Result<Self> {
        let owner = "user".to_owned();
        let jobs: Vec<Submission> =
            (0..jobs).map(|job| Submission { owner: owner.clone(), ..submission(job) }).collect();
        let mut target = Self::of_jobs(options, &jobs, how, |_, _| "mine".to_owned()).await?;
        target.topics.truncate(1);
        Ok(target)
    }

    async fn courant(options: &Options, topics: usize, kind: Kind, how: Arrangement) -> anyhow::Result<Self> {
        let jobs: Vec<Submission> = (0..topics).map(submission).collect();
        let topic = |job: &Submission, id: &str| match kind {
            Kind::Job => format!("job/{id}"),
            Kind::Document => format!("document/{}", job.document_id),
        };
        Self::of_jobs(options, &jobs, how, topic).await
    }

    async fn of_jobs(
        options: &Options,
        jobs: &[Submission],
        how: Arrangement,
        topic: impl Fn(&Submission, &str) -> String,
    ) -> anyhow::Result<Self> {
        let courant = Courant::start(options, how).await?;
        let ingress = Ingress::start(&courant, jobs).await?;
        let greetings = jobs.iter().zip(&ingress.ids);
        let greetings = greetings.map(|(job, id)| greeting(&courant.token(&job.owner, &[])?, &topic(job, id)));
        Ok(Self {
            end: endpoint(&courant),
            topics: greetings.collect::<anyhow::Result<_>>()?,
            publisher: Publisher::Courant(ingress),
            sources: jobs.len(),
            processes: courant.processes(),
            running: Keep::Courant(Box::new(courant)),
        })
    }

    /// Courant itself, where it is what is measured.
    pub fn as_courant(&mut self) -> anyhow::Result<&mut Courant> {
        match &mut self.running {
            Keep::Courant(courant) => Ok(courant),
            Keep::Peer(_) => anyhow::bail!("this row measures Courant alone"),
        }
    }

    /// The workers' side of Courant.
    pub fn ingress(&mut self) -> anyhow::Result<&mut Ingress> {
        match &mut self.publisher {
            Publisher::Courant(ingress) => Ok(ingress),
            Publisher::Peer(_) => anyhow::bail!("this row measures Courant alone"),
        }
    }
}

fn submission(topic: usize) -> Submission {
    Submission { owner: format!("user-{topic}"), document_id: format!("document-{topic}") }
}

/// Where Courant's browsers connect.
fn endpoint(courant: &Courant) -> Endpoint {
    let refusals = [r#""type":"error""#, r#""type":"auth-error""#, r#""type":"closing""#];
    Endpoint {
        headers: "Sec-WebSocket-Protocol: courant.v1.json\r\n".to_owned(),
        ready: Some(br#""type":"live""#.to_vec()),
        refusals: refusals.iter().map(|refusal| refusal.as_bytes().to_vec()).collect(),
        ..Endpoint::new(courant.http)
    }
}

/// Signs in and subscribes to all that happens.
fn greeting(token: &str, topic: &str) -> anyhow::Result<Greeting> {
    let auth = serde_json::json!({"id": 1, "type": "auth", "token": token});
    let subscribe =
        serde_json::json!({"id": 2, "type": "subscribe", "topic": topic, "after": null, "minIntervalMs": 0});
    Ok(Greeting { path: "/ws".to_owned(), messages: vec![auth.to_string(), subscribe.to_string()] })
}
