//! Topics and throttle tiers as clients name them.

use std::fmt;
use std::time::Duration;

/// The longest id after the `/` of a topic, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// What a client subscribes to. Who may, is not decided here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicName {
    /// The job with this id.
    Job(String),
    /// The jobs of one document.
    Document(String),
    /// The jobs of one batch.
    Batch(String),
    /// All jobs of the user.
    Mine,
    /// The user's notifications.
    Notifications,
    /// The user's devices that are connected.
    Devices,
    /// What waits and who works, in all.
    Queue,
    /// The service as its operators see it.
    Admin,
}

/// All that is decided by which topic it is; the rest of the bridge matches on this, not on names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicKind<'a> {
    /// Events of jobs. What a subscriber missed is replayed from the server's log.
    Jobs(JobFilter<'a>),
    /// A state that is sent whole, in this many parts. The newest of each part is retained.
    State { parts: usize, audience: Audience },
    /// Durable messages to one user. Each subscriber follows them from its own cursor.
    Inbox,
}

/// The jobs of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobFilter<'a> {
    /// The job with this id.
    Job(&'a str),
    /// Jobs of the document with this id.
    Document(&'a str),
    /// Jobs of the batch with this id.
    Batch(&'a str),
    /// All jobs of the owner.
    Owner,
}

/// Who may see a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Everybody,
    /// The user it is about.
    Owner,
    Admins,
}

impl TopicName {
    pub fn kind(&self) -> TopicKind<'_> {
        match self {
            Self::Job(id) => TopicKind::Jobs(JobFilter::Job(id)),
            Self::Document(id) => TopicKind::Jobs(JobFilter::Document(id)),
            Self::Batch(id) => TopicKind::Jobs(JobFilter::Batch(id)),
            Self::Mine => TopicKind::Jobs(JobFilter::Owner),
            Self::Notifications => TopicKind::Inbox,
            Self::Devices => TopicKind::State { parts: 1, audience: Audience::Owner },
            Self::Queue => TopicKind::State { parts: 1, audience: Audience::Everybody },
            Self::Admin => TopicKind::State { parts: 4, audience: Audience::Admins },
        }
    }
}

impl TopicKind<'_> {
    /// Whether only operators may follow it.
    pub fn is_for_admins(self) -> bool {
        matches!(self, Self::State { audience: Audience::Admins, .. })
    }

    /// Whether a role may be what allows a user to follow it: not where it is about the user alone or for everybody.
    pub fn may_need_role(self) -> bool {
        match self {
            Self::Jobs(JobFilter::Owner) | Self::Inbox => false,
            Self::Jobs(JobFilter::Job(_) | JobFilter::Document(_) | JobFilter::Batch(_)) => true,
            Self::State { audience, .. } => audience == Audience::Admins,
        }
    }
}

/// Why a text names no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No such kind of topic.
    #[error("topic must be mine, notifications, devices, queue, admin, job/ID, document/ID or batch/ID")]
    Unknown,
    /// The id cannot be one.
    #[error("the id of a topic has 1 to {MAX_ID_BYTES} bytes and no control characters")]
    Id,
}

impl std::str::FromStr for TopicName {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        match text {
            "mine" => return Ok(Self::Mine),
            "notifications" => return Ok(Self::Notifications),
            "devices" => return Ok(Self::Devices),
            "queue" => return Ok(Self::Queue),
            "admin" => return Ok(Self::Admin),
            _ => {}
        }
        let (kind, id) = text.split_once('/').ok_or(TopicError::Unknown)?;
        let kind = match kind {
            "job" => Self::Job,
            "document" => Self::Document,
            "batch" => Self::Batch,
            _ => return Err(TopicError::Unknown),
        };
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
            return Err(TopicError::Id);
        }
        Ok(kind(id.to_owned()))
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(id) => write!(f, "job/{id}"),
            Self::Document(id) => write!(f, "document/{id}"),
            Self::Batch(id) => write!(f, "batch/{id}"),
            Self::Mine => f.write_str("mine"),
            Self::Notifications => f.write_str("notifications"),
            Self::Devices => f.write_str("devices"),
            Self::Queue => f.write_str("queue"),
            Self::Admin => f.write_str("admin"),
        }
    }
}

/// How often transient messages come. A few fixed steps, so that subscribers of a topic can share every message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ThrottleTier {
    /// As fast as they come.
    Unthrottled,
    /// At most four per second.
    QuarterSecond,
    /// At most one per second.
    #[default]
    OneSecond,
    /// At most one in five seconds.
    FiveSeconds,
}

impl ThrottleTier {
    /// The slowest tier that is not faster than asked for; the slowest there is for anything beyond.
    pub fn at_least(interval_ms: u64) -> Self {
        match interval_ms {
            0 => Self::Unthrottled,
            1..=250 => Self::QuarterSecond,
            251..=1000 => Self::OneSecond,
            1001.. => Self::FiveSeconds,
        }
    }

    /// The least time between two transient messages of a job.
    pub fn interval(self) -> Duration {
        match self {
            Self::Unthrottled => Duration::ZERO,
            Self::QuarterSecond => Duration::from_millis(250),
            Self::OneSecond => Duration::from_secs(1),
            Self::FiveSeconds => Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_read_back_as_written() {
        for text in ["mine", "notifications", "devices", "queue", "admin", "job/01K9", "document/a/b c", "batch/ü"] {
            assert_eq!(text.parse::<TopicName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_topics_about_the_user_and_for_everybody_need_no_role() {
        let topics = ["mine", "notifications", "devices", "queue", "admin", "job/1", "document/1", "batch/1"];
        let (free, bound): (Vec<_>, Vec<_>) =
            topics.into_iter().partition(|text| !text.parse::<TopicName>().unwrap().kind().may_need_role());
        assert_eq!(free, ["mine", "notifications", "devices", "queue"]);
        assert_eq!(bound, ["admin", "job/1", "document/1", "batch/1"]);
    }

    #[test]
    fn anything_else_is_no_topic() {
        for text in ["", "Mine", "queues", "jobs/1", "admin/1"] {
            assert_eq!(text.parse::<TopicName>(), Err(TopicError::Unknown), "{text}");
        }
        for text in ["job/", "job/a\nb", &format!("batch/{}", "x".repeat(129))] {
            assert_eq!(text.parse::<TopicName>(), Err(TopicError::Id), "{text}");
        }
    }

    #[test]
    fn intervals_are_rounded_up_to_a_tier() {
        let steps = [(0, 0), (1, 250), (250, 250), (251, 1000), (1000, 1000), (1001, 5000), (u64::MAX, 5000)];
        for (asked, given) in steps {
            assert_eq!(ThrottleTier::at_least(asked).interval().as_millis(), given, "{asked}");
        }
    }
}
