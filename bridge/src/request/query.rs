//! Query parameters and text parts of forms, with one message for each kind of mistake.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use courant_proto::v1;

use super::parameter::{Parameter, words};
use super::parameters;
use crate::api_error::ApiError;
use crate::wire::names;

/// Pairs of a query string, decoded, in order, each with a name that is known here and a value of its kind.
pub fn pairs(uri: &http::Uri, known: &[&[Parameter]]) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = decode(uri)?;
    let mut seen = HashSet::new();
    for (name, value) in &pairs {
        let parameter = find(known, name)?;
        parameter.check(value)?;
        if value.len() > parameters::MOST_IN_QUERY {
            let problem = format!("must have at most {} bytes in an address; send a form", parameters::MOST_IN_QUERY);
            return Err(ApiError::field(name, problem));
        }
        if !seen.insert(parameter.name) && !parameter.kind.may_repeat() {
            return Err(ApiError::field(name, "may be there once"));
        }
    }
    Ok(pairs)
}

/// Pairs of a query string, decoded, in order, whatever they are.
pub fn decode(uri: &http::Uri) -> Result<Vec<(String, String)>, ApiError> {
    axum::extract::Query::try_from_uri(uri)
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|error| ApiError::field("query", error.to_string()))
}

/// The value of one parameter; empty when it is left out.
pub fn only(uri: &http::Uri, known: &[Parameter]) -> Result<String, ApiError> {
    Ok(pairs(uri, &[known])?.pop().map(|(_, value)| value).unwrap_or_default())
}

fn find<'a>(known: &[&'a [Parameter]], name: &str) -> Result<&'a Parameter, ApiError> {
    known.iter().copied().flatten().find(|parameter| parameter.name == name).ok_or_else(|| {
        if name == "password" {
            return ApiError::field("password", "must be a text part of a form: addresses end up in logs");
        }
        let names: Vec<_> = known.iter().copied().flatten().map(|parameter| parameter.name).collect();
        let shown: String = name.chars().take(64).collect();
        ApiError::field(&shown, format!("is not known here; there are {}", names.join(", ")))
    })
}

/// Checks a value by a table. `false` if the table does not have the name.
pub fn check(known: &[Parameter], name: &str, value: &str) -> Result<bool, ApiError> {
    match known.iter().find(|parameter| parameter.name == name) {
        Some(parameter) => parameter.check(value).map(|()| true),
        None => Ok(false),
    }
}

/// Seconds, whole or not.
pub fn seconds(name: &str, value: &str) -> Result<Duration, ApiError> {
    let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| ApiError::field(name, "must be a number of seconds, 0 or more"))
}

/// One more field of a submission. Unknown names are refused: a misspelt one must not get lost.
pub fn submission(header: &mut v1::SubmitJobHeader, name: &str, value: String) -> Result<(), ApiError> {
    find(&[parameters::SUBMIT], name)?.check(&value)?;
    match name {
        "name" => header.filename = value,
        "requestId" => header.request_id = value,
        "documentId" => header.document_id = value,
        "batchId" => header.batch_id = value,
        "kind" => header.kind = value,
        "owner" => header.owner = value,
        "sha256" => header.sha256 = value,
        "parameters" => header.parameters = value,
        "callback" => header.callback = value,
        "lane" => header.set_lane(names::parse_lane(&value).unwrap_or_default()),
        "formats" => header.formats.extend(words(&value).filter_map(names::parse_format).map(i32::from)),
        "label" => add_label(&mut header.labels, &value)?,
        "documentBytes" => header.document_bytes = number(name, &value)?,
        "pages" => header.pages = number(name, &value)?,
        "batchSize" => header.batch_size = number(name, &value)?,
        "cancelWhenUnwatched" => {
            let seconds = number(name, &value)?;
            header.cancel_when_unwatched = Some(prost_types::Duration { seconds, nanos: 0 });
        }
        _ => {}
    }
    Ok(())
}

/// The parameters of a list of jobs.
pub fn listing(uri: &http::Uri) -> Result<v1::ListJobsRequest, ApiError> {
    let mut list = v1::ListJobsRequest::default();
    for (name, value) in pairs(uri, &[parameters::LIST_JOBS])? {
        match name.as_str() {
            "pageSize" => list.page_size = number(&name, &value)?,
            "pageToken" => list.page_token = value,
            "state" => list.states.extend(words(&value).filter_map(names::parse_state).map(i32::from)),
            "owner" => list.owner = value,
            "documentId" => list.document_id = value,
            "batchId" => list.batch_id = value,
            "label" => add_label(&mut list.labels, &value)?,
            "filter" => list.filter = value,
            _ => {}
        }
    }
    Ok(list)
}

/// A number that was checked before; of another size than the field's it is refused all the same.
pub fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, ApiError> {
    value.parse().map_err(|_| ApiError::field(name, "must be a whole number"))
}

fn add_label(labels: &mut HashMap<String, String>, text: &str) -> Result<(), ApiError> {
    let (key, value) = text.split_once(':').ok_or_else(|| ApiError::field("label", "must be key:value"))?;
    labels.insert(key.to_owned(), value.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read_and_mistakes_named() {
        let uri = "/v1/jobs?state=queued,running&state=failed&label=team:law%20firm&pageSize=7".parse().unwrap();
        let list = listing(&uri).unwrap();
        assert_eq!((list.states.len(), list.page_size, list.labels["team"].as_str()), (3, 7, "law firm"));
        for (query, field) in
            [("pageSize=x", "pageSize"), ("state=done", "state"), ("label=x", "label"), ("foo=1", "foo")]
        {
            let uri = format!("/v1/jobs?{query}").parse().unwrap();
            assert_eq!(listing(&uri).unwrap_err().fields[0].0, field);
        }
    }

    /// Names of the arms of the match after this text in this file.
    fn arms(after: &str) -> Vec<&'static str> {
        let source = include_str!("query.rs").split(after).nth(1).unwrap().split("_ =>").next().unwrap();
        source.lines().filter_map(|line| Some(line.trim().strip_prefix('"')?.split_once("\" =>")?.0)).collect()
    }

    #[test]
    fn what_is_documented_is_read() {
        for (function, table) in [("pub fn submission", parameters::SUBMIT), ("pub fn listing", parameters::LIST_JOBS)]
        {
            let (mut documented, mut read): (Vec<_>, _) =
                (table.iter().map(|known| known.name).collect(), arms(function));
            documented.sort_unstable();
            read.sort_unstable();
            assert_eq!(documented, read, "{function}");
        }
    }

    #[test]
    fn what_may_be_there_once_is_refused_twice() {
        let read = |query: &str| listing(&format!("/v1/jobs?{query}").parse().unwrap());
        assert_eq!(read("owner=a&owner=b").unwrap_err().fields[0].0, "owner");
        assert_eq!(read("label=a:1&label=b:2&state=failed&state=queued").unwrap().labels.len(), 2);
    }

    #[test]
    fn submissions_are_read_and_mistakes_named() {
        let mut header = v1::SubmitJobHeader::default();
        for (name, value) in [("lane", "premium"), ("formats", "md, html"), ("label", "a:b:c"), ("requestId", "r")] {
            submission(&mut header, name, value.into()).unwrap();
        }
        assert_eq!((header.lane(), header.formats.len(), header.labels["a"].as_str()), (v1::Lane::Premium, 2, "b:c"));
        for (name, value) in
            [("pages", "12"), ("batchSize", "3"), ("documentBytes", "99"), ("cancelWhenUnwatched", "60")]
        {
            submission(&mut header, name, value.into()).unwrap();
        }
        assert_eq!((header.pages, header.batch_size, header.document_bytes), (12, 3, 99));
        assert_eq!(header.cancel_when_unwatched.map(|time| time.seconds), Some(60));
        assert_eq!(submission(&mut header, "pages", "many".into()).unwrap_err().fields[0].0, "pages");
        assert!(submission(&mut header, "Lane", "normal".into()).is_err());
        assert!(submission(&mut header, "lane", "fast".into()).is_err());
    }
}
