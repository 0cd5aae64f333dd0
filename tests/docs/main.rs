//! What the documents say is checked against what is there.

mod logs;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use courant_tests::scaling;
use courant_tests::torture::verify::Rule;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root().join(name)).with_context(|| name.to_owned())
}

/// The words in backquotes that look like paths of this repository.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let roots = ["crates", "bridge", "python", "tests", "proto", "docs", ".ci"];
    text.split('`').skip(1).step_by(2).filter(move |word| {
        let first = word.split('/').next().unwrap_or_default();
        word.contains('/') && !word.contains(char::is_whitespace) && roots.contains(&first)
    })
}

#[test]
fn every_path_named_for_developers_exists() -> anyhow::Result<()> {
    for (page, least) in [
        ("ARCHITECTURE.md", 30),
        ("docs/decisions.md", 15),
        ("docs/performance.md", 5),
        ("docs/scaling.md", 5),
        ("CONTRIBUTING.md", 3),
    ] {
        let text = read(page)?;
        ensure!(paths(&text).count() >= least, "the test no longer finds the paths of {page}");
        for path in paths(&text) {
            ensure!(root().join(path).exists(), "{page} names {path}, which is not there");
        }
    }
    Ok(())
}

#[test]
fn every_link_and_path_of_the_readme_exists() -> anyhow::Result<()> {
    let text = read("README.md")?;
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = links.filter(|link| !link.starts_with("http") && !link.starts_with('#'));
    for path in local.chain(paths(&text)) {
        ensure!(root().join(path).exists(), "README.md names {path}, which is not there");
    }
    Ok(())
}

#[test]
fn the_tables_of_the_model_are_what_it_computes() -> anyhow::Result<()> {
    let page = read("docs/scaling.md")?;
    for table in [scaling::layouts(), scaling::claims(), scaling::losses()] {
        ensure!(
            page.contains(table.trim()),
            "docs/scaling.md has another table than this one (make scaling):\n{table}"
        );
    }
    Ok(())
}

#[test]
fn no_lock_file_names_a_registry() -> anyhow::Result<()> {
    for name in ["bridge/web/package-lock.json", "tests/package-lock.json"] {
        ensure!(!read(name)?.contains("\"resolved\": \"http"), "{name} names where packages came from");
    }
    Ok(())
}

/// The names of the messages in a oneof of a proto.
fn messages<'a>(proto: &'a str, message: &str) -> Vec<&'a str> {
    let body = proto.split(&format!("message {message} {{")).nth(1).and_then(|rest| rest.split("\n}").next());
    let fields = body.unwrap_or_default().lines().map(str::trim).filter(|line| line.ends_with(';'));
    fields.filter_map(|line| line.split_whitespace().nth(1)).collect()
}

#[test]
fn the_guide_for_workers_names_every_message_and_existing_files() -> anyhow::Result<()> {
    let (guide, proto) = (read("docs/writing-a-worker.md")?, read("proto/courant/v1/worker_service.proto")?);
    let all = [messages(&proto, "WorkRequest"), messages(&proto, "WorkResponse")].concat();
    ensure!(all.len() >= 23, "the test no longer finds the messages: {all:?}");
    for name in all {
        ensure!(guide.contains(&format!("`{name}`")), "docs/writing-a-worker.md does not say what {name} is");
    }
    for path in paths(&guide) {
        ensure!(root().join(path).exists(), "docs/writing-a-worker.md names {path}, which is not there");
    }
    Ok(())
}

/// The words in backquotes that begin so, without that beginning.
fn named<'a>(text: &'a str, begin: &'a str) -> impl Iterator<Item = &'a str> {
    text.split('`').skip(1).step_by(2).filter_map(move |word| word.strip_prefix(begin))
}

#[test]
fn every_guarantee_names_checks_that_exist_and_every_rule_has_its_guarantee() -> anyhow::Result<()> {
    let text = read("docs/guarantees.md")?.replace("```", "");
    let checks: Vec<&str> = paths(&text).filter(|path| path.contains('#')).collect();
    ensure!(checks.len() > 15, "the test no longer finds the checks");
    for path in paths(&text).filter(|path| !path.contains('#')) {
        ensure!(root().join(path).exists(), "docs/guarantees.md names {path}, which is not there");
    }
    for check in checks {
        let (file, name) = check.split_once('#').context("it has one")?;
        ensure!(read(file)?.contains(&format!("fn {name}(")), "docs/guarantees.md names {check}, which is not there");
    }
    let rules: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    for rule in named(&text, "torture: ").filter(|rule| *rule != "…") {
        ensure!(rules.contains(&rule), "docs/guarantees.md names the rule {rule}, which is none");
    }
    for rule in rules {
        ensure!(
            named(&text, "torture: ").any(|named| named == rule),
            "docs/guarantees.md does not name the rule {rule}"
        );
    }
    Ok(())
}
