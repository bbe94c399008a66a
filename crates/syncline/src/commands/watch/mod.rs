//! `syncline watch`

mod asked;
mod place;
mod shown;
mod template;

use std::time::Duration;

use clap::Args;
use syncline_api::{From, Mode, ServerMessage};
use syncline_client::{Event, Live};
use syncline_model::change::ChangeType;
use syncline_model::ids::{Address, Kind, Name};
use syncline_model::json::Pointer;
use syncline_model::proposal::Priority;

use crate::failure::Result;
use crate::run::{Run, parse_address};
use asked::{Asked, Start};
use place::Place;
pub(crate) use shown::change_line;
use template::Format;

/// Follow changes as they happen; comes back after a lost connection and misses nothing.
///
/// Without an address it follows the whole workspace; an address stands for itself and all below
/// it. Of the changes there, those are shown that pass all of the options that choose; an option
/// that comes several times lets each of its values pass. --from @last goes on where the last
/// `watch` of the same things stopped.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline watch\n  syncline watch project/web --since @last\n  syncline watch --kind task --changed /data/status --by claude-1\n  syncline watch --where 'data.points > 3 && change.type == \"update\"'\n  syncline watch --from 2h --format '{committed_at} {context} {message}'\n  syncline watch --json | jq .context"
)]
pub struct WatchArgs {
    /// What to follow: kind/id, with all below it.
    #[arg(value_parser = parse_address)]
    pub addresses: Vec<Address>,
    /// The addresses alone, without what is below them.
    #[arg(long)]
    pub only: bool,
    /// Follow contexts with all of these labels; beside an address, those of them below it.
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Where to begin: now, snapshot (all that is there), start (of the log), @last (where the
    /// last watch stopped), a cursor, a time (RFC 3339), a day (2026-11-20, from 0:00 UTC), or how
    /// long ago (90s, 10m, 2h, 7d).
    #[arg(
        long,
        visible_aliases = ["since", "after"],
        value_name = "WHERE",
        default_value = "now"
    )]
    pub from: String,
    /// Only contexts of this kind.
    #[arg(long, value_name = "KIND", value_parser = Kind::parse)]
    pub kind: Vec<Kind>,
    /// Only what this agent wrote.
    #[arg(long, value_name = "AGENT", value_parser = Name::parse)]
    pub by: Vec<Name>,
    /// Only changes of this type: create, update, delete or restore.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_type)]
    pub kinds_of_change: Vec<ChangeType>,
    /// Only what touches this path; * stands for one step.
    #[arg(long, value_name = "POINTER")]
    pub changed: Vec<String>,
    /// Only what is at least so urgent: 1 is urgent, 4 can wait; 3 is what writers do not say.
    #[arg(long, value_name = "N", value_parser = str::parse::<Priority>)]
    pub min_priority: Option<Priority>,
    /// Only what passes this filter, in the wire's JSON.
    #[arg(long, value_name = "JSON")]
    pub filter: Vec<String>,
    /// Only changes for which this expression is true.
    #[arg(long = "where", value_name = "EXPRESSION")]
    pub condition: Option<String>,
    /// Leave out what the same agent wrote.
    #[arg(long)]
    pub exclude_self: bool,
    /// What comes of each change: delta, snapshot (the whole document) or thin (no body).
    #[arg(long, value_name = "MODE", value_parser = str::parse::<Mode>, default_value = "delta")]
    pub mode: Mode,
    /// Only these parts of documents: pointers, separated by commas.
    #[arg(long, value_name = "POINTERS", value_delimiter = ',', value_parser = Pointer::parse)]
    pub fields: Vec<Pointer>,
    /// Changes of one context within so many milliseconds may be told as one.
    #[arg(long, value_name = "MS")]
    pub coalesce_ms: Option<u64>,
    /// How each is shown: lines, json, or a text such as '{context} {actor.agent} {message}'.
    #[arg(long, value_name = "FORMAT", value_parser = Format::parse)]
    pub format: Option<Format>,
    /// Show values too.
    #[arg(long, short)]
    pub verbose: bool,
    /// Stop after so many changes; the contexts that a snapshot shows are none.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

fn parse_type(text: &str) -> Result<ChangeType, &'static str> {
    let wrong = |_| "a type is create, update, delete or restore";
    text.parse().map_err(wrong)
}

/// How often the place is written down while changes come.
const SAVE_EACH: Duration = Duration::from_secs(1);

/// Runs the command.
pub async fn run(args: &WatchArgs, run: &Run) -> Result {
    let asked = Asked::of(args)?;
    let mut place = Place::of(run, &asked);
    let from = match asked.start {
        Start::Last => place.read().map_or(From::Now, From::Cursor),
        Start::At(ref from) => from.clone(),
    };
    let mut snapshot_follows = from == From::Snapshot;
    let mut live = Live::open(&run.target(), run.client_options()?).await?;
    live.submitter().subscribe(asked.subscribe(from)).await?;
    let mut seen = 0;
    let (mut is_live, mut was_lost) = (false, false);
    while let Some(event) = next(&mut live, &mut place).await {
        let mut cursor = None;
        match &event {
            Event::Disconnected { .. } => was_lost = true,
            Event::Connected { .. } if std::mem::take(&mut was_lost) => {
                shown::note(run, "-- connected again --");
            }
            _ => {}
        }
        if let Event::Message { message, .. } = &event {
            is_live |= begins(message, &mut snapshot_follows);
            cursor = cursor_of(message).filter(|_| is_live).cloned();
        }
        seen += shown::event(run, args, event)?;
        // After it was shown: a watch that is killed here repeats a change, and leaves none out.
        place.note(cursor);
        if is_live && args.count.is_some_and(|count| seen >= count) {
            break;
        }
    }
    Ok(())
}

/// Returns the next event. While none comes, the place is written down, so that even a watch that
/// is killed goes on where it was.
async fn next(live: &mut Live, place: &mut Place) -> Option<Event> {
    match tokio::time::timeout(SAVE_EACH, live.next()).await {
        Ok(event) => event,
        Err(_) => {
            place.save();
            live.next().await
        }
    }
}

/// Returns the place after a message, where that is one to go on from.
fn cursor_of(message: &ServerMessage) -> Option<&String> {
    use ServerMessage as M;
    match message {
        M::Subscribed {
            cursor,
            recovered: true,
            ..
        }
        | M::End { cursor, .. } => Some(cursor),
        M::Change { change, resume, .. } => resume.as_ref().or(change.cursor.as_ref()),
        M::Enter { cursor, .. } | M::Leave { cursor, .. } => cursor.as_ref(),
        M::Snapshot {
            last: true, cursor, ..
        } => cursor.as_ref(),
        _ => None,
    }
}

/// Says whether all that was there has been shown, and only what happens now follows.
fn begins(message: &ServerMessage, snapshot_follows: &mut bool) -> bool {
    match message {
        ServerMessage::Subscribed { recovered, .. } => {
            *snapshot_follows |= !recovered;
            !*snapshot_follows
        }
        ServerMessage::Snapshot { last, .. } => *last,
        _ => false,
    }
}
