//! `docs/logs.md` lists every event above debug, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::{read, root};

/// Folders whose sources are not those of programs.
const NOT_PROGRAMS: [&str; 2] = ["layers", "fuzz"];
const LEVELS: [&str; 3] = ["error", "warn", "info"];

/// An event as both the sources and the page have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    part: String,
    level: String,
    message: String,
    fields: Vec<String>,
}

#[test]
fn the_page_lists_every_event_above_debug_and_no_other() -> anyhow::Result<()> {
    let (page, sources) = (listed(&read("docs/logs.md")?), written()?);
    ensure!(sources.len() > 120, "the test no longer finds the events: {}", sources.len());
    let missing: Vec<_> = sources.difference(&page).collect();
    ensure!(missing.is_empty(), "docs/logs.md does not list these: {missing:#?}");
    let gone: Vec<_> = page.difference(&sources).collect();
    ensure!(gone.is_empty(), "docs/logs.md lists these, which are not written: {gone:#?}");
    Ok(())
}

#[test]
fn every_event_of_the_page_says_what_to_do() -> anyhow::Result<()> {
    for row in rows(&read("docs/logs.md")?) {
        let (level, advice) = (row.1[0].as_str(), row.1[3].as_str());
        ensure!(advice.len() > 4 && advice.ends_with(['.', '`']), "{row:?} does not say what it means");
        let is_state = advice.starts_with("State") || advice.starts_with("Target");
        ensure!(
            is_state == (level == "info"),
            "{row:?}: what is at level {level} says what to do, or that it is state"
        );
    }
    Ok(())
}

/// The rows of the tables of events, each with the part whose heading is above.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let (mut part, mut rows) = (String::new(), Vec::new());
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            part = heading.to_owned();
        }
        let cells: Vec<String> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        if cells.len() == 4 && LEVELS.contains(&&*cells[0]) {
            rows.push((part.clone(), cells));
        }
    }
    rows
}

fn listed(page: &str) -> BTreeSet<Event> {
    let event = |(part, cells): (String, Vec<String>)| Event {
        part,
        level: cells[0].clone(),
        message: cells[1].clone(),
        fields: cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect(),
    };
    rows(page).into_iter().map(event).collect()
}

/// The events of all programs' sources.
fn written() -> anyhow::Result<BTreeSet<Event>> {
    let mut events = BTreeSet::new();
    of_part("bridge", &root().join("bridge/src"), &mut events)?;
    for crate_ in std::fs::read_dir(root().join("crates"))? {
        let crate_ = crate_?;
        let part = crate_.file_name().to_string_lossy().into_owned();
        let sources = crate_.path().join("src");
        if !NOT_PROGRAMS.contains(&&*part) && sources.is_dir() {
            of_part(&part, &sources, &mut events)?;
        }
    }
    Ok(events)
}

fn of_part(part: &str, folder: &Path, events: &mut BTreeSet<Event>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name().to_string_lossy().into_owned())
        };
        if path.is_dir() {
            if name != "tests" {
                of_part(part, &path, events)?;
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let source = std::fs::read_to_string(&path)?;
            // Tests are at the end.
            let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            of_source(part, source, events).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

fn of_source(part: &str, source: &str, events: &mut BTreeSet<Event>) -> anyhow::Result<()> {
    for level in LEVELS {
        for rest in source.split(&format!("tracing::{level}!(")).skip(1) {
            let arguments = arguments(rest);
            let message = arguments.iter().position(|one| one.starts_with('"'));
            let message = message.with_context(|| format!("{level}!({arguments:?} has no message of its own"))?;
            ensure!(
                message + 1 == arguments.len(),
                "{level}!({arguments:?}: what a message says of values belongs into fields"
            );
            let fields = arguments[..message].iter().filter(|one| !one.starts_with("target:"));
            events.insert(Event {
                part: part.to_owned(),
                level: level.to_owned(),
                message: arguments[message].trim_matches('"').replace("\\\"", "\""),
                fields: fields.map(|one| field(one)).collect(),
            });
        }
    }
    Ok(())
}

/// The name of a field: `%error`, `job = %id`, `self.drawing`.
fn field(argument: &str) -> String {
    let (name, _) = argument.split_once('=').unwrap_or((argument, ""));
    let name = name.trim().trim_start_matches(['%', '?']);
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

/// The arguments of a macro, from behind its first parenthesis.
fn arguments(source: &str) -> Vec<String> {
    let (mut arguments, mut one) = (Vec::new(), String::new());
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for letter in source.chars() {
        if quoted {
            one.push(letter);
            quoted = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            ')' if depth == 0 => break,
            ',' if depth == 0 => arguments.push(std::mem::take(&mut one)),
            _ => {
                quoted = letter == '"';
                depth += i32::from(matches!(letter, '(' | '[' | '{')) - i32::from(matches!(letter, ')' | ']' | '}'));
                one.push(letter);
            }
        }
    }
    arguments.push(one);
    arguments.iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

#[test]
fn the_scan_reads_what_macros_may_look_like() -> anyhow::Result<()> {
    let source = r#"tracing::warn!(%error, job = %job.id(1, 2), self.drawing, "a (\"b\"), c");"#;
    let mut events = BTreeSet::new();
    of_source("part", source, &mut events)?;
    let event = events.pop_first().context("one event")?;
    ensure!(event.fields == ["error", "job", "drawing"] && event.message == "a (\"b\"), c", "{event:?}");
    ensure!(of_source("part", r#"tracing::info!("{} of", many)"#, &mut events).is_err(), "values belong into fields");
    Ok(())
}
