//! Help of programs with many flags: `--help` has all of them by subject, `-h` those that a beginning needs.

use clap::{Arg, Command};

use super::config_file::has_file;

/// The subjects that `-h` shows.
const FIRST: [&str; 5] = ["Addresses", "Storage", "Sign-in", "Workers", "Configuration"];
const MORE: &str = "These are the flags to begin with; --help shows all.";
const WHERE_ELSE: &str = "Each flag is also a variable, named in brackets, and a key of the configuration file \
                          (--config FILE). A flag wins over its variable, and a variable over the file.";

/// The command, and those below it, with a short help where they have a configuration file.
pub(super) fn with_short_help(command: Command) -> Command {
    let command = if has_file(&command) { shortened(command) } else { command };
    command.mut_subcommands(with_short_help)
}

fn shortened(command: Command) -> Command {
    let is_first = |arg: &Arg| arg.get_help_heading().is_some_and(|heading| FIRST.contains(&heading));
    let command = command.mut_args(|arg| match is_first(&arg) || arg.is_positional() {
        true => arg,
        false => arg.hide_short_help(true),
    });
    command.after_help(MORE).after_long_help(WHERE_ELSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_help_has_what_a_beginning_needs() {
        let arg = |name: &'static str, heading: &'static str| Arg::new(name).long(name).help_heading(heading);
        let program = Command::new("p").arg(arg("config", "Configuration")).arg(arg("listen", "Addresses"));
        let mut program = with_short_help(program.arg(arg("most", "Limits")));
        let (short, long) = (program.render_help().to_string(), program.render_long_help().to_string());
        assert!(short.contains("--listen") && !short.contains("--most") && short.contains(MORE), "{short}");
        assert!(long.contains("--most") && long.contains("Limits:") && long.contains("variable"), "{long}");
    }
}
