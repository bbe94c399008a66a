//! `syncline settle`

use clap::{ArgGroup, Args};
use syncline_client::Choice;

use super::conflicts::find;
use super::input;
use super::write::{NoteArgs, show_receipt};
use crate::failure::Result;
use crate::run::Run;

/// End a conflict: choose a side, or say what holds instead.
///
/// The choice is a change like any other. It is made on the sides as they are now; --version
/// refuses it if one has moved since you looked (`conflicts --json` shows the version).
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("choice").required(true).args(["ours", "theirs", "value"]),
    after_help = "Examples:\n  syncline settle 0199…07f2 --theirs\n  syncline settle task/auth-42 --ours\n  syncline settle 0199…07f2 --value '\"use signed tokens\"' -m 'agreed with ana'"
)]
pub struct SettleArgs {
    /// Which conflict: its id or the ends of it, or the context in which it alone waits.
    #[arg(value_name = "ID|CONTEXT")]
    pub which: String,
    /// What the write wanted that came later.
    #[arg(long)]
    pub ours: bool,
    /// What the head holds.
    #[arg(long)]
    pub theirs: bool,
    /// Another value: JSON, or else a text.
    #[arg(long, value_name = "JSON")]
    pub value: Option<String>,
    /// The conflict's version that you saw.
    #[arg(long, value_name = "N")]
    pub version: Option<u64>,
    /// Why, and under which id.
    #[command(flatten)]
    pub note: NoteArgs,
}

/// Runs the command.
pub async fn run(args: &SettleArgs, run: &Run) -> Result {
    let choice = match &args.value {
        Some(text) => Choice::Value(input::value_of(text)),
        None if args.ours => Choice::Ours,
        None => Choice::Theirs,
    };
    let write = args.note.to_write()?;
    let client = run.client()?;
    let id = find(&client, &args.which, write.id.as_ref()).await?;
    let conflict = client.conflict(&id).await?;
    // Only a version that was named is sent: the same command, sent again, must say the same.
    let receipt = client.settle(&id, args.version, &choice, &write).await?;
    show_receipt(run, &client, &conflict.context, &receipt).await
}
