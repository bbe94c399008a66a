//! `syncline export`

use clap::Args;
use syncline_client::{ChangesQuery, Client};
use syncline_model::json::Json;

use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Write all contexts as JSON lines, or with --changes the whole log.
///
/// Contexts come with parents before their children, as `syncline import` wants them.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  syncline export > contexts.jsonl\n  syncline export --changes > log.jsonl"
)]
pub struct ExportArgs {
    /// Write changes instead of contexts.
    #[arg(long)]
    pub changes: bool,
    /// With --changes: only what follows this cursor.
    #[arg(
        long,
        visible_alias = "since",
        value_name = "CURSOR",
        requires = "changes"
    )]
    pub after: Option<String>,
    /// Only this kind.
    #[arg(long, conflicts_with = "changes")]
    pub kind: Option<String>,
}

/// Rows of one request.
const PAGE: usize = 500;

/// Runs the command.
pub async fn run(args: &ExportArgs, run: &Run) -> Result {
    let client = run.client()?;
    if args.changes {
        changes(args, run, &client).await
    } else {
        contexts(args, run, &client).await
    }
}

async fn contexts(args: &ExportArgs, run: &Run, client: &Client) -> Result {
    // By creation, since a context is made after its parent; one that was moved later is
    // imported in a second round.
    let mut count = 0;
    let mut page = None;
    loop {
        let mut query = vec![("sort", "created".to_owned()), ("limit", PAGE.to_string())];
        query.extend(args.kind.clone().map(|kind| ("kind", kind)));
        query.extend(page.take().map(|next| ("page", next)));
        let answer = client.list(&query).await?;
        for context in answer
            .contexts
            .iter()
            .filter(|context| !is_untouched_root(context))
        {
            run.output.row(context)?;
            count += 1;
        }
        page = answer.next;
        if page.is_none() {
            break;
        }
    }
    say(run, count, "context");
    Ok(())
}

/// The root is on every node; it is written only once somebody changed it.
fn is_untouched_root(context: &Json) -> bool {
    show::text(context, "context") == "global/main"
        && context.get("version").and_then(Json::as_u64) == Some(1)
}

async fn changes(args: &ExportArgs, run: &Run, client: &Client) -> Result {
    let mut count = 0;
    let mut after = args.after.clone();
    loop {
        let query = ChangesQuery {
            after: after.clone(),
            limit: Some(PAGE),
            ..Default::default()
        };
        let answer = client.changes(&query).await?;
        for item in &answer.items {
            run.output.row(item)?;
            // The marks around a bulk are no changes.
            count += u64::from(item.get("seq").is_some());
        }
        if answer.items.is_empty() || answer.cursor == after {
            break;
        }
        after = answer.cursor;
    }
    say(run, count, "change");
    Ok(())
}

fn say(run: &Run, count: u64, what: &str) {
    if !run.output.is_json() {
        run.output
            .say(Line::new().styled(Style::Dim, format!("{} written", show::count(count, what))));
    }
}
