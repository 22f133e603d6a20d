//! Help texts, from the tables.
use std::fmt::Write as _;

use super::args::Flag;
use super::table::{COMMANDS, Command, GLOBAL};

/// `krun --help`
pub fn overview() -> String {
    let mut text = String::from(
        "krun starts OCI containers\n\n\
         Usage: krun [GLOBAL FLAGS] COMMAND [FLAGS] [ARGUMENTS]\n       krun run BUNDLE/\n\nCommands:\n",
    );
    for command in COMMANDS {
        let _ = writeln!(text, "  {:<10} {}", command.name, command.about);
    }
    text.push_str("\nGlobal flags:\n");
    flags(&mut text, GLOBAL);
    text.push_str("\nkrun COMMAND --help explains a command.\n");
    text
}

/// `krun COMMAND --help`
pub fn command(command: &Command) -> String {
    let mut text = format!("krun {}: {}\n\nUsage: krun {}", command.name, command.about, command.name);
    text.push_str(" [FLAGS]");
    if !command.usage.is_empty() {
        let _ = write!(text, " {}", command.usage);
    }
    text.push_str("\n\nFlags:\n");
    flags(&mut text, command.flags);
    text
}

fn flags(text: &mut String, flags: &[Flag]) {
    for flag in flags.iter().filter(|flag| !flag.help.is_empty()) {
        let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let value = flag.value.map_or_else(String::new, |value| format!(" {value}"));
        let _ = writeln!(text, "  {:<34} {}", format!("{short}--{}{value}", flag.long), flag.help);
    }
}
