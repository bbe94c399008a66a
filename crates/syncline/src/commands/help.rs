//! `syncline help`

use std::ffi::OsString;

use clap::{Args, CommandFactory as _};
use syncline_model::json::Json;

use crate::args::Cli;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::place;
use crate::run::Run;
use crate::settings::keys::KEYS;

/// Explain a command, or a topic: exit-codes, settings.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  syncline help exit-codes\n  syncline help rules set")]
pub struct HelpArgs {
    /// A command, word by word, or a topic.
    pub topic: Vec<String>,
}

/// Runs the command.
pub fn run(args: &HelpArgs, run: &Run) -> Result {
    let text = text(&args.topic, &run.environment)?;
    if !run.output.is_json() {
        return run.output.text(text.trim_end());
    }
    let topic = match args.topic.as_slice() {
        [] => "syncline".to_owned(),
        words => words.join(" "),
    };
    let members = [("topic", Json::from(topic)), ("text", Json::from(text))];
    run.output
        .document(&Json::Object(members.into_iter().collect()))
}

fn text(topic: &[String], environment: &[(OsString, OsString)]) -> Result<String> {
    let mut command = Cli::command();
    // Flags that hold everywhere reach the subcommands' help only once the tree is built.
    command.build();
    match topic {
        [] => return Ok(command.render_help().to_string()),
        [topic] if topic == "exit-codes" => return Ok(exit::HELP.to_owned()),
        [topic] if topic == "settings" => return Ok(settings(environment)),
        _ => {}
    }
    let unknown = || {
        let topic = crate::clean::shorten(&topic.join(" "), 60);
        Failure::usage_hint(
            format!("there is no command or topic {topic:?}"),
            "`syncline help` lists the commands; topics are exit-codes and settings",
        )
    };
    let mut found = &mut command;
    for name in topic {
        found = found.find_subcommand_mut(name).ok_or_else(unknown)?;
    }
    Ok(found.render_long_help().to_string())
}

fn settings(environment: &[(OsString, OsString)]) -> String {
    let file = place::config_file(environment);
    let intro = format!(
        "Settings come from defaults, then the TOML file, then the environment, then flags.\n\
         The file is {}, or what --config names.\n\
         In the environment a setting's name is in capitals after SYNCLINE_.\n\n",
        file.display()
    );
    let row = |key: &crate::settings::keys::Key| {
        format!(
            "{:22} {} [{}]\n",
            key.name,
            key.help,
            key.default.unwrap_or("unset")
        )
    };
    intro + &KEYS.iter().map(row).collect::<String>()
}
