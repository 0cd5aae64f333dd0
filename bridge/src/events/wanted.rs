//! What a request asks to follow.

use std::time::Duration;

use http::{HeaderMap, Uri};

use crate::fault::Fault;
use crate::http::query;
use crate::wire::{Tier, Topic};

/// The header by which a browser says where its event stream was cut.
const LAST_EVENT_ID: &str = "last-event-id";

/// One topic, and from where.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    /// The topic.
    pub topic: Topic,
    /// Continue after this cursor.
    pub after: Option<String>,
    /// How often transient messages come.
    pub tier: Tier,
}

/// A query's parameters, as far as they are known.
#[derive(Default)]
struct Parameters {
    topic: Option<String>,
    after: Option<String>,
    min_interval_ms: Option<u64>,
    wait: Option<f64>,
}

impl Wanted {
    /// Of an event stream. `Last-Event-ID` is newer than the URL, which a browser keeps when it connects again.
    pub fn of_stream(uri: &Uri, headers: &HeaderMap) -> Result<Self, Fault> {
        let mut parameters = Parameters::read(uri, &["topic", "after", "minIntervalMs"])?;
        if let Some(last) = headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty()) {
            let last = last.to_str().map_err(|_| Fault::field("Last-Event-ID", "is not a cursor"))?;
            parameters.after = Some(last.to_owned());
        }
        parameters.wanted()
    }

    /// Of a poll, and how long it may wait.
    pub fn of_poll(uri: &Uri, longest: Duration) -> Result<(Self, Duration), Fault> {
        let parameters = Parameters::read(uri, &["topic", "after", "minIntervalMs", "wait"])?;
        let wait = match parameters.wait {
            None => longest,
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .map_err(|_| Fault::field("wait", "must be a number of seconds, 0 or more"))?
                .min(longest),
        };
        Ok((parameters.wanted()?, wait))
    }
}

impl Parameters {
    fn read(uri: &Uri, known: &[&str]) -> Result<Self, Fault> {
        let mut all = Self::default();
        for (name, value) in query::pairs(uri)? {
            if !known.contains(&name.as_str()) {
                return Err(query::unknown(&name, &known.join(", ")));
            }
            let number = || Fault::field(&name, "must be a number");
            match name.as_str() {
                "topic" => all.topic = Some(value),
                "after" => all.after = Some(value).filter(|after| !after.is_empty()),
                "minIntervalMs" => all.min_interval_ms = Some(value.parse().map_err(|_| number())?),
                _ => all.wait = Some(value.parse().map_err(|_| number())?),
            }
        }
        Ok(all)
    }

    fn wanted(self) -> Result<Wanted, Fault> {
        let topic =
            self.topic.ok_or_else(|| Fault::field("topic", "is missing: mine, job/ID, document/ID or batch/ID"))?;
        Ok(Wanted {
            topic: topic.parse().map_err(|error| Fault::field("topic", format!("{error}")))?,
            after: self.after,
            tier: self.min_interval_ms.map_or_else(Tier::default, Tier::at_least),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(uri: &str, last: Option<&str>) -> Result<Wanted, Fault> {
        let headers = last.map(|last| (http::HeaderName::from_static(LAST_EVENT_ID), last.parse().unwrap()));
        Wanted::of_stream(&uri.parse().unwrap(), &headers.into_iter().collect())
    }

    fn wait(uri: &str) -> Result<Duration, Fault> {
        Wanted::of_poll(&uri.parse().unwrap(), Duration::from_secs(25)).map(|(_, wait)| wait)
    }

    #[test]
    fn the_last_event_is_newer_than_the_url() {
        let wanted = stream("/v1/events?topic=job/A&after=old", Some("new")).unwrap();
        assert_eq!((wanted.topic, wanted.after.as_deref()), (Topic::Job("A".into()), Some("new")));
        assert_eq!(stream("/v1/events?topic=mine&after=old", Some("")).unwrap().after.as_deref(), Some("old"));
        assert_eq!(stream("/v1/events?topic=mine&after=", None).unwrap().after, None);
    }

    #[test]
    fn mistakes_are_named() {
        for (query, field) in [
            ("after=x", "topic"),
            ("topic=jobs/1", "topic"),
            ("topic=mine&wait=3", "wait"),
            ("topic=mine&minIntervalMs=soon", "minIntervalMs"),
        ] {
            assert_eq!(stream(&format!("/v1/events?{query}"), None).unwrap_err().fields[0].0, field, "{query}");
        }
    }

    #[test]
    fn a_poll_waits_no_longer_than_it_may() {
        assert_eq!(wait("/x?topic=mine").unwrap(), Duration::from_secs(25));
        assert_eq!(wait("/x?topic=mine&wait=0.5").unwrap(), Duration::from_millis(500));
        assert_eq!(wait("/x?topic=mine&wait=1e9").unwrap(), Duration::from_secs(25));
        for bad in ["-1", "NaN", "inf", "1e300", "x", ""] {
            assert_eq!(wait(&format!("/x?topic=mine&wait={bad}")).unwrap_err().fields[0].0, "wait", "{bad}");
        }
    }
}
