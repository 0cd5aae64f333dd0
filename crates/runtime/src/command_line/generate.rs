//! Manual pages and shell completions, made from the flags of a program.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

/// Shells, and the folder of each.
const SHELLS: [(Shell, &str); 3] = [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")];

/// Writes `man/*.1`, one for each command that is shown, and `bash`, `zsh` and `fish` with a completion each.
pub fn write(mut command: Command, into: &Path) -> io::Result<()> {
    let man = into.join("man");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(command.clone().disable_help_subcommand(true), &man)?;
    let name = command.get_name().to_owned();
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
        let program = program.subcommand(Command::new("show")).subcommand(Command::new("secret").hide(true));
        write(program, folder.path()).unwrap();
        let mut pages: Vec<_> =
            fs::read_dir(folder.path().join("man")).unwrap().map(|file| file.unwrap().file_name()).collect();
        pages.sort();
        assert_eq!(pages, ["example-show.1", "example.1"]);
        for completion in ["bash/example.bash", "zsh/_example", "fish/example.fish"] {
            let text = fs::read_to_string(folder.path().join(completion)).unwrap();
            assert!(text.contains("colour"), "{completion}");
        }
    }
}
