//! The configuration file of a program: its flags by their long names, in TOML.
//!
//! What the file says becomes flags in front of those that were typed, so all that holds for flags holds for it: what they refuse,
//! need and exclude. A key is left out where its flag was typed or its variable is set. All keys are judged before anything is refused,
//! each with its line.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::config_value::{self, typed};

/// The id and the long name of the flag that names the file. Commands without it have no file.
pub(super) const CONFIG: &str = "config";
/// Flags that only make sense when they are typed.
const TYPED_ONLY: [&str; 4] = [CONFIG, "check-config", "help", "version"];
/// A larger file is none that a person wrote.
const MAX_BYTES: u64 = 1 << 20;

/// The arguments with what the file says put in, or what is wrong with the file. `args` begins with the program's name.
pub(super) fn with_file(command: &Command, args: Vec<OsString>) -> Result<Vec<OsString>, Vec<String>> {
    let Some((command, at)) = configured(command, &args) else { return Ok(args) };
    let typed_flags = typed_names(&args[at..]);
    if ["help", "version"].iter().any(|name| typed_flags.contains(*name)) {
        return Ok(args);
    }
    let Some(file) = file(command, &args[at..]) else { return Ok(args) };
    let text = read(&file).map_err(|problem| vec![format!("--{CONFIG} {}: {problem}", file.display())])?;
    let settings = Settings { command, file: &file, text: &text };
    let mut with_file = args[..at].to_vec();
    for (arg, values) in settings.judged()? {
        let typed = config_value::names(arg).any(|name| typed_flags.contains(name));
        let has_variable = arg.get_env().is_some_and(|name| std::env::var_os(name).is_some());
        if !typed && !has_variable {
            with_file.extend(values.into_iter().map(OsString::from));
        }
    }
    with_file.extend_from_slice(&args[at..]);
    Ok(with_file)
}

/// The flags of a command that a file may have, as they are shown.
pub(super) fn keys(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_key = |arg: &&Arg| arg.get_long().is_some_and(|long| !TYPED_ONLY.contains(&long)) && !arg.is_hide_set();
    command.get_arguments().filter(is_key)
}

/// Whether a command has a file.
pub(super) fn has_file(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == CONFIG)
}

/// The command that is called, if it has a file, and where its flags begin.
fn configured<'a>(command: &'a Command, args: &[OsString]) -> Option<(&'a Command, usize)> {
    let below = args.get(1).and_then(|name| command.find_subcommand(name));
    let (called, at) = below.map_or((command, 1), |below| (below, 2));
    has_file(called).then_some((called, at.min(args.len())))
}

/// Long names of flags that were typed, also those that are unknown.
fn typed_names(args: &[OsString]) -> HashSet<&str> {
    let words = args.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let long =
        words.clone().filter_map(|word| word.strip_prefix("--")).map(|word| word.split('=').next().unwrap_or(word));
    let short = words.filter_map(|word| match word {
        "-h" => Some("help"),
        "-V" => Some("version"),
        _ => None,
    });
    long.chain(short).collect()
}

/// The file that is named; an empty name is none.
fn file(command: &Command, args: &[OsString]) -> Option<PathBuf> {
    let flag = format!("--{CONFIG}");
    let mut words = args.iter().take_while(|word| *word != "--");
    let mut typed = None;
    while let Some(word) = words.next() {
        if *word == *flag {
            typed = words.next().cloned();
        } else if let Some(rest) = word.to_str().and_then(|word| word.strip_prefix(&flag)?.strip_prefix('=')) {
            typed = Some(rest.into());
        }
    }
    let variable = || command.get_arguments().find(|arg| arg.get_id() == CONFIG)?.get_env().and_then(std::env::var_os);
    typed.or_else(variable).filter(|name| !name.is_empty()).map(PathBuf::from)
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let opened = File::open(file).map_err(|error| format!("cannot be read: {error}"))?;
    opened.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("has more than {MAX_BYTES} bytes"));
    }
    Ok(text)
}

/// A file that was read, for a command.
struct Settings<'a> {
    command: &'a Command,
    file: &'a Path,
    text: &'a str,
}

impl<'a> Settings<'a> {
    /// The flags that it sets, each with the words that would be typed for it.
    fn judged(&self) -> Result<Vec<(&'a Arg, Vec<String>)>, Vec<String>> {
        let (table, broken) = DeTable::parse_recoverable(self.text);
        if !broken.is_empty() {
            let told = broken.iter().map(|error| {
                self.problem(error.span().map_or(0, |span| span.start), &format!("is not TOML: {}", error.message()))
            });
            return Err(told.collect());
        }
        let (mut set, mut problems) = (Vec::new(), Vec::new());
        for (key, value) in table.get_ref() {
            match self.judge(key, value.get_ref()) {
                Ok((arg, _)) if set.iter().any(|(other, _): &(&Arg, _)| other.get_id() == arg.get_id()) => {
                    problems
                        .push((key.span().start, format!("--{key} is set by two of its names", key = key.get_ref())));
                }
                Ok(judged) => set.push(judged),
                Err(problem) => problems.push((key.span().start, problem)),
            }
        }
        problems.sort();
        match problems.is_empty() {
            true => Ok(set),
            false => Err(problems.iter().map(|(at, problem)| self.problem(*at, problem)).collect()),
        }
    }

    fn judge(&self, key: &Spanned<impl AsRef<str>>, value: &DeValue<'_>) -> Result<(&'a Arg, Vec<String>), String> {
        let name = key.get_ref().as_ref();
        if TYPED_ONLY.contains(&name) {
            return Err(format!("--{name} cannot be set in the file; type it"));
        }
        let known = |wanted: &str| {
            self.command.get_arguments().find(|arg| config_value::names(arg).any(|of_arg| of_arg == wanted))
        };
        if let Some(arg) = known(name) {
            return Ok((arg, typed(arg, name, value)?));
        }
        let with_dashes = name.replace('_', "-");
        Err(match (value, known(&with_dashes)) {
            (_, Some(_)) => format!("there is no --{name}; write {with_dashes}"),
            (DeValue::Table(_), None) => format!("there is no --{name}; keys are flags, and stand in no table"),
            (_, None) => format!("there is no flag --{name}; --help lists all"),
        })
    }

    /// What is wrong, with its line.
    fn problem(&self, at: usize, problem: &str) -> String {
        let line = 1 + self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count();
        format!("{}:{line}: {problem}", self.file.display())
    }
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, value_parser};

    use super::*;

    fn command() -> Command {
        let arg = |name: &'static str| Arg::new(name).long(name);
        Command::new("program")
            .arg(arg("config"))
            .arg(arg("slots").visible_alias("places").value_parser(value_parser!(u32).range(1..=9)))
            .arg(arg("share").value_parser(value_parser!(f64)))
            .arg(arg("origin").action(ArgAction::Append))
            .arg(arg("strict").action(ArgAction::SetTrue))
            .arg(arg("server-name").env("COURANT_TEST_OF_FILES_NAME"))
            .subcommand(Command::new("other"))
    }

    fn given(text: &str, typed: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.toml");
        std::fs::write(&file, text).unwrap();
        let named = [OsString::from("program"), format!("--config={}", file.display()).into()];
        let args: Vec<_> = named.into_iter().chain(typed.iter().map(OsString::from)).collect();
        let done = with_file(&command(), args);
        let plain = |all: Vec<String>| -> Vec<String> {
            all.into_iter().map(|line| line.replace(&format!("{}:", file.display()), "")).collect()
        };
        let texts = |all: Vec<OsString>| -> Vec<String> {
            let texts = all.into_iter().map(|word| word.into_string().unwrap());
            texts.filter(|word| word != "program" && !word.starts_with("--config")).collect()
        };
        done.map(texts).map_err(plain)
    }

    #[test]
    fn keys_become_flags_in_front_of_those_that_are_typed() {
        let file = "slots = 3\nshare = 0.5\norigin = [\"a\", \"b\"]\nstrict = true\n";
        let found = given(file, &["--server-name", "x"]).unwrap();
        assert_eq!(found, ["--origin=a", "--origin=b", "--share=0.5", "--slots=3", "--strict", "--server-name", "x"]);
        assert_eq!(given("strict = false", &[]).unwrap(), Vec::<String>::new());
        assert_eq!(given("origin = \"a\"", &[]).unwrap(), ["--origin=a"]);
    }

    #[test]
    fn what_is_typed_wins_also_by_another_name() {
        assert_eq!(
            given("slots = 3\norigin = [\"a\"]", &["--places=4", "--origin", "b"]).unwrap(),
            ["--places=4", "--origin", "b"]
        );
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_line() {
        let file = "slots = 10\nsloths = 1\nserver_name = \"x\"\n\nstrict = \"yes\"\nconfig = \"a\"\nshare = [0.5]\n";
        let found = given(file, &[]).unwrap_err();
        let begins =
            ["1: invalid value '10' for '--slots", "2: there is no flag --sloths", "3: there is no --server_name"];
        for (at, begin) in begins.iter().enumerate() {
            assert!(found[at].starts_with(begin), "{found:#?}");
        }
        assert!(found[2].ends_with("write server-name") && found[3].starts_with("5: --strict must be true or false"));
        assert!(
            found[4].starts_with("6: --config cannot be set") && found[5].starts_with("7: --share takes one value")
        );
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn what_is_no_toml_and_what_is_in_tables_is_refused() {
        assert!(given("slots = \n", &[]).unwrap_err()[0].starts_with("1: is not TOML"));
        assert!(given("slots = 1\nslots = 2\n", &[]).unwrap_err()[0].contains("is not TOML: duplicate key"));
        assert!(given("[work]\nslots = 1\n", &[]).unwrap_err()[0].contains("stand in no table"));
        assert!(given("slots = 1979-05-27\n", &[]).unwrap_err()[0].contains("quotes"));
        assert!(given("slots = 1\nplaces = 2\n", &[]).unwrap_err()[0].contains("two of its names"));
    }

    #[test]
    fn help_and_commands_without_a_file_do_not_read_it() {
        let run = |words: &[&str]| with_file(&command(), words.iter().map(OsString::from).collect());
        assert!(
            run(&["program", "--config", "/no/such/file"]).unwrap_err()[0].contains("--config /no/such/file: cannot")
        );
        for quiet in
            [["program", "--help", "--config", "/no/such/file"], ["program", "other", "--config", "/no/such/file"]]
        {
            assert!(run(&quiet).is_ok(), "{quiet:?}");
        }
        assert_eq!(run(&["program", "--", "--config"]).unwrap().len(), 3);
    }
}
