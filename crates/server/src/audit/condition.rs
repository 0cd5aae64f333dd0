//! Filters of audit events (AIP-160), in the words of filters of jobs.

use courant_engine::filter::{
    Comparator, Dialect, Filter, InvalidFilter, ProblemAt, Refused, Text, TextTest, instant, parse_as, plain,
};

use super::event::AuditEvent;

const FIELDS: &str = "time, action, actor, roles, code, job_id, target, method, source, address, client_address, bridge, \
    server, request_id";
/// Lines are in the order of their numbers; what bridges report may be older than its neighbours by so much.
const LATE_MS: i64 = 3_600_000;

/// A filter of audit events that was understood.
#[derive(Debug, Default)]
pub struct AuditFilter(Option<Filter<Condition>>);

/// A text of an event, if it is set.
type TextOf = fn(&AuditEvent) -> Option<&str>;

/// Filters of audit events.
pub enum OfEvents {}

/// A field of an event.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    Time,
    Roles,
    Text(TextOf),
}

/// A condition on one field.
#[derive(Clone, Debug)]
pub enum Condition {
    Text(TextOf, TextTest),
    /// One of the roles is like this.
    Roles(TextTest),
    /// The time in milliseconds since 1970 compares so.
    Time(Comparator, i64),
}

impl Dialect for OfEvents {
    type Field = Field;
    type Condition = Condition;
    const FIELDS: &'static str = FIELDS;

    fn field(name: &str) -> Option<Field> {
        Some(match name {
            "time" => Field::Time,
            "roles" => Field::Roles,
            "action" => Field::Text(|event| Some(&event.action)),
            "actor" => Field::Text(|event| event.actor.as_deref()),
            "code" => Field::Text(|event| Some(&event.code)),
            "job_id" => Field::Text(|event| event.job_id.as_deref()),
            "target" => Field::Text(|event| event.target.as_deref()),
            "method" => Field::Text(|event| event.method.as_deref()),
            "source" => Field::Text(|event| Some(event.source.name())),
            "address" => Field::Text(|event| event.address.as_deref()),
            "client_address" => Field::Text(|event| event.client_address.as_deref()),
            "bridge" => Field::Text(|event| event.bridge.as_deref()),
            "server" => Field::Text(|event| Some(&event.server)),
            "request_id" => Field::Text(|event| event.request_id.as_deref()),
            _ => return None,
        })
    }

    fn condition(field: Field, comparator: Comparator, value: Text) -> Result<Condition, Refused> {
        match field {
            Field::Text(of) => Ok(Condition::Text(of, TextTest::of(comparator, value)?)),
            Field::Roles if comparator == Comparator::Has => {
                Ok(Condition::Roles(TextTest::of(Comparator::Equal, value)?))
            }
            Field::Roles => Err((ProblemAt::Comparator, "roles goes with : only".to_owned())),
            Field::Time => {
                let time = instant(&value.text)?;
                let ms = time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos / 1_000_000));
                Ok(Condition::Time(plain(comparator), ms))
            }
        }
    }
}

impl Condition {
    fn holds(&self, event: &AuditEvent) -> bool {
        match self {
            Self::Text(of, test) => test.holds(of(event)),
            Self::Roles(test) => event.roles.iter().any(|role| test.holds(Some(role))),
            Self::Time(comparator, ms) => comparator.holds(event.time.0.cmp(ms)),
        }
    }
}

impl AuditFilter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        parse_as::<OfEvents>(text).map(Self)
    }

    /// Whether it holds for an event.
    pub fn holds(&self, event: &AuditEvent) -> bool {
        let Some(filter) = &self.0 else { return true };
        filter.evaluate(&|| {}, &|text| mentions(event, text), &|condition| condition.holds(event))
    }

    /// Before this, in milliseconds since 1970, no line can be wanted.
    pub fn not_before(&self) -> Option<i64> {
        let bound = match self.0.as_ref()? {
            Filter::Condition(condition) => since(condition),
            Filter::All(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Filter::Condition(condition) => since(condition),
                    _ => None,
                })
                .max(),
            Filter::Any(_) | Filter::Not(_) | Filter::Search(_) => None,
        };
        bound.map(|ms| ms.saturating_sub(LATE_MS))
    }
}

fn since(condition: &Condition) -> Option<i64> {
    match condition {
        Condition::Time(Comparator::Greater | Comparator::AtLeast | Comparator::Equal, ms) => Some(*ms),
        _ => None,
    }
}

/// Whether a text in lower case is in one of its texts.
fn mentions(event: &AuditEvent, text: &str) -> bool {
    let AuditEvent { action, code, actor, job_id, target, method, address, client_address, bridge, request_id, .. } =
        event;
    let optional = [actor, job_id, target, method, address, client_address, bridge, request_id];
    optional.into_iter().flatten().chain([action, code]).any(|of| of.to_lowercase().contains(text))
}

#[cfg(test)]
mod tests {
    use courant_joblog::ids::Timestamp;

    use super::super::event::Source;
    use super::*;

    #[test]
    fn events_are_filtered_in_the_words_of_jobs() {
        let event = AuditEvent {
            time: Timestamp(1_767_268_800_500), // 2026-01-01T12:00:00.5Z
            actor: Some("alice".into()),
            roles: vec!["admin".into()],
            job_id: Some("J1".into()),
            ..AuditEvent::now(Source::Grpc, "job.cancel")
        };
        let holds = |text: &str| AuditFilter::parse(text).unwrap().holds(&event);
        for text in [
            "",
            "actor = alice AND action = \"job.*\"",
            "roles:admin source = grpc",
            "time >= \"2026-01-01T12:00:00Z\" AND time < \"2026-01-01T13:00:00Z\"",
            "CANCEL",
            "job_id:* AND NOT target:*",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in ["actor = bob", "roles:worker", "time > \"2026-01-02T00:00:00Z\"", "code != OK", "nobody"] {
            assert!(!holds(text), "{text}");
        }
        let refused = AuditFilter::parse("owner = alice").unwrap_err();
        assert!(refused.problem.contains("client_address"), "{refused:?}");
        let recent = AuditFilter::parse("actor = a AND time > \"2026-01-01T12:00:00.500Z\"").unwrap();
        assert_eq!(recent.not_before(), Some(1_767_268_800_500 - LATE_MS));
    }
}
