//! `syncline watch`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use syncline_api::{
    ContextView, From, Mode, Scope, ScopeTerm, ServerMessage, Subscribe, WireBody, WireChange,
};
use syncline_client::{Event, Live};
use syncline_model::change::ChangeType;
use syncline_model::conflict::ConflictId;
use syncline_model::ids::Address;
use syncline_model::json::{Json, JsonWriter};

use crate::clean;
use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::place;
use crate::run::{Run, parse_address};
use crate::show;

/// Follow changes as they happen; comes back after a lost connection and misses nothing.
///
/// Without an address it follows the whole workspace; an address stands for itself and all below
/// it. --since @last goes on where the last `watch` of the same things stopped.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline watch\n  syncline watch project/web --since @last\n  syncline watch --json | jq .context"
)]
pub struct WatchArgs {
    /// What to follow: kind/id, with all below it.
    #[arg(value_parser = parse_address)]
    pub addresses: Vec<Address>,
    /// The addresses alone, without what is below them.
    #[arg(long)]
    pub only: bool,
    /// Follow contexts with all of these labels.
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Where to begin.
    #[arg(long, value_enum, default_value_t = Start::Now)]
    pub from: Start,
    /// Go on after this cursor; @last for where the last watch stopped.
    #[arg(
        long,
        visible_alias = "after",
        value_name = "CURSOR",
        conflicts_with = "from"
    )]
    pub since: Option<String>,
    /// Show values too.
    #[arg(long, short)]
    pub verbose: bool,
    /// Leave out what the same agent wrote.
    #[arg(long)]
    pub exclude_self: bool,
    /// Stop after so many changes.
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// With the next change.
    Now,
    /// With all that is there.
    Snapshot,
}

/// The one subscription of a watch.
const SUB: &str = "watch";
/// How often the place is written down while changes come.
const SAVE_EACH: Duration = Duration::from_secs(1);

/// Runs the command.
pub async fn run(args: &WatchArgs, run: &Run) -> Result {
    let scope = scope(args)?;
    let mut place = Place::of(run, &scope);
    let mut snapshot_follows = args.from == Start::Snapshot && args.since.is_none();
    let from = match args.since.as_deref() {
        Some("@last") => place.read().map_or(From::Now, From::Cursor),
        Some(cursor) => From::Cursor(cursor.to_owned()),
        None if args.from == Start::Snapshot => From::Snapshot,
        None => From::Now,
    };
    let mut live = Live::open(&run.target(), run.client_options()?).await?;
    let subscribe = Subscribe {
        from,
        exclude_self: args.exclude_self,
        ..Subscribe::new(SUB, scope)
    };
    live.submitter().subscribe(subscribe).await?;
    let mut seen = 0;
    let mut is_live = false;
    while let Some(event) = next(&mut live, &mut place).await {
        let mut cursor = None;
        if let Event::Message { message, .. } = &event {
            is_live |= begins(message, &mut snapshot_follows);
            cursor = cursor_of(message).filter(|_| is_live).cloned();
        }
        seen += show(run, args, event)?;
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

fn scope(args: &WatchArgs) -> Result<Scope> {
    let term = |address: &Address| match args.only {
        true => ScopeTerm::Context(address.clone()),
        false => ScopeTerm::Subtree(address.clone()),
    };
    let mut terms: Vec<_> = args.addresses.iter().map(term).collect();
    if !args.label.is_empty() {
        let pair = |text: &String| {
            let pair = text
                .split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Failure::usage(format!("--label {text:?} is not KEY=VALUE")))
        };
        terms.push(ScopeTerm::Label(
            args.label.iter().map(pair).collect::<Result<_>>()?,
        ));
    }
    if terms.is_empty() {
        terms.push(ScopeTerm::Workspace);
    }
    Ok(Scope(terms))
}

/// Shows an event and returns how many changes it was.
fn show(run: &Run, args: &WatchArgs, event: Event) -> Result<u64> {
    match event {
        Event::Message { message, json } => return show_message(run, args, &message, &json),
        Event::Connected { .. } => {}
        Event::Disconnected { problem, retry } => {
            let wait = format!("{:.1} s", retry.as_secs_f32());
            note(run, &format!("-- {problem}; trying again in {wait} --"));
        }
        Event::Hole { expected, got, .. } => {
            note(
                run,
                &format!("-- change {expected} was left out ({got} came): resuming --"),
            );
        }
        Event::Refused { problem, .. } | Event::Closed(problem) => return Err(problem.into()),
    }
    Ok(0)
}

fn note(run: &Run, text: &str) {
    run.output.say(Line::new().styled(Style::Dim, text));
}

fn show_message(run: &Run, args: &WatchArgs, message: &ServerMessage, json: &Json) -> Result<u64> {
    use ServerMessage as M;
    let is_change = matches!(
        message,
        M::Change { .. } | M::Enter { .. } | M::Leave { .. }
    );
    match message {
        M::Reset { reason, .. } => {
            let why = reason.map_or("unknown", |reason| reason.as_str());
            note(
                run,
                &format!("-- reset ({why}): starting again from a snapshot --"),
            );
        }
        M::Lagging { .. } => note(run, "-- behind: catching up from the log --"),
        M::Subscribed {
            recovered: false,
            reason: Some(reason),
            ..
        } => {
            note(
                run,
                &format!(
                    "-- not resumed ({}): a snapshot follows --",
                    reason.as_str()
                ),
            );
        }
        _ => {}
    }
    if run.output.is_json() {
        match message {
            M::Change { .. } => run.output.row(json.get("change").unwrap_or(json))?,
            M::Subscribed { .. } | M::Lagging { .. } => {}
            _ => run.output.row(json)?,
        }
        return Ok(is_change.into());
    }
    match message {
        M::Change { change, .. } => {
            run.output.line(change_line(change))?;
            if args.verbose {
                values(run, &change.body)?;
            }
        }
        M::Enter { context, .. } => run.output.line(context_line(context, "+ came into view"))?,
        M::Snapshot { contexts, .. } => {
            contexts
                .iter()
                .try_for_each(|context| run.output.line(context_line(context, "=")))?;
        }
        M::Leave { address, .. } => {
            let line = Line::new()
                .cell(Style::Plain, "", 10)
                .styled(Style::Cyan, address.as_str());
            run.output.line(line.text("  - left the view"))?;
        }
        _ => {}
    }
    Ok(is_change.into())
}

/// Returns the one line of a change: when, which, version, who, what, why.
pub(crate) fn change_line(change: &WireChange) -> Line {
    const PATHS: usize = 4;
    let paths = change.changed.iter().take(PATHS).map(ToString::to_string);
    let more = change.changed.len().saturating_sub(PATHS);
    let more = (more > 0).then(|| format!("+{more}"));
    let paths: Vec<String> = paths.chain(more).collect();
    let under = change
        .parent
        .as_ref()
        .map(|parent| format!("under {parent}"))
        .unwrap_or_default();
    let (style, mark, what) = match change.kind {
        ChangeType::Create => (Style::Green, "+", under),
        ChangeType::Restore => (Style::Green, "+", "restored".to_owned()),
        ChangeType::Delete => (Style::Red, "-", "deleted".to_owned()),
        ChangeType::Update => (Style::Yellow, "~", paths.join(" ")),
    };
    let message = change.message.as_deref().unwrap_or_default();
    let message = clean::shorten(message.lines().next().unwrap_or_default(), 80);
    Line::new()
        .styled(Style::Dim, show::clock(change.committed_at))
        .text("  ")
        .styled(Style::Cyan, change.context.as_str())
        .text("  ")
        .styled(Style::Bold, format!("v{}", change.version))
        .text(
            change
                .branch
                .as_ref()
                .map_or_else(String::new, |branch| format!(" {branch}")),
        )
        .text("  ")
        .cell(Style::Plain, show::actor(&change.actor), 10)
        .styled(
            Style::Red,
            if change.conflicts.is_empty() {
                ""
            } else {
                " ×"
            },
        )
        .styled(style, format!(" {mark} "))
        .text(clean::shorten(&what, 100))
        .styled(
            Style::Dim,
            if message.is_empty() {
                String::new()
            } else {
                format!("   {message}")
            },
        )
        .styled(Style::Red, conflicts("conflict", &change.conflicts))
        .styled(Style::Green, conflicts("settled", &change.settled))
}

/// Names the conflicts that a change opened or ended.
fn conflicts(what: &str, ids: &[ConflictId]) -> String {
    match ids {
        [] => String::new(),
        [id] => format!("   {what} {}", show::short_id(id)),
        [id, rest @ ..] => format!("   {what} {} +{}", show::short_id(id), rest.len()),
    }
}

fn context_line(context: &ContextView, mark: &str) -> Line {
    Line::new()
        .styled(Style::Dim, show::clock(context.updated_at))
        .text("  ")
        .styled(Style::Cyan, context.context.as_str())
        .text("  ")
        .styled(Style::Bold, format!("v{}", context.version))
        .text("  ")
        .cell(Style::Plain, show::actor(&context.actor), 10)
        .text(format!(" {mark} "))
        .text(clean::shorten(
            context.document.title().unwrap_or_default(),
            80,
        ))
}

/// Shows the values that a change set.
fn values(run: &Run, body: &WireBody) -> Result {
    let indent = |style, text: String| Line::new().text("          ").styled(style, text);
    match body {
        WireBody::Patch(patch) => {
            for operation in patch.as_array().unwrap_or_default() {
                let path = show::text(operation, "path");
                let value = operation
                    .get("value")
                    .map(Json::to_text)
                    .unwrap_or_default();
                let style = if show::text(operation, "op") == "remove" {
                    Style::Red
                } else {
                    Style::Plain
                };
                let value = clean::shorten(&value, 200);
                run.output.line(indent(style, format!("{path}  {value}")))?;
            }
        }
        WireBody::Snapshot(document) => {
            let data = document.get("data").map(Json::to_text).unwrap_or_default();
            run.output
                .line(indent(Style::Plain, clean::shorten(&data, 200)))?;
        }
        WireBody::Thin => {}
    }
    Ok(())
}

/// Remembers how far a watch came, for `--since @last`.
struct Place {
    file: PathBuf,
    cursor: Option<String>,
    written: Option<Instant>,
}

impl Place {
    fn of(run: &Run, scope: &Scope) -> Place {
        let mut w = JsonWriter::new();
        scope.write(&mut w);
        let workspace = run.settings.text("workspace").unwrap_or_default();
        let which = format!("{:?} {workspace} {}", run.target(), w.into_string());
        let name = format!("watch-{}", place::hash_of(std::path::Path::new(&which)));
        let file = place::state_dir(&run.environment).join(name);
        Place {
            file,
            cursor: None,
            written: None,
        }
    }

    fn read(&self) -> Option<String> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn note(&mut self, cursor: Option<String>) {
        if cursor.is_none() {
            return;
        }
        self.cursor = cursor;
        let fresh = self.written.is_some_and(|at| at.elapsed() < SAVE_EACH);
        if !fresh {
            self.save();
        }
    }

    fn save(&mut self) {
        let Some(cursor) = self.cursor.take() else {
            return;
        };
        self.written = Some(Instant::now());
        // A place that cannot be remembered only means that @last begins now.
        if let Some(folder) = self.file.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = std::fs::write(&self.file, cursor);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.save();
    }
}
