//! Query parameters and text parts of forms, with one message for each kind of mistake.

use std::collections::HashMap;

use courant_proto::v1;

use crate::api_error::ApiError;
use crate::wire::names;

/// Pairs of a query string, decoded, in order.
pub fn pairs(uri: &http::Uri) -> Result<Vec<(String, String)>, ApiError> {
    axum::extract::Query::try_from_uri(uri)
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|error| ApiError::field("query", error.to_string()))
}

/// The fields of a submission that stand in a query or a text part, as [`submission`] reads them.
pub const SUBMIT_FIELDS: [&str; 15] = [
    "name",
    "requestId",
    "documentId",
    "documentBytes",
    "pages",
    "batchId",
    "batchSize",
    "kind",
    "owner",
    "sha256",
    "lane",
    "formats",
    "label",
    "parameters",
    "cancelWhenUnwatched",
];

/// One more field of a submission. Unknown names are refused: a misspelt one must not get lost.
pub fn submission(header: &mut v1::SubmitJobHeader, name: &str, value: String) -> Result<(), ApiError> {
    match name {
        "name" => header.filename = value,
        "requestId" => header.request_id = value,
        "documentId" => header.document_id = value,
        "batchId" => header.batch_id = value,
        "kind" => header.kind = value,
        "owner" => header.owner = value,
        "sha256" => header.sha256 = value,
        "parameters" => header.parameters = value,
        "lane" => {
            let lane =
                names::parse_lane(&value).ok_or_else(|| ApiError::field("lane", "must be premium, normal or large"))?;
            header.set_lane(lane);
        }
        "formats" => header.formats = formats(&value)?,
        "label" => add_label(&mut header.labels, &value)?,
        "documentBytes" => header.document_bytes = number("documentBytes", &value)?,
        "pages" => header.pages = number("pages", &value)?,
        "batchSize" => header.batch_size = number("batchSize", &value)?,
        "cancelWhenUnwatched" => {
            let seconds = number("cancelWhenUnwatched", &value)?;
            header.cancel_when_unwatched = Some(prost_types::Duration { seconds, nanos: 0 });
        }
        "password" => {
            return Err(ApiError::field("password", "must be a text part of a form: addresses end up in logs"));
        }
        _ => return Err(unknown(name, &SUBMIT_FIELDS.join(", "))),
    }
    Ok(())
}

pub fn listing(pairs: Vec<(String, String)>) -> Result<v1::ListJobsRequest, ApiError> {
    let mut list = v1::ListJobsRequest::default();
    for (name, value) in pairs {
        match name.as_str() {
            "pageSize" => {
                list.page_size =
                    value.parse().map_err(|_| ApiError::field("pageSize", "must be a number from 1 to 1000"))?;
            }
            "pageToken" => list.page_token = value,
            "state" => list.states.extend(states(&value)?),
            "owner" => list.owner = value,
            "documentId" => list.document_id = value,
            "batchId" => list.batch_id = value,
            "label" => add_label(&mut list.labels, &value)?,
            "filter" => list.filter = value,
            _ => return Err(unknown(&name, "pageSize, pageToken, state, owner, documentId, batchId, label, filter")),
        }
    }
    Ok(list)
}

/// A parameter that is not known.
pub fn unknown(name: &str, known: &str) -> ApiError {
    let shown: String = name.chars().take(64).collect();
    ApiError::field(&shown, format!("is not known here; there are {known}"))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, ApiError> {
    value.parse().map_err(|_| ApiError::field(name, "must be a whole number"))
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn formats(list: &str) -> Result<Vec<i32>, ApiError> {
    let format = |word| names::parse_format(word).map(i32::from);
    words(list)
        .map(|word| format(word).ok_or_else(|| ApiError::field("formats", "must be of json, md, txt, html")))
        .collect()
}

fn states(list: &str) -> Result<Vec<i32>, ApiError> {
    let state = |word| names::parse_state(word).map(i32::from);
    let expected = "must be of queued, running, cancelling, succeeded, failed, cancelled";
    words(list).map(|word| state(word).ok_or_else(|| ApiError::field("state", expected))).collect()
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
        let list = listing(pairs(&uri).unwrap()).unwrap();
        assert_eq!((list.states.len(), list.page_size, list.labels["team"].as_str()), (3, 7, "law firm"));
        for (query, field) in
            [("pageSize=x", "pageSize"), ("state=done", "state"), ("label=x", "label"), ("foo=1", "foo")]
        {
            let uri = format!("/v1/jobs?{query}").parse().unwrap();
            assert_eq!(listing(pairs(&uri).unwrap()).unwrap_err().fields[0].0, field);
        }
    }

    #[test]
    fn the_fields_of_a_submission_are_those_that_are_read() {
        for name in SUBMIT_FIELDS {
            let value = ["1", "json", "large", "a:b"].into_iter();
            let read = value.map(|value| submission(&mut v1::SubmitJobHeader::default(), name, value.into()));
            assert!(read.into_iter().any(|read| read.is_ok()), "{name} is listed and not read");
        }
        let arms = include_str!("query.rs").split("match name {").nth(1).unwrap().split("_ =>").next().unwrap();
        let read = arms.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
        let read: Vec<_> = read.map(|(name, _)| name).filter(|name| *name != "password").collect();
        assert_eq!(read.len(), SUBMIT_FIELDS.len(), "{read:?}");
        assert!(read.iter().all(|name| SUBMIT_FIELDS.contains(name)), "{read:?}");
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
