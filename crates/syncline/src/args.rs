//! The command line's grammar. Each command's own part is in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::exit;
use crate::output::Color;

const EXAMPLE: &str = "\
Example:
  syncline up                                                     start a node
  syncline put task/auth-42 title='Fix login' data.status=open    write into it
  syncline watch                                                  see what happens";

/// Keep the working context of many agents in sync.
#[derive(Debug, Parser)]
#[command(
    name = "syncline",
    version,
    after_help = format!("{EXAMPLE}\n\n`syncline help exit-codes` lists the exit codes."),
    after_long_help = format!("{}\n\n{EXAMPLE}", exit::HELP),
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Talk to the node at this URL, such as http://127.0.0.1:7420.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "data")]
    pub url: Option<String>,
    /// The node's data directory.
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The workspace.
    #[arg(long, global = true, value_name = "NAME")]
    pub workspace: Option<String>,
    /// Who acts, recorded with each change.
    #[arg(long, global = true, value_name = "NAME")]
    pub agent: Option<String>,
    /// The agent's session, recorded with each change.
    #[arg(long, global = true, value_name = "NAME")]
    pub session: Option<String>,
    /// Whose model or service acts, recorded with each change.
    #[arg(long, global = true, value_name = "NAME")]
    pub provider: Option<String>,
    /// The settings file.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer in JSON on stdout; errors in JSON on stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours.
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub color: Option<Color>,
    /// Words only: no bars, nothing repainted (also ACCESSIBLE=1).
    #[arg(long, global = true)]
    pub plain: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a node in the foreground.
    Up(commands::up::UpArgs),
    /// Print the owner's key.
    Key(commands::key::KeyArgs),
    /// Show a context.
    Get(commands::get::GetArgs),
    /// Create or replace a context.
    Put(commands::put::PutArgs),
    /// Change parts of a context.
    Patch(commands::patch::PatchArgs),
    /// Delete a context; its history stays.
    Rm(commands::rm::RmArgs),
    /// Bring a deleted context back.
    Restore(commands::restore::RestoreArgs),
    /// List contexts.
    Ls(commands::ls::LsArgs),
    /// Show a context's history.
    Log(commands::log::LogArgs),
    /// Compare two versions of a context.
    Diff(commands::diff::DiffArgs),
    /// Tell which change last set a field.
    Blame(commands::blame::BlameArgs),
    /// List the conflicts that wait, or show one with its three sides.
    Conflicts(commands::conflicts::ConflictsArgs),
    /// End a conflict: choose a side, or another value.
    Settle(commands::settle::SettleArgs),
    /// Take back your newest change of a context.
    Undo(commands::undo::UndoArgs),
    /// Make a context what it was at an earlier version.
    Rollback(commands::rollback::RollbackArgs),
    /// Begin, list, merge and end lines of versions beside main.
    Branch(commands::branch::BranchArgs),
    /// Merge a branch of a context into main, or into another branch.
    Merge(commands::merge::MergeArgs),
    /// Name versions of a context.
    Tag(commands::tag::TagArgs),
    /// Name the head of a context, to come back to it.
    Checkpoint(commands::tag::CheckpointArgs),
    /// Say what documents of a kind look like, and how they merge.
    Schema(commands::schema::SchemaArgs),
    /// Say how clashes are resolved in this workspace.
    Rules(commands::rules::RulesArgs),
    /// Deliver changes under a name, until they are acknowledged.
    #[command(visible_alias = "sub")]
    Subscription(commands::subscription::SubscriptionArgs),
    /// Say why a change was delivered, or was not.
    Explain(commands::explain::ExplainArgs),
    /// Follow changes as they happen.
    Watch(commands::watch::WatchArgs),
    /// Post changes to endpoints of others.
    Webhook(commands::webhook::WebhookArgs),
    /// Read contexts, histories and events from files.
    Import(commands::import::ImportArgs),
    /// Write contexts or changes as JSON lines.
    Export(commands::export::ExportArgs),
    /// Tell how the node is.
    Status(commands::status::StatusArgs),
    /// Show the node's numbers.
    Stats(commands::stats::StatsArgs),
    /// Check all that is stored against its hashes.
    Verify(commands::verify::VerifyArgs),
    /// Thin old versions now, where a policy says so, and pack what stays.
    Compact(commands::compact::CompactArgs),
    /// Show the settings and where each came from.
    Config(commands::config::ConfigArgs),
    /// See it work: agents on one feature, on a node of its own.
    Demo(commands::demo::DemoArgs),
    /// Serve an agent's program over MCP on stdin and stdout.
    Mcp(commands::mcp::McpArgs),
    /// Print a shell's completions.
    Completions(commands::completions::CompletionsArgs),
    /// Explain a command or a topic.
    Help(commands::help::HelpArgs),
    /// One agent of a demo.
    #[command(hide = true)]
    DemoAgent(commands::demo::agent::AgentArgs),
    /// A part of the node alone, for suites of others.
    #[command(hide = true)]
    Fixture(commands::fixture::FixtureArgs),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args as _, CommandFactory as _};

    use super::{Cli, Global};

    /// An argument of a command's own would be read as the one that holds everywhere.
    #[test]
    fn no_command_has_an_argument_by_the_name_of_one_that_holds_everywhere() {
        let everywhere = Global::augment_args(clap::Command::new("all"));
        let everywhere: BTreeSet<_> = everywhere.get_arguments().map(clap::Arg::get_id).collect();
        assert!(everywhere.len() > 8, "{everywhere:?}");
        let cli = Cli::command();
        let mut left: Vec<_> = cli.get_subcommands().collect();
        while let Some(command) = left.pop() {
            let own = command.get_arguments().map(clap::Arg::get_id);
            let taken: Vec<_> = own.filter(|id| everywhere.contains(id)).collect();
            assert!(taken.is_empty(), "{}: {taken:?}", command.get_name());
            left.extend(command.get_subcommands());
        }
    }
}
