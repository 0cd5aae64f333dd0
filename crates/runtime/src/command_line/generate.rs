//! Manual pages, shell completions and example configurations, made from the flags of a program.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

use super::{config_example, config_file};

/// Shells, and the folder of each.
const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")];

/// What names of programs begin with; names of configuration files do not.
const FAMILY: &str = "courant-";

/// Writes `man/*.1`, one for each command that is shown, `bash`, `zsh` and `fish` with a completion each, and `config/*.toml`, one
/// for each command that has a configuration file.
pub fn write(mut command: Command, into: &Path) -> io::Result<()> {
    let man = into.join("man");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(command.clone().disable_help_subcommand(true), &man)?;
    let name = command.get_name().to_owned();
    let config = into.join("config");
    fs::create_dir_all(&config)?;
    let of_program = [(&command, name.clone())].into_iter();
    let below = command.get_subcommands().map(|below| (below, format!("{name} {}", below.get_name())));
    for (command, called) in of_program.chain(below).filter(|(command, _)| config_file::has_file(command)) {
        let file = format!("{}.toml", command.get_name().trim_start_matches(FAMILY));
        fs::write(config.join(file), config_example::text(command, &called))?;
    }
    for (shell, folder) in SHELLS {
        let folder = into.join(folder);
        fs::create_dir_all(&folder)?;
        clap_complete::generate_to(shell, &mut command, &name, &folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn commands_that_are_shown_have_a_page_and_shells_their_completion() {
        let folder = tempfile::tempdir().unwrap();
        let program =
            Command::new("example").version("1.2.3").about("Shows things").arg(Arg::new("colour").long("colour"));
        let program = program.arg(Arg::new("config").long("config"));
        let program = program.subcommand(Command::new("show")).subcommand(Command::new("secret").hide(true));
        write(program, folder.path()).unwrap();
        let mut pages: Vec<_> =
            fs::read_dir(folder.path().join("man")).unwrap().map(|file| file.unwrap().file_name()).collect();
        pages.sort();
        assert_eq!(pages, ["example-show.1", "example.1"]);
        assert!(fs::read_to_string(folder.path().join("config/example.toml")).unwrap().starts_with("# Config"));
        for completion in ["bash/example.bash", "zsh/_example", "fish/example.fish"] {
            let text = fs::read_to_string(folder.path().join(completion)).unwrap();
            assert!(text.contains("colour"), "{completion}");
        }
    }
}
