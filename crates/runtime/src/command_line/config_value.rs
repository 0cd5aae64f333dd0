//! One value of a configuration file: as the words that would be typed for its flag, judged by the flag's own parser.

use clap::builder::Str;
use clap::{Arg, ArgAction, Command};
use toml::de::DeValue;

/// All long names of a flag.
pub(super) fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default())
}

/// The words for a flag, which the file calls `name`; or what is wrong, with the flag's name.
pub(super) fn typed(arg: &Arg, name: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match value {
            DeValue::Boolean(true) => Ok(vec![format!("--{name}")]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            _ => Err(format!("--{name} must be true or false, without quotes")),
        };
    }
    let texts = match value {
        DeValue::Array(all) if matches!(arg.get_action(), ArgAction::Append) => {
            all.iter().map(|one| scalar(name, one.get_ref())).collect::<Result<Vec<_>, _>>()?
        }
        DeValue::Array(_) => return Err(format!("--{name} takes one value and not a list")),
        one => vec![scalar(name, one)?],
    };
    let words: Vec<String> = texts.iter().map(|text| format!("--{name}={text}")).collect();
    check(arg, name, &texts).map(|()| words)
}

fn scalar(name: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => {
            let value = i128::from_str_radix(number.as_str(), number.radix());
            value.map(|value| value.to_string()).map_err(|error| format!("--{name}: {error}"))
        }
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        DeValue::Datetime(_) => Err(format!("--{name} takes no date; put text between quotes")),
        DeValue::Array(_) | DeValue::Table(_) => Err(format!("--{name} takes texts and numbers")),
    }
}

/// Asks the flag's parser by itself: what flags need of one another is seen when all are there.
fn check(arg: &Arg, name: &str, texts: &[String]) -> Result<(), String> {
    // Names that are made at run time cannot be those of flags: it is called by its id.
    let id = arg.get_id();
    let mut alone = Arg::new(id.clone())
        .long(Str::from(id.clone()))
        .action(arg.get_action().clone())
        .value_parser(arg.get_value_parser().clone());
    if let Some(shown) = arg.get_value_names() {
        alone = alone.value_names(shown.to_vec());
    }
    if let Some(delimiter) = arg.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    let command = Command::new("file").no_binary_name(true).disable_help_flag(true).arg(alone);
    let words = texts.iter().map(|text| format!("--{id}={text}"));
    command.try_get_matches_from(words).map(drop).map_err(|error| {
        let text = error.to_string().replace(&format!("--{id}"), &format!("--{name}"));
        let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
        let told = lines.collect::<Vec<_>>().join(" ");
        told.strip_prefix("error: ").map_or(told.clone(), str::to_owned)
    })
}
