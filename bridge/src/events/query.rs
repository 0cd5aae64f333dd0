//! What a request asks to follow.

use std::time::Duration;

use http::{HeaderMap, Uri};

use crate::api_error::ApiError;
use crate::request::parameter::Parameter;
use crate::request::{parameters, query};
use crate::wire::device::Device;
use crate::wire::{ThrottleTier, TopicName};

/// The header by which a browser says where its event stream was cut.
const LAST_EVENT_ID: &str = "last-event-id";

/// Topics, each from its own place.
#[derive(Debug, Default, PartialEq)]
pub struct EventsQuery {
    /// In the order of the URL, each once.
    pub topics: Vec<TopicQuery>,
    /// How often transient messages come.
    pub tier: ThrottleTier,
    /// The device the client runs on, if it names one.
    pub device: Option<Device>,
}

#[derive(Debug, PartialEq)]
pub struct TopicQuery {
    pub topic: TopicName,
    /// Continue after this cursor.
    pub after: Option<String>,
}

impl EventsQuery {
    /// Of an event stream. `Last-Event-ID` is newer than the URL, which a browser keeps when it connects again. Only a
    /// stream of one topic has ids.
    pub fn of_stream(uri: &Uri, headers: &HeaderMap, most: usize) -> Result<Self, ApiError> {
        let (mut asked_for, _) = Self::read(uri, parameters::EVENTS, most)?;
        if let ([only], Some(last)) = (asked_for.topics.as_mut_slice(), headers.get(LAST_EVENT_ID))
            && !last.is_empty()
        {
            let last = last.to_str().map_err(|_| ApiError::field("Last-Event-ID", "is not a cursor"))?;
            only.after = Some(last.to_owned());
        }
        Ok(asked_for)
    }

    /// Of a poll, and how long it may wait.
    pub fn of_poll(uri: &Uri, longest: Duration, most: usize) -> Result<(Self, Duration), ApiError> {
        let (asked_for, wait) = Self::read(uri, parameters::POLL, most)?;
        let wait = match wait {
            None => longest,
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .map_err(|_| ApiError::field("wait", "must be a number of seconds, 0 or more"))?
                .min(longest),
        };
        Ok((asked_for, wait))
    }

    fn read(uri: &Uri, known: &[Parameter], most: usize) -> Result<(Self, Option<f64>), ApiError> {
        let (mut asked_for, mut wait) = (Self::default(), None);
        let (mut device, mut device_name) = (None, None);
        for (name, value) in query::pairs(uri, &[known])? {
            let number = || ApiError::field(&name, "must be a number");
            match name.as_str() {
                "topic" => asked_for.add(&value, most)?,
                "after" => asked_for.continue_after(value)?,
                "minIntervalMs" => asked_for.tier = ThrottleTier::at_least(value.parse().map_err(|_| number())?),
                "deviceId" => device = Some(value),
                "deviceName" => device_name = Some(value),
                _ => wait = Some(value.parse().map_err(|_| number())?),
            }
        }
        asked_for.device = match (device, device_name) {
            (Some(id), name) => Some(Device { id, name }.check("deviceId", "deviceName")?),
            (None, Some(_)) => return Err(ApiError::field("deviceName", "must come with deviceId")),
            (None, None) => None,
        };
        Ok((asked_for, wait))
    }

    fn add(&mut self, topic: &str, most: usize) -> Result<(), ApiError> {
        let topic: TopicName = topic.parse().map_err(|error| ApiError::field("topic", format!("{error}")))?;
        if self.topics.iter().any(|asked| asked.topic == topic) {
            return Err(ApiError::field("topic", "is there twice"));
        }
        if self.topics.len() == most {
            return Err(ApiError::field(
                "topic",
                format!("may be there {most} times at most (limits.maxSubscriptions)"),
            ));
        }
        self.topics.push(TopicQuery { topic, after: None });
        Ok(())
    }

    fn continue_after(&mut self, cursor: String) -> Result<(), ApiError> {
        let asked = self.topics.last_mut().ok_or_else(|| ApiError::field("after", "must follow its topic"))?;
        asked.after = Some(cursor).filter(|cursor| !cursor.is_empty());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(uri: &str, last: Option<&str>) -> Result<EventsQuery, ApiError> {
        let headers = last.map(|last| (http::HeaderName::from_static(LAST_EVENT_ID), last.parse().unwrap()));
        EventsQuery::of_stream(&uri.parse().unwrap(), &headers.into_iter().collect(), 3)
    }

    fn afters(uri: &str, last: Option<&str>) -> Vec<String> {
        let topics = stream(uri, last).unwrap().topics;
        topics.into_iter().map(|asked| asked.after.unwrap_or_else(|| "-".into())).collect()
    }

    fn wait(uri: &str) -> Result<Duration, ApiError> {
        EventsQuery::of_poll(&uri.parse().unwrap(), Duration::from_secs(25), 3).map(|(_, wait)| wait)
    }

    #[test]
    fn each_topic_has_its_own_place() {
        assert_eq!(afters("/x?topic=job/A&after=old", None), ["old"]);
        assert_eq!(afters("/x?topic=job/A&after=", None), ["-"]);
        assert_eq!(afters("/x?topic=job/A&topic=mine&after=old&topic=batch/B&after=new", None), ["-", "old", "new"]);
        assert!(afters("/x", None).is_empty());
        // The last event is newer than the URL, where there is one topic.
        assert_eq!(afters("/x?topic=mine&after=old", Some("new")), ["new"]);
        assert_eq!(afters("/x?topic=mine&after=old", Some("")), ["old"]);
        assert_eq!(afters("/x?topic=mine&after=old&topic=job/A", Some("new")), ["old", "-"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (query, field) in [
            ("after=x", "after"),
            ("topic=jobs/1", "topic"),
            ("topic=mine&topic=mine", "topic"),
            ("topic=mine&wait=3", "wait"),
            ("topic=mine&minIntervalMs=soon", "minIntervalMs"),
            ("deviceId=a%20b", "deviceId"),
            ("deviceName=Phone", "deviceName"),
            ("deviceId=a&deviceName=b%0Ac", "deviceName"),
        ] {
            assert_eq!(stream(&format!("/v1/events?{query}"), None).unwrap_err().fields[0].0, field, "{query}");
        }
        assert!(stream("/x?topic=job/A&topic=job/B&topic=job/C&topic=job/D", None).is_err());
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
