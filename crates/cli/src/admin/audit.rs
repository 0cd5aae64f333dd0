//! `courant admin audit`.

use std::process::ExitCode;
use std::time::SystemTime;

use courant_proto::v1::{AuditEvent, ListAuditEventsRequest};
use serde_json::{Map, Value};

use crate::args::Audit;
use crate::connect::connect_admin;
use crate::failure::Failure;
use crate::out;

/// The largest page the service gives.
const PAGE: usize = 1000;

/// Prints events, newest first.
pub async fn run(args: Audit) -> Result<ExitCode, Failure> {
    let mut admin = connect_admin(&args.connection).await?;
    let filter = filter(&args, SystemTime::now());
    let wanted = if args.limit == 0 { usize::MAX } else { args.limit };
    let (mut shown, mut page_token, mut header_due) = (0, String::new(), !args.json);
    while shown < wanted {
        let page_size = i32::try_from((wanted - shown).min(PAGE)).unwrap_or(i32::MAX);
        let request = ListAuditEventsRequest { filter: filter.clone(), page_size, page_token };
        let answer = admin.list_audit_events(request).await?.into_inner();
        if std::mem::take(&mut header_due) {
            out::line(format_args!(
                "{:<24}  {:<16}  {:<18}  {:<17}  {:<26}  FROM",
                "TIME", "USER", "ACTION", "RESULT", "WHAT"
            ))?;
        }
        for event in &answer.events {
            out::line(if args.json { Value::Object(json(event)).to_string() } else { row(event) })?;
        }
        shown += answer.events.len();
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn filter(args: &Audit, now: SystemTime) -> String {
    let since = args.since.map(|since| now.checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH));
    let since = since.map(|since| format!("time >= {}", quoted(&prost_types::Timestamp::from(since).to_string())));
    let actor = args.actor.as_ref().map(|actor| format!("actor = {}", quoted(actor)));
    let job = args.job.as_ref().map(|job| format!("job_id = {}", quoted(job)));
    let own = args.filter.as_ref().filter(|filter| !filter.trim().is_empty()).map(|filter| format!("({filter})"));
    let parts: Vec<String> = [since, actor, job, own].into_iter().flatten().collect();
    parts.join(" AND ")
}

/// A text as a filter has it; what would mean more than itself is escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('*', "\\*"))
}

/// One event: a line of the table.
fn row(event: &AuditEvent) -> String {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let or = |text: &str| if text.is_empty() { "-".to_owned() } else { plain(text) };
    let what = if event.job_id.is_empty() { &event.target } else { &event.job_id };
    let what = if event.count > 1 { format!("{} (×{})", or(what), event.count) } else { or(what) };
    let from = if event.client_address.is_empty() { &event.address } else { &event.client_address };
    format!(
        "{:<24}  {:<16}  {:<18}  {:<17}  {what:<26}  {} ({})",
        time(event),
        or(&event.actor),
        or(&event.action),
        or(&event.code),
        or(from),
        or(&event.source),
    )
}

fn time(event: &AuditEvent) -> String {
    let time = event.time.and_then(|time| SystemTime::try_from(time).ok()).unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(time).to_string()
}

/// The event as a line of the file has it: what is not known is left out.
fn json(event: &AuditEvent) -> Map<String, Value> {
    let AuditEvent { number, server, action, actor, roles, code, job_id, target, method, source, address, .. } = event;
    let mut fields = Map::new();
    fields.insert("number".into(), (*number).into());
    fields.insert("time".into(), time(event).into());
    let texts = [
        ("server", server),
        ("source", source),
        ("action", action),
        ("code", code),
        ("actor", actor),
        ("job_id", job_id),
        ("target", target),
        ("method", method),
        ("address", address),
        ("client_address", &event.client_address),
        ("bridge", &event.bridge),
        ("request_id", &event.request_id),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        fields.insert(name.into(), text.as_str().into());
    }
    if !roles.is_empty() {
        fields.insert("roles".into(), roles.clone().into());
    }
    if event.count > 1 {
        fields.insert("count".into(), event.count.into());
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        audit: Audit,
    }

    #[test]
    fn flags_are_one_filter_and_mean_no_more_than_they_say() {
        let given = ["test", "--actor", "a\"b*", "--since", "1h", "--filter", "code != OK OR x"];
        let filter = filter(&Flags::parse_from(given).audit, SystemTime::UNIX_EPOCH + Duration::from_secs(7200));
        assert_eq!(filter, r#"time >= "1970-01-01T01:00:00Z" AND actor = "a\"b\*" AND (code != OK OR x)"#);
    }

    #[test]
    fn a_line_is_plain_and_json_leaves_out_what_is_not_known() {
        let event = AuditEvent {
            action: "job.cancel".into(),
            actor: "al\u{1b}ice".into(),
            code: "OK".into(),
            count: 3,
            ..AuditEvent::default()
        };
        let line = row(&event);
        assert!(line.contains("alice") && line.contains("(×3)") && !line.contains('\u{1b}'), "{line}");
        let json = Value::Object(json(&event));
        assert_eq!((json["count"].as_i64(), json.get("job_id")), (Some(3), None));
    }
}
