//! A configuration file to begin with: every key, with what it does and what holds without it, all commented out.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::config_file::keys;

/// The longest line of an explanation.
const WIDTH: usize = 100;

/// Of a command with a file; `called` is how it is typed.
pub(super) fn text(command: &Command, called: &str) -> String {
    let mut out = format!(
        "# Configuration of `{called}`: flags by their long names. Flags that are typed win over variables, and\n\
         # variables over this file. Below is what holds without it; <…> stands for what has no default.\n\
         # What is wrong is said by: {called} --config FILE --check-config\n"
    );
    let mut headings: Vec<&str> = Vec::new();
    keys(command).filter_map(Arg::get_help_heading).for_each(|heading| {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    });
    for heading in headings {
        // Writing to a string does not fail.
        let _ = write!(out, "\n# --- {heading} ---\n");
        for arg in keys(command).filter(|arg| arg.get_help_heading() == Some(heading)) {
            let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
            out.push('\n');
            wrapped(&help).for_each(|line| out.push_str(&format!("# {line}\n")));
            let _ = writeln!(out, "#{} = {}", arg.get_long().unwrap_or_default(), shown(arg));
        }
    }
    out
}

fn wrapped(text: &str) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, String::len);
        match lines.last_mut() {
            Some(last) if line == 0 => last.push_str(word),
            Some(last) if line + 1 + word.len() <= WIDTH => last.extend([" ", word]),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}

/// The default, or what stands for a value.
fn shown(arg: &Arg) -> String {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return "false".to_owned();
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    if defaults.is_empty() {
        let name = arg.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
        let stands = quoted(&format!("<{name}>"));
        return if is_list { format!("[{stands}]") } else { stands };
    }
    let split = |value: &String| -> Vec<String> {
        match arg.get_value_delimiter() {
            Some(delimiter) => value.split(delimiter).map(str::to_owned).collect(),
            None => vec![value.clone()],
        }
    };
    match is_list {
        true => format!("[{}]", defaults.iter().flat_map(split).map(|one| quoted(&one)).collect::<Vec<_>>().join(", ")),
        false => plain(&defaults[0]),
    }
}

/// A number as a number, all else as text.
fn plain(value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value)
        || (value.contains('.') && value.parse::<f64>().is_ok_and(f64::is_finite));
    if is_number { value.to_owned() } else { quoted(value) }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_commented_out_under_its_heading() {
        let arg = |name: &'static str| Arg::new(name).long(name).help("What it does").help_heading("Work");
        let command = Command::new("p")
            .arg(arg("config"))
            .arg(arg("slots").default_value("2"))
            .arg(arg("share").default_value("0.75"))
            .arg(arg("time").default_value("30s"))
            .arg(arg("origin").action(ArgAction::Append).value_name("ORIGIN"))
            .arg(arg("key").hide(true));
        let text = text(&command, "p");
        assert!(text.ends_with(
            "\n# --- Work ---\n\n# What it does\n#slots = 2\n\n# What it does\n#share = 0.75\n\n# What it does\n\
             #time = \"30s\"\n\n# What it does\n#origin = [\"<ORIGIN>\"]\n"
        ));
    }
}
