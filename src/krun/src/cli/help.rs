//! Help texts: the tables say what there is, clap lays it out in the shape that users of runc know.
use clap::{Arg, ArgAction};

use super::args::Flag;
use super::table::{COMMANDS, Command, GLOBAL};

const OVERVIEW: &str = "\
NAME:
   {name}, a drop-in for runc - Open Container Initiative runtime

USAGE:
   {name} [global options] command [command options] [arguments...]
   {name} run BUNDLE/

COMMANDS:
{subcommands}

GLOBAL OPTIONS:
{options}
";

const COMMAND: &str = "\
NAME:
   {name} - {about}

USAGE:
   {usage}

OPTIONS:
{options}
";

/// `krun --help`
pub fn overview(program: &str) -> String {
    let subcommands = COMMANDS.iter().map(|command| clap::Command::new(command.name).about(command.about));
    let command = layout(program.to_owned(), OVERVIEW, GLOBAL).subcommands(subcommands);
    render(command.disable_help_subcommand(true))
}

/// `krun COMMAND --help`
pub fn command(program: &str, command: &Command) -> String {
    let name = format!("{program} {}", command.name);
    let usage = format!("{name} [command options] {}", command.usage);
    render(layout(name, COMMAND, command.flags).about(command.about).override_usage(usage))
}

fn layout(name: String, template: &'static str, flags: &[Flag]) -> clap::Command {
    let shown = flags.iter().filter(|flag| !flag.help.is_empty());
    clap::Command::new(name).help_template(template).disable_help_flag(true).args(shown.map(argument))
}

fn argument(flag: &Flag) -> Arg {
    let mut arg = Arg::new(flag.long).long(flag.long).help(flag.help);
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    match flag.value {
        Some(value) => arg.value_name(value).action(ArgAction::Append),
        None => arg.action(ArgAction::SetTrue),
    }
}

fn render(mut command: clap::Command) -> String {
    let mut text = command.render_help().to_string();
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
