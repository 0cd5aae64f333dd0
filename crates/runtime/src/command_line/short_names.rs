//! Second names of flags that are not free in every program.

use clap::{Arg, Command};

/// The id of the flag `--log-filter`.
const FILTER: &str = "log_filter";
/// What it is called as well, where that name is free: `courant-server --log` names the log of jobs.
const SHORT_FILTER: &str = "log";

/// The command, and those below it, with `--log` for `--log-filter` where nothing else is called so.
pub(super) fn with_short_names(command: Command) -> Command {
    let has = |wanted: &dyn Fn(&Arg) -> bool| command.get_arguments().any(wanted);
    let free = has(&|arg| arg.get_id() == FILTER) && !has(&|arg| arg.get_long() == Some(SHORT_FILTER));
    let command = if free { command.mut_arg(FILTER, |arg| arg.visible_alias(SHORT_FILTER)) } else { command };
    command.mut_subcommands(with_short_names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(command: Command, args: &[&str]) -> Option<String> {
        let filter = Arg::new(FILTER).long("log-filter");
        let command = with_short_names(Command::new("p").subcommand(command.arg(filter)));
        let matches = command.try_get_matches_from(["p", "run"].iter().chain(args)).unwrap();
        matches.subcommand_matches("run").unwrap().get_one::<String>(FILTER).cloned()
    }

    #[test]
    fn the_short_name_is_there_where_it_is_free() {
        assert_eq!(filter(Command::new("run"), &["--log", "warn"]).as_deref(), Some("warn"));
        let taken = || Command::new("run").arg(Arg::new("jobs").long("log"));
        assert_eq!(filter(taken(), &["--log", "nats://n"]), None);
        assert_eq!(filter(taken(), &["--log", "nats://n", "--log-filter", "warn"]).as_deref(), Some("warn"));
    }
}
