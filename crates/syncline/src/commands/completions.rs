//! `syncline completions`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use syncline_model::json::Json;

use crate::args::Cli;
use crate::failure::Result;
use crate::run::Run;

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  syncline completions bash > ~/.local/share/bash-completion/completions/syncline"
)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Runs the command.
pub fn run(args: &CompletionsArgs, run: &Run) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "syncline", &mut script);
    let script = String::from_utf8_lossy(&script);
    if !run.output.is_json() {
        return run.output.raw(&script);
    }
    let members = [
        ("shell", Json::from(args.shell.to_string())),
        ("script", Json::from(script.as_ref())),
    ];
    run.output
        .document(&Json::Object(members.into_iter().collect()))
}
