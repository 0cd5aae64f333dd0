//! The tool's own workers: they speak the protocol by hand, write down what they are given, and misbehave in every way
//! that a worker can.

pub mod frozen;
mod script;

pub use script::page_text;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use courant_proto::v1::work_request::Message as Out;
use courant_proto::v1::work_response::Message as In;
use courant_proto::v1::worker_service_client::WorkerServiceClient;
use courant_proto::v1::{
    Assignment, AttemptRef, Heartbeat, Hello, PartsChanged, ReportSucceeded, ResultFormat, WorkRequest, WorkResponse,
};
use fastrand::Rng;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::clients::endpoints::Endpoints;
use super::clients::grpc::{CALL, channel};
use super::fact::{KIND, format as format_name};
use super::record::{Folder, Record, RecordWriter};

/// Attempts a worker takes at once.
const SLOTS: i32 = 8;
/// How often it says something: a third of the lease.
const BEAT: Duration = Duration::from_millis(700);
/// Silence after which it connects again.
const SILENCE: Duration = Duration::from_secs(3);
/// Attempts it remembers to report on when they are long over.
const REMEMBERED: usize = 32;

/// An attempt, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub job: String,
    /// The attempt's number.
    pub att: i32,
    /// The part; empty for the attempt itself.
    pub part: String,
    credential: Credential,
}

/// What shows that the attempt was given to this worker. No part of the attempt's name.
#[derive(Clone, Debug, Default)]
struct Credential(String);

impl PartialEq for Credential {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Credential {}

impl std::hash::Hash for Credential {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl Key {
    fn of(at: AttemptRef) -> Self {
        Self { job: at.job_id, att: at.attempt, part: at.part, credential: Credential(at.credential) }
    }

    fn reference(&self) -> AttemptRef {
        AttemptRef {
            job_id: self.job.clone(),
            attempt: self.att,
            part: self.part.clone(),
            credential: self.credential.0.clone(),
        }
    }
}

/// What is done to a worker.
#[derive(Clone, Copy, Debug)]
pub enum WorkerFault {
    /// It forgets everything, as after a `kill -9`.
    Forget,
    /// It stands still, streams and all.
    Freeze(Duration),
}

/// Where a worker works.
#[derive(Clone)]
pub struct Workplace {
    pub servers: Endpoints,
    pub token: String,
    /// The seed of the run.
    pub seed: u64,
}

/// What its tasks want to say.
type Reports = (mpsc::Sender<(Key, Out)>, mpsc::Receiver<(Key, Out)>);

pub struct Worker {
    id: String,
    place: Workplace,
    token: MetadataValue<Ascii>,
    /// Of each server.
    clients: Vec<WorkerServiceClient<Channel>>,
    /// The one that it has its stream with.
    server: watch::Sender<usize>,
    rng: Rng,
    writer: RecordWriter,
    held: HashMap<Key, Held>,
    old: VecDeque<Key>,
    reports: Reports,
    /// Successes that wait for the next heartbeat, and what else was said of their attempts since: the server appends together
    /// what comes together.
    gathered: Vec<(Key, Out)>,
    blows: mpsc::Receiver<WorkerFault>,
}

/// An attempt in a worker's hands.
struct Held {
    accepted: bool,
    /// Sent and not acknowledged, each with the heartbeats sent before it: sent again on every new stream. Offers stay: the
    /// server does not keep them.
    sent: Vec<(u64, Out)>,
    /// Heartbeats sent before the last report of all.
    ended: Option<u64>,
    cancel: CancellationToken,
    /// How the pages it offered stand.
    parts: watch::Sender<PartsChanged>,
    task: AbortHandle,
}

/// One stream.
struct Session {
    id: u64,
    out: mpsc::Sender<WorkRequest>,
    /// Whether its heartbeats have numbers, from 1. Without, each is answered when what came before it was taken.
    numbered: bool,
    /// Heartbeats.
    sent: u64,
    answered: u64,
    /// What was sent before this heartbeat is acknowledged.
    acknowledged: u64,
}

impl Worker {
    /// A worker with this id.
    pub fn new(
        id: &str,
        place: Workplace,
        folder: &Arc<Folder>,
        blows: mpsc::Receiver<WorkerFault>,
    ) -> anyhow::Result<Self> {
        let client = |address: &SocketAddr| Ok(WorkerServiceClient::new(channel(*address)?));
        Ok(Self {
            clients: place.servers.all().iter().map(client).collect::<anyhow::Result<_>>()?,
            server: watch::Sender::new(0),
            id: id.to_owned(),
            token: format!("Bearer {}", place.token).parse()?,
            rng: super::plan::rng(place.seed, id),
            writer: folder.writer(id)?,
            held: HashMap::new(),
            old: VecDeque::new(),
            reports: mpsc::channel(64),
            gathered: Vec::new(),
            place,
            blows,
        })
    }

    /// Works until told to stop.
    pub async fn run(mut self, over: CancellationToken) {
        let stopped = over.clone();
        let working = async {
            loop {
                self.session().await;
                sleep(Duration::from_millis(self.rng.u64(20..500))).await;
            }
        };
        tokio::select! {
            () = working => {}
            () = stopped.cancelled() => {}
        }
    }

    async fn session(&mut self) {
        let (out, outbound) = mpsc::channel(64);
        // What it has not accepted it does not work on.
        let taken = self.held.iter().filter(|(_, held)| held.accepted);
        let in_flight = taken.map(|(key, _)| key.reference()).collect();
        let (worker_id, kinds, software) = (self.id.clone(), vec![KIND.to_owned()], "torture".to_owned());
        let hello =
            Hello { worker_id, kinds, slots: SLOTS, in_flight, software, takes_parts: true, ..Hello::default() };
        let _ = out.send(WorkRequest { message: Some(Out::Hello(hello)) }).await;
        // Its calls go where its stream is, as the SDK's do.
        let server = self.place.servers.turn();
        self.server.send_replace(server);
        let mut client = self.clients[server].clone();
        let mut request = Request::new(ReceiverStream::new(outbound));
        request.metadata_mut().insert("authorization", self.token.clone());
        let Ok(Ok(inbound)) = timeout(CALL, client.work(request)).await else { return };
        let numbered = self.rng.u32(0..4) > 0;
        let session = Session { id: self.writer.number(), out, numbered, sent: 0, answered: 0, acknowledged: 0 };
        self.converse(session, inbound.into_inner()).await;
    }

    async fn converse(&mut self, mut session: Session, mut inbound: Streaming<WorkResponse>) {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut welcomed, mut heard) = (false, Instant::now());
        // Now and then it leaves by itself, and comes back with what it has.
        let leaves = Instant::now() + Duration::from_millis(self.rng.u64(500..40_000));
        loop {
            tokio::select! {
                message = inbound.message() => {
                    let Ok(Some(WorkResponse { message })) = message else { return };
                    heard = Instant::now();
                    welcomed |= matches!(message, Some(In::Welcome(_)));
                    if let Some(message) = message
                        && !self.take(&mut session, message).await
                    {
                        return;
                    }
                }
                Some((key, report)) = self.reports.1.recv(), if welcomed => {
                    if matches!(report, Out::Succeeded(_)) || self.gathered.iter().any(|(gathered, _)| *gathered == key) {
                        self.gathered.push((key, report));
                    } else if !self.report(&mut session, key, report).await {
                        return;
                    }
                }
                _ = beats.tick() => {
                    if heard.elapsed() > SILENCE || Instant::now() > leaves {
                        return;
                    }
                    if welcomed && !(self.send_gathered(&mut session).await && self.beat(&mut session).await) {
                        return;
                    }
                }
                Some(blow) = self.blows.recv() => match blow {
                    WorkerFault::Forget => return self.forget(),
                    WorkerFault::Freeze(time) => sleep(time).await,
                }
            }
        }
    }

    /// Takes what the server says; `false` when the stream is gone.
    async fn take(&mut self, session: &mut Session, message: In) -> bool {
        let (worker, id) = (self.id.clone(), session.id);
        match message {
            In::Welcome(welcome) => {
                let kept: Vec<Key> = welcome.in_flight.into_iter().map(Key::of).collect();
                self.writer.write(Record::Welcomed { worker, session: id, kept: kept.len() });
                let lost: Vec<Key> = self.held.keys().filter(|key| !kept.contains(key)).cloned().collect();
                lost.iter().for_each(|key| self.let_go(key));
                return self.send_again(session).await;
            }
            In::Assignment(assignment) => {
                let Some(key) = assignment.attempt.clone().map(Key::of) else { return true };
                let Key { job, att, part, .. } = key.clone();
                self.writer.write(match part.is_empty() {
                    true => Record::Assigned { worker, session: id, job, att },
                    false => Record::Part { worker, session: id, job, att, part },
                });
                self.begin(key, assignment);
            }
            // Comes to those only who say that they send again: here a new stream does.
            In::DeferReports(_) => {}
            In::ReportsTaken(taken) => self.acknowledged(session, u64::try_from(taken.number).unwrap_or(0)),
            In::Cancel(cancel) => {
                let held = cancel.attempt.and_then(|at| self.held.get(&Key::of(at)));
                held.into_iter().for_each(|held| held.cancel.cancel());
            }
            In::HeartbeatAck(ack) => {
                session.answered += 1;
                for at in ack.cancel {
                    self.held.get(&Key::of(at)).into_iter().for_each(|held| held.cancel.cancel());
                }
                if !ack.reports_pending {
                    self.acknowledged(session, session.answered);
                }
            }
            In::LeaseLost(lost) => {
                let Some(key) = lost.attempt.map(Key::of) else { return true };
                let Key { job, att, part, .. } = key.clone();
                self.writer.write(Record::LeaseLost { worker, session: id, job, att, part });
                self.let_go(&key);
            }
            In::Parts(news) => {
                let held = news.attempt.clone().and_then(|at| self.held.get(&Key::of(at)));
                held.into_iter().for_each(|held| drop(held.parts.send_replace(news.clone())));
            }
            In::Drain(_) | In::Resume(_) => {}
        }
        true
    }

    /// What was sent before a heartbeat need not be sent again.
    fn acknowledged(&mut self, session: &mut Session, beats: u64) {
        if beats <= session.acknowledged {
            return;
        }
        session.acknowledged = beats;
        self.writer.write(Record::Beat { worker: self.id.clone(), session: session.id, beats });
        for held in self.held.values_mut() {
            held.sent.retain(|(sent, report)| *sent >= beats || matches!(report, Out::Offer(_)));
        }
        let over = |held: &Held| held.ended.is_some_and(|sent| sent < beats);
        let done: Vec<Key> = self.held.iter().filter(|(_, held)| over(held)).map(|(key, _)| key.clone()).collect();
        done.iter().for_each(|key| self.let_go(key));
    }

    fn begin(&mut self, key: Key, assignment: Assignment) {
        let (cancel, parts) = (CancellationToken::new(), watch::Sender::default());
        let script = script::Script {
            key: key.clone(),
            rng: super::plan::rng(
                self.place.seed,
                &format!("{}/{}/{:?}", assignment.filename, key.att, assignment.pages),
            ),
            assignment,
            reports: self.reports.0.clone(),
            clients: self.clients.clone(),
            server: self.server.subscribe(),
            token: self.token.clone(),
            writer: self.writer.clone(),
            worker: self.id.clone(),
            cancel: cancel.clone(),
            parts: parts.subscribe(),
        };
        let task = tokio::spawn(script.run()).abort_handle();
        self.held.insert(key, Held { accepted: false, sent: Vec::new(), ended: None, cancel, parts, task });
    }

    async fn report(&mut self, session: &mut Session, key: Key, report: Out) -> bool {
        let Some(held) = self.held.get_mut(&key) else { return true };
        let last = matches!(report, Out::Succeeded(_) | Out::Failed(_) | Out::Cancelled(_) | Out::Released(_));
        if matches!(report, Out::Offer(_)) {
            // Only the newest counts: an older one would offer again what was taken back.
            held.sent.retain(|(_, sent)| !matches!(sent, Out::Offer(_)));
        }
        held.accepted |= matches!(report, Out::Accepted(_));
        if !matches!(report, Out::Progress(_) | Out::Zone(_)) {
            held.sent.push((session.sent, report.clone()));
        }
        if last {
            held.ended = Some(session.sent);
        }
        session.report(&self.writer, &self.id, &key, report).await
    }

    /// What a stream that breaks leaves behind goes on the next one, if the attempt is still this worker's.
    async fn send_gathered(&mut self, session: &mut Session) -> bool {
        while !self.gathered.is_empty() {
            let (key, report) = self.gathered.remove(0);
            if !self.report(session, key, report).await {
                return false;
            }
        }
        true
    }

    /// Says everything again that may not have arrived: saying it twice must change nothing.
    async fn send_again(&mut self, session: &mut Session) -> bool {
        for (key, held) in &mut self.held {
            for (beats, report) in &mut held.sent {
                *beats = session.sent;
                if !session.report(&self.writer, &self.id, key, report.clone()).await {
                    return false;
                }
            }
            if held.ended.is_some() {
                held.ended = Some(session.sent);
            }
        }
        true
    }

    async fn beat(&mut self, session: &mut Session) -> bool {
        if self.rng.u32(0..3) == 0
            && let Some(key) = self.long_over()
        {
            let (worker, id, beats) = (self.id.clone(), session.id, session.sent);
            let report = script::late(&mut self.rng, &key);
            let Key { job, att, part, .. } = key;
            self.writer.write(Record::Late { worker, session: id, job, att, part, beats });
            if !session.send(report).await {
                return false;
            }
        }
        session.sent += 1;
        let number = if session.numbered { i64::try_from(session.sent).unwrap_or(i64::MAX) } else { 0 };
        session.send(Out::Heartbeat(Heartbeat { number })).await
    }

    fn long_over(&mut self) -> Option<Key> {
        (!self.old.is_empty()).then(|| self.old[self.rng.usize(0..self.old.len())].clone())
    }

    fn let_go(&mut self, key: &Key) {
        if let Some(held) = self.held.remove(key) {
            held.cancel.cancel();
            held.task.abort();
            self.old.push_back(key.clone());
            if self.old.len() > REMEMBERED {
                self.old.pop_front();
            }
        }
    }

    fn forget(&mut self) {
        let all: Vec<Key> = self.held.keys().cloned().collect();
        all.iter().for_each(|key| self.let_go(key));
        self.gathered.clear();
        while self.reports.1.try_recv().is_ok() {}
    }
}

impl Session {
    /// Sends what is about an attempt, and writes down what has to come of it.
    async fn report(&self, writer: &RecordWriter, worker: &str, key: &Key, report: Out) -> bool {
        if let Some((ev, of)) = lasting(key, &report) {
            let (worker, session, beats) = (worker.to_owned(), self.id, self.sent);
            let Key { job, att, part, .. } = key.clone();
            writer.write(Record::Reported { worker, session, job, att, part, beats, ev: ev.to_owned(), of });
        }
        self.send(report).await
    }

    async fn send(&self, message: Out) -> bool {
        let sent = timeout(SILENCE, self.out.send(WorkRequest { message: Some(message) })).await;
        matches!(sent, Ok(Ok(())))
    }
}

/// The event that is to come of a report, and what that is of. None of one that is transient, or of nothing but a part.
fn lasting(key: &Key, report: &Out) -> Option<(&'static str, String)> {
    let of_format = |format: i32| ResultFormat::try_from(format).map_or("", format_name).to_owned();
    match report {
        Out::Page(page) => Some(("page", page.page.as_ref()?.number.to_string())),
        _ if !key.part.is_empty() => None,
        Out::Plan(_) => Some(("planned", String::new())),
        Out::ExportStarted(export) => Some(("export-started", of_format(export.format))),
        Out::ExportCompleted(export) => Some(("export-completed", of_format(export.format))),
        Out::ExportFailed(export) => Some(("export-failed", of_format(export.format))),
        Out::Output(output) => Some(("output-stored", output.name.clone())),
        Out::Succeeded(_) => Some(("completed", String::new())),
        Out::Failed(_) => Some(("failed", String::new())),
        _ => None,
    }
}

/// A success that says which attempt it is of.
fn succeeded(key: &Key) -> Out {
    let warnings = vec![format!("made by attempt {}", key.att)];
    Out::Succeeded(ReportSucceeded { attempt: Some(key.reference()), warnings })
}
