//! How a member gets from its cursor to live: enter the room first, then read what was missed, then let go what the room
//! said meanwhile. Reading goes at the client's pace and never holds up the room.

use std::sync::Arc;

use courant_auth::{Identity, Role};
use courant_proto::v1::{self, ErrorReason, watch_jobs_response::Step};

use super::member::{Member, Released};
use super::source::Source;
use super::steps::Steps;
use super::{Place, RoomKey, Rooms, Started, stream};
use crate::backoff::pause;
use crate::fault::{Code, Fault};
use crate::ledger::User;
use crate::notices;
use crate::states::room::Wish;
use crate::states::{States, Subject};
use crate::wire::encode::Push;
use crate::wire::message::{Mode, Subscribed};
use crate::wire::{ServerMessage, Tier, Topic, names};

/// Everything a join needs to know of who joins.
pub struct Join {
    /// All rooms about jobs.
    pub rooms: Arc<Rooms>,
    /// All rooms about states.
    pub states: Arc<States>,
    /// Who joins.
    pub member: Arc<Member>,
    /// For asking the core whether the user may.
    pub token: String,
    /// The user.
    pub user: Arc<User>,
    /// Whose jobs the topics `document` and `batch` are about.
    pub reach: Reach,
    /// What to follow.
    pub topic: Topic,
    /// From where.
    pub after: Option<String>,
    /// How often transient messages come.
    pub tier: Tier,
    /// The command to answer.
    pub id: Option<u64>,
}

/// Whose jobs a user sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One's own.
    Own,
    /// Everybody's.
    All,
}

impl Reach {
    /// Of this user.
    pub fn of(identity: &Identity) -> Self {
        if identity.has(Role::Admin) { Self::All } else { Self::Own }
    }
}

/// A subscription that is live.
pub struct Joined {
    /// Giving it up leaves the room.
    pub place: Place,
    /// What one must be to see it.
    pub sight: Sight,
}

/// What one must be to see what a subscription shows. Judged anew with every token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Anybody may.
    Everybody,
    /// The owner, and who sees everybody's jobs.
    Owner(String),
    /// Admins alone.
    Admins,
}

impl Sight {
    fn of_state(subject: Subject) -> Self {
        match subject {
            Subject::Queue => Self::Everybody,
            Subject::Devices(user) => Self::Owner(user.to_string()),
            Subject::Admin => Self::Admins,
        }
    }

    fn of_jobs(topic: &Topic, owner: &str) -> Self {
        match (topic, owner) {
            (Topic::Job(_), owner) => Self::Owner(owner.to_owned()),
            (_, "-") => Self::Admins,
            (_, owner) => Self::Owner(owner.to_owned()),
        }
    }

    /// Whether this identity may see it.
    pub fn allows(&self, identity: &Identity) -> bool {
        match self {
            Self::Everybody => true,
            Self::Owner(owner) => *owner == identity.subject || identity.sees_all(),
            Self::Admins => identity.has(Role::Admin),
        }
    }
}

/// Where a join stands.
struct Reading {
    source: Source,
    name: Arc<str>,
    from: String,
    answered: bool,
}

/// Why a round of reading ended.
enum Round {
    /// At the live mark.
    Done,
    /// At the live mark, but the room has said too much meanwhile.
    Again,
}

/// Why a join came to nothing.
#[derive(Debug)]
pub enum Failed {
    /// The command has no answer yet: this.
    Unanswered(Fault),
    /// It was answered, and the client has been told of the end.
    Told,
}

impl Join {
    /// Joins.
    pub async fn run(self) -> Result<Joined, Failed> {
        match Subject::of(&self.topic, self.user.name()) {
            Some(subject) => self.run_state(subject).await.map_err(Failed::Unanswered),
            None if self.topic == Topic::Notifications => self.run_notices().await.map_err(Failed::Unanswered),
            None => self.run_jobs().await,
        }
    }

    /// A state is told as it is as soon as it is known.
    async fn run_state(self, subject: Subject) -> Result<Joined, Fault> {
        if subject == Subject::Admin && self.reach != Reach::All {
            return Err(Fault::new(Code::Core(ErrorReason::RoleRequired), "this topic is for admins"));
        }
        let (room, place) = self.states.enter(&subject, self.tier, &self.member);
        room.welcome(&self.member, &Wish { id: self.id, after: self.after }).await?;
        Ok(Joined { place, sight: Sight::of_state(subject) })
    }

    /// One's own, whoever one is.
    async fn run_notices(self) -> Result<Joined, Fault> {
        let sight = Sight::Owner(self.user.name().to_string());
        let place = notices::follow(notices::Wish {
            core: self.rooms.core.clone(),
            times: self.rooms.times.clone(),
            metrics: self.rooms.metrics.clone(),
            supervisor: self.rooms.supervisor.clone(),
            member: self.member,
            user: self.user,
            after: self.after,
            id: self.id,
        });
        Ok(Joined { place: place.await?, sight })
    }

    async fn run_jobs(self) -> Result<Joined, Failed> {
        // Before entering the room: from then on it must hold what it says. Never closed, so this is always a turn.
        let _turn = self.user.joins.clone().acquire_owned().await;
        let (source, job, cursor) = self.look_up().await.map_err(Failed::Unanswered)?;
        let key = RoomKey { source: source.clone(), tier: self.tier };
        let (place, started) = match self.rooms.enter(&key, &self.member) {
            Some(place) => (place, Started::Before),
            None => {
                let cursor = match &cursor {
                    Some(cursor) => cursor.clone(),
                    None => self.now(&source).await.map_err(Failed::Unanswered)?,
                };
                self.rooms.enter_or_start(&key, &cursor, &self.member, &self.user).map_err(Failed::Unanswered)?
            }
        };
        let sight = Sight::of_jobs(&self.topic, &source.owner);
        let mut reading =
            Reading { name: source.name(), source, from: self.after.clone().unwrap_or_default(), answered: false };
        if let (None, Started::Now, Some(job), Some(cursor)) = (&self.after, started, &job, cursor) {
            // The room begins where this snapshot ends.
            self.answer(&mut reading, Mode::Snapshot, None);
            self.send(Push::snapshot(&reading.name, job)).await;
            if self.release(&reading.name, &cursor, job.revision) == Released::Live {
                return Ok(Joined { place, sight });
            }
            reading.from = cursor;
        }
        self.read(&mut reading).await?;
        Ok(Joined { place, sight })
    }

    /// Asks the core, with the user's token, whether this may be seen; a single job comes back with its cursor.
    async fn look_up(&self) -> Result<(Source, Option<v1::Job>, Option<String>), Fault> {
        let owner = match (&self.topic, self.reach) {
            (Topic::Job(id), _) => {
                let (job, cursor) = self.job(id).await?;
                return Ok((Source::job(&job), Some(job), Some(cursor)));
            }
            (Topic::Mine | Topic::Notifications | Topic::Devices | Topic::Queue | Topic::Admin, _)
            | (Topic::Document(_) | Topic::Batch(_), Reach::Own) => self.user.name().to_string(),
            (Topic::Document(_) | Topic::Batch(_), Reach::All) => "-".to_owned(),
        };
        Ok((Source { topic: self.topic.clone(), owner, document: None }, None, None))
    }

    async fn job(&self, id: &str) -> Result<(v1::Job, String), Fault> {
        let request = self.rooms.core.call_as(v1::GetJobRequest { job_id: id.to_owned() }, &self.token)?;
        let answer = self.rooms.core.jobs().get_job(request).await?.into_inner();
        Ok((answer.job.ok_or_else(Fault::job_not_found)?, answer.cursor))
    }

    /// The end of the log as the core sees it now.
    async fn now(&self, source: &Source) -> Result<String, Fault> {
        let list = v1::ListJobsRequest { page_size: 1, owner: source.owner.clone(), ..v1::ListJobsRequest::default() };
        let request = self.rooms.core.call_as(list, &self.token)?;
        Ok(self.rooms.core.jobs().list_jobs(request).await?.into_inner().cursor)
    }

    /// Reads rounds until one ends at a live mark that the room agrees with.
    async fn read(&self, reading: &mut Reading) -> Result<(), Failed> {
        let mut losses = 0;
        loop {
            match self.round(reading).await {
                Ok(Round::Done) => return Ok(()),
                Ok(Round::Again) => losses = 0,
                Err(fault) if !reading.answered => return Err(Failed::Unanswered(fault)),
                Err(fault) if fault.is(ErrorReason::JobNotFound) => {
                    self.send(Push::ended(&reading.name, fault.code.name())).await;
                    return Err(Failed::Told);
                }
                // The cursor is the core's own: it was replaced under us.
                Err(fault) if fault.is(ErrorReason::CursorInvalid) => {
                    self.send(Push::gap(&reading.name, v1::GapReason::LogReplaced)).await;
                    reading.from.clear();
                }
                Err(fault) => {
                    losses += 1;
                    tracing::debug!(topic = %reading.name, %fault, losses, "replay lost");
                    tokio::time::sleep(pause(losses, self.rooms.times.backoff)).await;
                }
            }
        }
    }

    async fn round(&self, reading: &mut Reading) -> Result<Round, Fault> {
        let _stream = stream(&self.user, &self.rooms.metrics)?;
        let mut steps = Steps::open(&self.rooms.core, &reading.source, &reading.from).await?;
        while let Some((cursor, step)) = steps.next().await? {
            match step {
                Some(Step::Gap(gap)) => self.gap(reading, gap.reason()).await,
                Some(Step::Snapshot(v1::JobSnapshot { job })) => {
                    self.answer(reading, Mode::Snapshot, None);
                    if let Some(job) = job.filter(|job| reading.source.holds(Some(job))) {
                        self.send(Push::snapshot(&reading.name, &job)).await;
                    }
                }
                Some(Step::Event(event)) => self.event(reading, cursor, &event).await,
                Some(Step::Live(live)) => return Ok(self.live(reading, cursor, live.revision)),
                Some(Step::Bookmark(_)) | None => {}
            }
        }
        Err(Fault::unreachable())
    }

    async fn event(&self, reading: &mut Reading, cursor: String, event: &v1::JobEvent) {
        self.answer(reading, Mode::Resumed, None);
        if event.revision == 0 {
            return;
        }
        if reading.source.holds(event.job.as_ref())
            && let Some(push) = Push::event(&reading.name, cursor.clone(), event)
        {
            self.send(push).await;
        }
        if !cursor.is_empty() {
            reading.from = cursor;
        }
    }

    fn live(&self, reading: &mut Reading, cursor: String, told: i64) -> Round {
        let mode = if reading.from.is_empty() { Mode::Snapshot } else { Mode::Resumed };
        self.answer(reading, mode, None);
        match self.release(&reading.name, &cursor, told) {
            Released::Live => Round::Done,
            Released::Again => {
                reading.from = cursor;
                Round::Again
            }
        }
    }

    async fn gap(&self, reading: &mut Reading, reason: v1::GapReason) {
        if reading.answered {
            self.send(Push::gap(&reading.name, reason)).await;
        } else {
            self.answer(reading, Mode::Snapshot, Some(names::gap_reason(reason).to_owned()));
        }
        reading.from.clear();
    }

    /// Answers the command, once.
    fn answer(&self, reading: &mut Reading, mode: Mode, reason: Option<String>) {
        if std::mem::replace(&mut reading.answered, true) {
            return;
        }
        let message = ServerMessage::Subscribed(Subscribed {
            id: self.id,
            topic: reading.name.clone(),
            mode,
            reason,
            cursor: self.after.clone().filter(|_| mode == Mode::Resumed),
            min_interval_ms: self.tier.interval().as_millis() as u64,
        });
        self.member.replay(Arc::new(Push::mark(&reading.name, message)));
    }

    async fn send(&self, push: Push) {
        self.member.outbox.has_room().await;
        self.member.replay(Arc::new(push));
    }

    fn release(&self, topic: &Arc<str>, cursor: &str, told: i64) -> Released {
        self.member.release(Arc::new(Push::live(topic, cursor)), told)
    }
}
