//! `syncline log`

use std::collections::BTreeMap;

use clap::Args;
use syncline_api::WireChange;
use syncline_client::{Client, ConflictsQuery};
use syncline_model::change::{ChangeType, Outcome};
use syncline_model::conflict::ConflictId;
use syncline_model::ids::{Address, Version};
use syncline_model::json::{Json, Pointer};

use super::tag::tags_of;
use crate::clean;
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::pager::Pages;
use crate::run::{LineName, Run, parse_address, parse_line};
use crate::show;

/// Bounds the conflicts whose places are named in a history.
const CONFLICTS_MAX: usize = 1_000;

/// Show a context's history, the newest version first.
///
/// × marks a version that left a conflict; `merged from v5` one that was made on v5 and merged; ○ the
/// newest version of a branch, above the version that it began as.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline log task/auth-42 --limit 5\n  syncline log task/auth-42 --branch try-b"
)]
pub struct LogArgs {
    /// Which context: kind/id.
    #[arg(value_parser = parse_address)]
    pub address: Address,
    /// Of this branch, not of main.
    #[arg(long, value_name = "NAME", value_parser = parse_line)]
    pub branch: Option<LineName>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Go on from an earlier answer's `next`.
    #[arg(long, value_name = "NEXT")]
    pub page: Option<String>,
}

/// Runs the command.
pub async fn run(args: &LogArgs, run: &Run) -> Result {
    let page = args.page.as_deref();
    let client = run.client()?;
    let branch = args.branch.as_ref().and_then(LineName::branch);
    let answer = client
        .versions(&args.address, branch, page, Some(args.limit))
        .await?;
    if run.output.is_json() {
        return run.output.document(&answer);
    }
    let versions = answer
        .get("versions")
        .and_then(Json::as_array)
        .unwrap_or_default();
    let read = versions
        .iter()
        .map(|version| WireChange::read(version, &Pointer::root()));
    let (changes, wrong): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
    let changes: Vec<_> = changes.into_iter().flatten().collect();
    let around = Around::of(&client, args, &changes).await;
    let next = answer.get("next").filter(|next| !next.is_null());
    let mut pages = Pages::start(run.output);
    for (at, change) in changes.iter().enumerate() {
        for drawn in around.branches.get(&change.version).into_iter().flatten() {
            pages.line(drawn.clone())?;
        }
        pages.line(line(change, &around))?;
        let below = match (changes.get(at + 1), next) {
            (Some(older), _) => older.version,
            (None, None) => Version::ZERO,
            (None, Some(_)) => continue,
        };
        if let Some(gap) = thinned(change.version, below) {
            pages.line(gap)?;
        }
    }
    for error in wrong.into_iter().filter_map(Result::err) {
        run.output
            .warn(format!("a version cannot be shown: {error}"));
    }
    drop(pages);
    if let Some(next) = next {
        let next = next.as_str().map_or_else(|| next.to_text(), str::to_owned);
        run.output
            .say(Line::new().styled(Style::Dim, format!("there are more: --page {next}")));
    }
    Ok(())
}

/// What stands beside a line's versions: names, branches, and where conflicts are.
#[derive(Default)]
struct Around {
    marks: BTreeMap<Version, Vec<String>>,
    /// What is drawn above the version that branches began as.
    branches: BTreeMap<Version, Vec<Line>>,
    places: BTreeMap<ConflictId, String>,
}

impl Around {
    /// Reads what can be read; a history without it is still a history.
    async fn of(client: &Client, args: &LogArgs, changes: &[WireChange]) -> Around {
        let mut around = Around::default();
        if args.branch.as_ref().and_then(LineName::branch).is_none() {
            around.add_marks(client, &args.address).await;
        }
        let met = |change: &WireChange| !change.conflicts.is_empty() || !change.settled.is_empty();
        if changes.iter().any(met) {
            around.add_places(client, &args.address).await;
        }
        around
    }

    async fn add_marks(&mut self, client: &Client, address: &Address) {
        let mut mark = |version, mark| self.marks.entry(version).or_default().push(mark);
        if let Ok(tags) = client.tags(address).await {
            for (version, name) in tags_of(&tags) {
                mark(version, format!("tag:{name}"));
            }
        }
        let branches = client.branches(address).await.ok();
        let branches = branches
            .as_ref()
            .and_then(|b| b.get("branches")?.as_array());
        for branch in branches.unwrap_or_default() {
            if let Some(from) = branch.get("from").and_then(Json::as_u64) {
                let drawn = self.branches.entry(Version(from)).or_default();
                drawn.extend(branch_lines(branch));
            }
        }
    }

    async fn add_places(&mut self, client: &Client, address: &Address) {
        let query = ConflictsQuery {
            context: Some(address.clone()),
            open: Some(false),
            limit: Some(CONFLICTS_MAX),
            page: None,
        };
        let Ok(page) = client.conflicts(&query).await else {
            return;
        };
        for conflict in &page.conflicts {
            if let Ok(id) = ConflictId::parse(show::text(conflict, "id")) {
                self.places
                    .insert(id, show::place(show::text(conflict, "path")));
            }
        }
    }

    /// Says where conflicts are, and which.
    fn named(&self, ids: &[ConflictId]) -> String {
        let named = ids.iter().take(3).map(|id| match self.places.get(id) {
            Some(place) => format!("{place} ({})", show::short_id(id)),
            None => show::short_id(id),
        });
        let mut named: Vec<_> = named.collect();
        if ids.len() > named.len() {
            named.push(format!("{} more", ids.len() - named.len()));
        }
        named.join(", ")
    }
}

/// Draws a branch where it left main: its newest version, and the way to it.
fn branch_lines(branch: &Json) -> [Line; 2] {
    let version = branch.get("version").and_then(Json::as_u64).unwrap_or(0);
    let ago = show::time(branch, "updated_at").map(|time| show::ago(time, show::now()));
    let head = Line::new()
        .text("│ ○  ")
        .cell(Style::Bold, format!("v{version}"), 6)
        .cell(Style::Dim, ago.unwrap_or_default(), 8)
        .cell(Style::Plain, show::actor_of(branch), 10)
        .text("  ")
        .styled(Style::Yellow, show::text(branch, "name"));
    [head, Line::new().text("├─╯")]
}

/// Says how many versions between two are no longer kept.
fn thinned(above: Version, below: Version) -> Option<Line> {
    let gone = above.0.saturating_sub(below.0 + 1);
    let told = format!("~  {} thinned", show::count(gone, "version"));
    (gone > 0).then(|| Line::new().styled(Style::Dim, told))
}

fn line(change: &WireChange, around: &Around) -> Line {
    let what = match change.kind {
        ChangeType::Create => "created  ",
        ChangeType::Delete => "deleted  ",
        ChangeType::Restore => "restored  ",
        ChangeType::Update => "",
    };
    let style = if change.kind == ChangeType::Delete {
        Style::Red
    } else {
        Style::Green
    };
    let told = match &change.message {
        Some(message) => clean::shorten(message.lines().next().unwrap_or_default(), 80),
        None => changed(change),
    };
    let line = Line::new()
        .text("●  ")
        .cell(Style::Bold, format!("v{}", change.version), 6)
        .cell(Style::Dim, show::ago(change.committed_at, show::now()), 8)
        .cell(Style::Plain, show::actor(&change.actor), 10)
        .text("  ");
    let line = match change.conflicts.is_empty() {
        true => line,
        false => line.styled(
            Style::Red,
            format!("× {} clashes  ", around.named(&change.conflicts)),
        ),
    };
    let notes = notes(change, around);
    let join = if told.is_empty() || notes.is_empty() {
        ""
    } else {
        ", "
    };
    let marks = around.marks.get(&change.version);
    let marks = marks.map(|marks| format!("   {}", marks.join(" ")));
    line.styled(style, what)
        .text(told)
        .styled(Style::Dim, format!("{join}{notes}"))
        .styled(Style::Yellow, marks.unwrap_or_default())
}

/// Says from where or which line a change was merged, and what it settled.
fn notes(change: &WireChange, around: &Around) -> String {
    let mut notes = Vec::new();
    let merged = matches!(change.outcome, Outcome::Merged | Outcome::Conflict);
    match (&change.merges, change.base) {
        (Some(line), _) if change.kind == ChangeType::Create => {
            notes.push(format!("from {} v{}", line.name(), line.version));
        }
        (Some(line), _) => notes.push(format!("merged {} v{}", line.name(), line.version)),
        (None, Some(base)) if merged => notes.push(format!("merged from v{base}")),
        (None, None) if merged => notes.push("merged".to_owned()),
        (None, _) => {}
    }
    if !change.settled.is_empty() {
        notes.push(format!("settled {}", around.named(&change.settled)));
    }
    notes.join(", ")
}

/// Names the first paths that a change touched.
fn changed(change: &WireChange) -> String {
    let named: Vec<_> = change
        .changed
        .iter()
        .take(4)
        .map(ToString::to_string)
        .collect();
    let more = change.changed.len().saturating_sub(4);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    clean::shorten(&format!("{}{more}", named.join(" ")), 80)
}
