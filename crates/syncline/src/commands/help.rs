//! `syncline help`

use clap::{Args, CommandFactory as _};
use syncline_model::json::Json;

use crate::args::Cli;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::run::Run;
use crate::settings::keys::KEYS;

/// Explain a command, or a topic: exit-codes, settings.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline help exit-codes")]
pub struct HelpArgs {
    /// A command or a topic.
    pub topic: Option<String>,
}

/// Runs the command.
pub fn run(args: &HelpArgs, run: &Run) -> Result {
    let text = text(args.topic.as_deref())?;
    if !run.output.is_json() {
        return run.output.text(text.trim_end());
    }
    let topic = args.topic.as_deref().unwrap_or("syncline");
    let members = [("topic", Json::from(topic)), ("text", Json::from(text))];
    run.output
        .document(&Json::Object(members.into_iter().collect()))
}

fn text(topic: Option<&str>) -> Result<String> {
    let mut command = Cli::command();
    // Flags that hold everywhere reach the subcommands' help only once the tree is built.
    command.build();
    match topic {
        None => Ok(command.render_help().to_string()),
        Some("exit-codes") => Ok(exit::HELP.to_owned()),
        Some("settings") => Ok(settings()),
        Some(name) => match command.find_subcommand_mut(name) {
            Some(command) => Ok(command.render_long_help().to_string()),
            None => Err(Failure::usage_hint(
                format!("there is no command or topic {name:?}"),
                "`syncline help` lists the commands; topics are exit-codes and settings",
            )),
        },
    }
}

fn settings() -> String {
    let intro = "Settings come from defaults, then the TOML file, then the environment, then flags.\n\
                 In the environment a setting's name is in capitals after SYNCLINE_.\n\n";
    let row = |key: &crate::settings::keys::Key| {
        format!(
            "{:22} {} [{}]\n",
            key.name,
            key.help,
            key.default.unwrap_or("unset")
        )
    };
    intro.to_owned() + &KEYS.iter().map(row).collect::<String>()
}
