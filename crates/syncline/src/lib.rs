//! `syncline`: the node and its command line.
//!
//! [`main`] reads the command line ([`args`]), layers the settings ([`settings`]), and runs one
//! command ([`commands`], a file for each). What a command says goes through [`output`], which no
//! control character of a document passes; how it ends is [`failure`] and [`exit`].

pub mod args;
pub mod clean;
pub mod commands;
pub mod exit;
pub mod failure;
pub mod node;
pub mod output;
mod pager;
pub mod place;
pub mod run;
pub mod settings;
mod show;
mod sides;
mod system;

use std::ffi::OsString;
use std::io::Write as _;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::commands::up::UpArgs;
use crate::failure::Failure;
use crate::output::{Color, Output};
use crate::run::Run;

/// Runs the command line and returns the exit code.
pub fn main(arguments: Vec<OsString>) -> u8 {
    let json = arguments
        .iter()
        .skip(1)
        .any(|argument| argument == "--json");
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, json),
    };
    let plain = Output::new(
        cli.global.json,
        cli.global.color.unwrap_or_default(),
        cli.global.plain,
    );
    let ended = Run::start(&cli.global, UpArgs::flags(&cli.command))
        .and_then(|run| commands::run(cli.command, &run));
    match ended {
        Ok(()) => exit::YES,
        Err(failure) => {
            plain.fail(&failure);
            failure.exit()
        }
    }
}

/// Says what is meant where a parser of numbers says only what it met.
fn plainer(text: &str) -> String {
    const WORDS: [(&str, &str); 3] = [
        ("invalid digit found in string", "a whole number is meant"),
        (
            "cannot parse integer from empty string",
            "a whole number is meant",
        ),
        (
            "number too large to fit in target type",
            "a smaller number is meant",
        ),
    ];
    let words = WORDS.iter();
    words.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Says what clap did not understand, or shows the help that was asked for.
fn usage(error: &clap::Error, json: bool) -> u8 {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let code = u8::try_from(error.exit_code()).unwrap_or(exit::USAGE);
    let text = error.render().to_string();
    let plainer = plainer(&text);
    if !json || asked {
        // A closed pipe is no reason to complain.
        let _ = match plainer == text || asked {
            true => error.print(),
            false => std::io::stderr().write_all(plainer.as_bytes()),
        };
        return code;
    }
    let text = plainer;
    // What is wrong comes first, perhaps in several lines; usage and tips follow an empty one.
    let wrong = text.trim_start_matches("error: ").lines();
    let wrong: Vec<_> = wrong
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let failure = Failure::usage_hint(wrong.join(" "), "see `syncline help`");
    Output::new(true, Color::Never, true).fail(&failure);
    exit::USAGE
}
