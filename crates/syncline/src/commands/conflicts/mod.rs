//! `syncline conflicts`: the queue, and one conflict with its three sides.

mod ask;
mod edit;
pub mod marked;
mod view;
mod which;

use clap::Args;
use syncline_client::{Client, ConflictsQuery};
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::ids::Address;
use syncline_model::json::{Json, Pointer};

use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::pager::Pages;
use crate::run::Run;
use crate::show;

pub use which::find;

/// How many are read at once.
const PAGE: usize = 50;

/// List the conflicts that wait, or show one with its three sides.
///
/// On a terminal, the one that is shown can be settled at once; --each goes through all of them.
/// `theirs` is what the head holds, `ours` what the write wanted that came later.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline conflicts\n  syncline conflicts task/auth-42\n  syncline conflicts 0199…07f2\n  syncline conflicts --each"
)]
pub struct ConflictsArgs {
    /// Which conflict, by its id or the ends of it; or all of a context: kind/id.
    #[arg(value_name = "ID|CONTEXT")]
    pub which: Option<String>,
    /// Also those that have ended.
    #[arg(long)]
    pub all: bool,
    /// Go through them one by one, and settle them.
    #[arg(long)]
    pub each: bool,
    /// At most so many: 50, and with --each all, unless you say.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Go on from an earlier answer's `next`.
    #[arg(long, value_name = "NEXT")]
    pub page: Option<String>,
}

/// Runs the command.
pub async fn run(args: &ConflictsArgs, run: &Run) -> Result {
    let client = run.client()?;
    let context = match args.which.as_deref() {
        None => None,
        Some(text) if text.contains('/') => Some(Address::parse(text).map_err(|error| {
            Failure::usage_hint(error.to_string(), "name a conflict, or a context: kind/id")
        })?),
        Some(text) => {
            let id = find(&client, text, None).await?;
            return one(run, &client, &id).await;
        }
    };
    let query = ConflictsQuery {
        context,
        open: Some(!args.all),
        limit: args.limit.or(Some(PAGE)),
        page: args.page.clone(),
    };
    if args.each {
        each(run, &client, query, args.limit).await
    } else {
        list(run, &client, &query).await
    }
}

async fn one(run: &Run, client: &Client, id: &ConflictId) -> Result {
    if run.output.is_json() {
        return run
            .output
            .document(&client.json(&format!("/v1/conflicts/{id}")).await?);
    }
    let conflict = client.conflict(id).await?;
    let around = view::Around::of(client, &conflict).await;
    view::show(run, &conflict, &around)?;
    if !conflict.is_open() {
        return Ok(());
    }
    if run.output.asks() {
        return ask::settle(run, client, conflict).await.map(drop);
    }
    run.output.say(show::hint(format!(
        "`syncline settle {id} --theirs`, --ours or --value JSON"
    )));
    Ok(())
}

async fn each(
    run: &Run,
    client: &Client,
    mut query: ConflictsQuery,
    limit: Option<usize>,
) -> Result {
    if !run.output.asks() {
        return Err(Failure::usage_hint(
            "--each asks what to do, and nobody is at the terminal",
            "list them with `syncline conflicts --json`, and end each with `syncline settle`",
        ));
    }
    query.open = Some(true);
    // A limit bounds how many are asked about; what comes after a page does not move when
    // something on it is settled.
    let mut left = limit.unwrap_or(usize::MAX);
    while left > 0 {
        query.limit = Some(left.min(PAGE));
        let page = client.conflicts(&query).await?;
        for conflict in &page.conflicts {
            let Ok(conflict) = Conflict::read(conflict, &Pointer::root()) else {
                continue;
            };
            let around = view::Around::of(client, &conflict).await;
            view::show(run, &conflict, &around)?;
            if ask::settle(run, client, conflict).await? == ask::Answered::Quit {
                return Ok(());
            }
        }
        left -= page.conflicts.len().min(left);
        match page.next {
            Some(next) => query.page = Some(next),
            None => break,
        }
    }
    Ok(())
}

async fn list(run: &Run, client: &Client, query: &ConflictsQuery) -> Result {
    let page = client.conflicts(query).await?;
    if run.output.is_json() {
        let conflicts = Some(("conflicts", Json::from(page.conflicts)));
        let next = page.next.map(|next| ("next", Json::from(next)));
        let answer = conflicts.into_iter().chain(next).collect();
        return run.output.document(&Json::Object(answer));
    }
    let mut pages = Pages::start(run.output);
    let mut conflicts = Vec::with_capacity(page.conflicts.len());
    for conflict in &page.conflicts {
        match Conflict::read(conflict, &Pointer::root()) {
            Ok(conflict) => conflicts.push(conflict),
            Err(error) => run
                .output
                .warn(format!("a conflict cannot be shown: {error}")),
        }
    }
    let ids: Vec<_> = conflicts.iter().map(|conflict| conflict.id).collect();
    for (conflict, short) in conflicts.iter().zip(show::short_ids(&ids)) {
        pages.line(line(conflict, &short))?;
    }
    drop(pages);
    if let Some(next) = page.next {
        run.output
            .say(Line::new().styled(Style::Dim, format!("there are more: --page {next}")));
    }
    match page.conflicts.is_empty() {
        true => run.output.say("no conflict waits"),
        false => run.output.say(show::hint(
            "`syncline conflicts ID` shows the sides; `syncline settle ID --theirs`, --ours or --value JSON ends it",
        )),
    }
    Ok(())
}

/// Returns the one line of a conflict: which, where, what, since when, and who met whom.
fn line(conflict: &Conflict, short: &str) -> Line {
    let mark = if conflict.is_open() { "× " } else { "  " };
    let line = Line::new()
        .styled(Style::Red, mark)
        .cell(Style::Bold, short, 20)
        .styled(Style::Cyan, conflict.context.as_str());
    let line = match &conflict.branch {
        Some(branch) => line.text(format!(" {branch}")),
        None => line,
    };
    let who = format!(
        "{} against {}",
        show::actor(&conflict.by_ours),
        show::actor(&conflict.by_theirs)
    );
    let age = show::ago(conflict.created_at, show::now());
    let state = if conflict.is_open() {
        String::new()
    } else {
        format!("  {}", conflict.state.as_str())
    };
    line.text("  ")
        .text(show::place(&conflict.path))
        .text(format!("  {}  ", conflict.kind.as_str()))
        .styled(Style::Dim, format!("{age}  {who}{state}"))
}
