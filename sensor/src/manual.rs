//! Man pages and shell completions, made from the command line that the program reads. In comes a folder, out go files that
//! the package installs; nothing here runs on a sensor.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Writes a page for each command, and completions for bash, zsh and fish.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "vesper", folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_completions() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let completions = [text("vesper.bash"), text("_vesper"), text("vesper.fish")];
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(text("vesper.1").contains(&format!("vesper\\-{name}(1)")), "{name} in vesper(1)");
            assert!(text(&format!("vesper-{name}.1")).starts_with(".ie"), "page of {name}");
            assert!(completions.iter().all(|text| text.contains(name)), "completions of {name}");
        }
        assert!(!folder.path().join("vesper-manual.1").exists());
        assert!(!text("vesper.1").contains("manual"));
    }
}
