//! What a filter's words mean: fields of a job, and what they are compared with.

use std::borrow::Cow;
use std::fmt::{Display, Formatter};

use courant_joblog::ids::Timestamp;
use courant_joblog::job::{Job, Lane, State};
use serde_json::Value;

use super::candidate::Candidate;
use super::compare::{Pattern, Polarity, ProblemAt, Refused, TextTest, instant, plain, sense};
use super::dialect::Dialect;
use super::lexer::{Comparator, Text, quote};
use crate::rfc3339::Instant;

/// All fields, for those who named another.
const NAMES: &str = "job_id, owner, document_id, batch_id, request_id, kind, filename, document_bytes, lane, state, \
    attempt, pages_total, pages_done, worker_id, error.code, create_time, start_time, end_time, labels, labels.KEY, \
    parameters, parameters.KEY";
const STATES: [(&str, State); 6] = [
    ("QUEUED", State::Queued),
    ("RUNNING", State::Running),
    ("CANCELLING", State::Cancelling),
    ("SUCCEEDED", State::Succeeded),
    ("FAILED", State::Failed),
    ("CANCELLED", State::Cancelled),
];
const LANES: [(&str, Lane); 3] = [("PREMIUM", Lane::Premium), ("NORMAL", Lane::Normal), ("LARGE", Lane::Large)];

/// Filters of jobs.
pub enum OfJobs {}

impl Dialect for OfJobs {
    type Field = Field;
    type Condition = Condition;
    const FIELDS: &'static str = NAMES;

    fn field(name: &str) -> Option<Field> {
        Field::named(name)
    }

    fn condition(field: Field, comparator: Comparator, value: Text) -> Result<Condition, Refused> {
        field.test(comparator, value)
    }
}

/// A field of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Text(TextField),
    Number(NumberField),
    Time(TimeField),
    State,
    Lane,
    Labels,
    Parameters,
}

/// A field that is a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextField {
    JobId,
    Owner,
    DocumentId,
    BatchId,
    RequestId,
    Kind,
    Filename,
    WorkerId,
    ErrorCode,
    Label(String),
    /// A value in the parameters, by its key; by keys with dots between them where it is in an object of another key.
    Parameter(String),
}

/// A field that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberField {
    DocumentBytes,
    Attempt,
    PagesTotal,
    PagesDone,
}

/// A field that is a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeField {
    Create,
    Start,
    End,
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A text is like this, or is not.
    Like(TextField, Pattern, Polarity),
    /// A text comes before or after another.
    Sorted(TextField, Comparator, String),
    /// A number compares so.
    Count(NumberField, Comparator, i64),
    /// A moment compares so.
    At(TimeField, Comparator, Instant),
    /// The moment has come.
    Came(TimeField),
    /// The state is this, or is not.
    State(State, Polarity),
    /// The lane is this, or is not.
    Lane(Lane, Polarity),
    /// There is a label of this name.
    HasLabel(String),
    /// There is a parameter of this name, also one that is null.
    HasParameter(String),
}

impl Field {
    /// The field of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "job_id" => Self::Text(TextField::JobId),
            "owner" => Self::Text(TextField::Owner),
            "document_id" => Self::Text(TextField::DocumentId),
            "batch_id" => Self::Text(TextField::BatchId),
            "request_id" => Self::Text(TextField::RequestId),
            "kind" => Self::Text(TextField::Kind),
            "filename" => Self::Text(TextField::Filename),
            "worker_id" => Self::Text(TextField::WorkerId),
            "error.code" => Self::Text(TextField::ErrorCode),
            "document_bytes" => Self::Number(NumberField::DocumentBytes),
            "attempt" => Self::Number(NumberField::Attempt),
            "pages_total" => Self::Number(NumberField::PagesTotal),
            "pages_done" => Self::Number(NumberField::PagesDone),
            "create_time" => Self::Time(TimeField::Create),
            "start_time" => Self::Time(TimeField::Start),
            "end_time" => Self::Time(TimeField::End),
            "state" => Self::State,
            "lane" => Self::Lane,
            "labels" => Self::Labels,
            "parameters" => Self::Parameters,
            other => match other.split_once('.').filter(|(_, key)| !key.is_empty())? {
                ("labels", key) => Self::Text(TextField::Label(key.to_owned())),
                ("parameters", key) => Self::Text(TextField::Parameter(key.to_owned())),
                _ => return None,
            },
        })
    }

    /// The condition that a comparison with a value makes.
    pub fn test(self, comparator: Comparator, value: Text) -> Result<Condition, Refused> {
        let any = comparator == Comparator::Has && value.stars == [0] && value.text == "*";
        match self {
            Self::Text(word) => word.test(comparator, value),
            Self::Number(number) => {
                let count = value.text.parse().map_err(|_| (ProblemAt::Value, "expected a whole number".to_owned()))?;
                Ok(Condition::Count(number, plain(comparator), count))
            }
            Self::Time(moment) if any => Ok(Condition::Came(moment)),
            Self::Time(moment) => Ok(Condition::At(moment, plain(comparator), instant(&value.text)?)),
            Self::State => Ok(Condition::State(choice(&STATES, "JOB_STATE_", &value.text)?, sense(comparator)?)),
            Self::Lane => Ok(Condition::Lane(choice(&LANES, "LANE_", &value.text)?, sense(comparator)?)),
            Self::Labels if comparator == Comparator::Has => Ok(Condition::HasLabel(value.text)),
            Self::Parameters if comparator == Comparator::Has => Ok(Condition::HasParameter(value.text)),
            Self::Parameters => {
                let problem = "parameters goes with : only; one parameter is parameters.KEY";
                Err((ProblemAt::Comparator, problem.to_owned()))
            }
            Self::Labels => {
                let problem = "labels goes with : only; one label is labels.KEY";
                Err((ProblemAt::Comparator, problem.to_owned()))
            }
        }
    }
}

impl TextField {
    fn test(self, comparator: Comparator, value: Text) -> Result<Condition, Refused> {
        Ok(match TextTest::of(comparator, value)? {
            TextTest::Like(pattern, polarity) => Condition::Like(self, pattern, polarity),
            TextTest::Sorted(comparator, text) => Condition::Sorted(self, comparator, text),
        })
    }

    /// `None` when it is not set.
    fn of<'a>(&self, candidate: &'a Candidate) -> Option<Cow<'a, str>> {
        let job = candidate.job;
        let text = match self {
            Self::JobId => Some(job.id.as_str()),
            Self::Owner => Some(job.owner.as_str()),
            Self::DocumentId => Some(job.document.id.as_str()),
            Self::BatchId => job.batch.as_ref().map(|id| id.as_str()),
            Self::RequestId => job.request.as_ref().map(|id| id.as_str()),
            Self::Kind => Some(&*job.kind),
            Self::Filename => Some(&*job.document.name),
            Self::WorkerId => job.worker.as_ref().map(|id| id.as_str()),
            Self::ErrorCode => job.error.as_ref().map(|error| &*error.code),
            Self::Label(key) => job.labels.get(key).map(String::as_str),
            Self::Parameter(key) => return candidate.parameter(key).and_then(text_of),
        };
        text.map(Cow::Borrowed)
    }
}

impl Display for TextField {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::JobId => "job_id",
            Self::Owner => "owner",
            Self::DocumentId => "document_id",
            Self::BatchId => "batch_id",
            Self::RequestId => "request_id",
            Self::Kind => "kind",
            Self::Filename => "filename",
            Self::WorkerId => "worker_id",
            Self::ErrorCode => "error.code",
            Self::Label(key) => return write!(f, "labels.{}", quote(key)),
            Self::Parameter(key) => return write!(f, "parameters.{}", quote(key)),
        })
    }
}

impl NumberField {
    fn of(self, job: &Job) -> i64 {
        match self {
            Self::DocumentBytes => i64::try_from(job.document.bytes).unwrap_or(i64::MAX),
            Self::Attempt => job.attempt.into(),
            Self::PagesTotal => job.pages.total.unwrap_or(0).into(),
            Self::PagesDone => job.pages.done_count().into(),
        }
    }
}

impl Display for NumberField {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::DocumentBytes => "document_bytes",
            Self::Attempt => "attempt",
            Self::PagesTotal => "pages_total",
            Self::PagesDone => "pages_done",
        })
    }
}

impl TimeField {
    fn of(self, job: &Job) -> Option<Instant> {
        let at = match self {
            Self::Create => Some(job.created),
            Self::Start => job.started,
            Self::End => job.ended,
        };
        at.map(|Timestamp(ms)| Instant { seconds: ms.div_euclid(1000), nanos: ms.rem_euclid(1000) as i32 * 1_000_000 })
    }
}

impl Display for TimeField {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "create_time",
            Self::Start => "start_time",
            Self::End => "end_time",
        })
    }
}

impl Condition {
    /// Whether it holds for a job. What is not set is neither before nor after anything, and not equal to it.
    pub fn holds(&self, candidate: &Candidate) -> bool {
        let job = candidate.job;
        match self {
            Self::Like(word, pattern, sense) => {
                let text = word.of(candidate).inspect(|text| candidate.spend(text.len() as u64));
                sense.is(text.is_some_and(|text| pattern.fits(&text)))
            }
            Self::Sorted(word, how, text) => word.of(candidate).is_some_and(|of| how.holds((*of).cmp(text.as_str()))),
            Self::Count(number, how, count) => how.holds(number.of(job).cmp(count)),
            Self::At(moment, how, at) => match moment.of(job) {
                Some(of) => how.holds(of.cmp(at)),
                None => *how == Comparator::NotEqual,
            },
            Self::Came(moment) => moment.of(job).is_some(),
            Self::State(state, sense) => sense.is(job.state == *state),
            Self::Lane(lane, sense) => sense.is(job.lane == *lane),
            Self::HasLabel(key) => job.labels.contains_key(key),
            Self::HasParameter(key) => candidate.parameter(key).is_some(),
        }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Like(word, pattern, sense) => write!(f, "{word} {} {pattern}", sense.sign()),
            Self::Sorted(word, how, text) => write!(f, "{word} {} {}", how.sign(), quote(text)),
            Self::Count(number, how, count) => write!(f, "{number} {} {count}", how.sign()),
            Self::At(moment, how, at) => write!(f, "{moment} {} \"{at}\"", how.sign()),
            Self::Came(moment) => write!(f, "{moment}:*"),
            Self::State(state, sense) => write!(f, "state {} {}", sense.sign(), name(&STATES, *state)),
            Self::Lane(lane, sense) => write!(f, "lane {} {}", sense.sign(), name(&LANES, *lane)),
            Self::HasLabel(key) => write!(f, "labels:{}", quote(key)),
            Self::HasParameter(key) => write!(f, "parameters:{}", quote(key)),
        }
    }
}

/// A parameter as a filter compares it: a text as it is, a number, `true` or `false` as JSON writes it. Others are not set.
fn text_of(parameter: &Value) -> Option<Cow<'_, str>> {
    match parameter {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn choice<T: Copy>(known: &[(&str, T)], prefix: &str, text: &str) -> Result<T, Refused> {
    let short = text.strip_prefix(prefix).unwrap_or(text);
    known.iter().find(|(name, _)| *name == short).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        (ProblemAt::Value, format!("expected one of {}", names.join(", ")))
    })
}

fn name<T: PartialEq>(known: &[(&'static str, T)], value: T) -> &'static str {
    known.iter().find(|(_, of)| *of == value).map_or("", |(name, _)| name)
}
