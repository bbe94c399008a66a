//! The commands, one file each: its arguments, and `run`.

mod begin;
pub mod blame;
pub mod branch;
pub mod compact;
pub mod completions;
pub mod config;
pub mod conflicts;
pub mod demo;
pub mod diff;
pub mod explain;
pub mod export;
pub mod fixture;
pub mod get;
pub mod help;
pub mod import;
mod input;
pub mod key;
pub mod log;
pub mod ls;
pub mod mcp;
pub mod merge;
pub mod patch;
pub mod put;
pub mod restore;
pub mod rm;
pub mod rollback;
pub mod rules;
pub mod schema;
pub mod settle;
pub mod stats;
pub mod status;
pub mod subscription;
pub mod tag;
pub mod undo;
pub mod up;
pub mod verify;
pub mod watch;
pub mod webhook;
mod write;

use crate::args::Command;
use crate::failure::Result;
use crate::run::Run;

/// Runs one command.
pub fn run(command: Command, run: &Run) -> Result {
    match command {
        Command::Up(args) => up::run(&args, run),
        Command::Key(args) => key::run(&args, run),
        Command::Get(args) => run.block_on(get::run(&args, run)),
        Command::Put(args) => run.block_on(put::run(&args, run)),
        Command::Patch(args) => run.block_on(patch::run(&args, run)),
        Command::Rm(args) => run.block_on(rm::run(&args, run)),
        Command::Restore(args) => run.block_on(restore::run(&args, run)),
        Command::Ls(args) => run.block_on(ls::run(&args, run)),
        Command::Log(args) => run.block_on(log::run(&args, run)),
        Command::Diff(args) => run.block_on(diff::run(&args, run)),
        Command::Blame(args) => run.block_on(blame::run(&args, run)),
        Command::Conflicts(args) => run.block_on(conflicts::run(&args, run)),
        Command::Settle(args) => run.block_on(settle::run(&args, run)),
        Command::Undo(args) => run.block_on(undo::run(&args, run)),
        Command::Rollback(args) => run.block_on(rollback::run(&args, run)),
        Command::Branch(args) => run.block_on(branch::run(&args, run)),
        Command::Merge(args) => run.block_on(merge::run(&args, run)),
        Command::Tag(args) => run.block_on(tag::run(&args, run)),
        Command::Checkpoint(args) => run.block_on(tag::checkpoint(&args, run)),
        Command::Rules(args) => run.block_on(rules::run(&args, run)),
        Command::Schema(args) => run.block_on(schema::run(&args, run)),
        Command::Webhook(args) => run.block_on(webhook::run(&args, run)),
        Command::Subscription(args) => run.block_on(subscription::run(&args, run)),
        Command::Explain(args) => run.block_on(explain::run(&args, run)),
        Command::Watch(args) => run.block_on(watch::run(&args, run)),
        Command::Import(args) => run.block_on(import::run(&args, run)),
        Command::Export(args) => run.block_on(export::run(&args, run)),
        Command::Status(args) => run.block_on(status::run(&args, run)),
        Command::Stats(args) => run.block_on(stats::run(&args, run)),
        Command::Verify(args) => run.block_on(verify::run(&args, run)),
        Command::Compact(args) => run.block_on(compact::run(&args, run)),
        Command::Config(args) => config::run(&args, run),
        Command::Demo(args) => run.block_on(demo::run(&args, run)),
        Command::Mcp(args) => run.block_on(mcp::run(&args, run)),
        Command::Completions(args) => completions::run(&args, run),
        Command::Help(args) => help::run(&args, run),
        Command::DemoAgent(args) => run.block_on(demo::agent::run(&args, run)),
        Command::Fixture(args) => run.block_on(fixture::run(&args, run)),
    }
}
