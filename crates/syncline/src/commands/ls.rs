//! `syncline ls`

use clap::Args;
use syncline_client::Page;
use syncline_model::ids::Address;
use syncline_model::json::{Json, Object};

use crate::clean;
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::{Run, parse_address};
use crate::show;

/// List contexts.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  syncline ls --kind task --label area=auth --sort -updated")]
pub struct LsArgs {
    /// Only this kind.
    #[arg(long)]
    pub kind: Option<String>,
    /// Only children of this context.
    #[arg(long, value_parser = parse_address, value_name = "ADDRESS")]
    pub parent: Option<Address>,
    /// Only with this label; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Only in this state.
    #[arg(long)]
    pub state: Option<String>,
    /// Only this owner's.
    #[arg(long)]
    pub owner: Option<String>,
    /// Only changed since this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub updated_since: Option<String>,
    /// By address, updated, created or title; - before it turns the order round.
    #[arg(long, allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u64,
    /// Go on from an earlier answer's `next`.
    #[arg(long, value_name = "NEXT")]
    pub page: Option<String>,
    /// All pages.
    #[arg(long, conflicts_with_all = ["limit", "page"])]
    pub all: bool,
}

/// Contexts of one request where all are wanted.
const PAGE: u64 = 1_000;

impl LsArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        let mut add = |name, value: Option<String>| query.extend(value.map(|value| (name, value)));
        add("kind", self.kind.clone());
        add("parent", self.parent.as_ref().map(ToString::to_string));
        add("state", self.state.clone());
        add("owner", self.owner.clone());
        add("updated_since", self.updated_since.clone());
        add("sort", self.sort.clone());
        query.extend(self.label.iter().map(|label| ("label", label.clone())));
        query
    }
}

/// Runs the command.
pub async fn run(args: &LsArgs, run: &Run) -> Result {
    let client = run.client()?;
    let (mut contexts, mut cursor) = (Vec::new(), None);
    let mut next = args.page.clone();
    loop {
        let mut query = args.query();
        let limit = if args.all { PAGE } else { args.limit };
        query.push(("limit", limit.to_string()));
        query.extend(next.take().map(|page| ("page", page)));
        let page: Page = client.list(&query).await?;
        contexts.extend(page.contexts);
        cursor = cursor.or(page.cursor);
        next = page.next;
        if next.is_none() || !args.all {
            break;
        }
    }
    if !run.output.is_json() {
        return table(run, &contexts, next.as_deref());
    }
    let mut answer = Object::new();
    answer.insert("contexts", Json::from(contexts));
    answer.insert("next", next.map_or(Json::Null, Json::from));
    if let Some(cursor) = cursor {
        answer.insert("cursor", Json::from(cursor));
    }
    run.output.document(&Json::Object(answer))
}

fn table(run: &Run, contexts: &[Json], next: Option<&str>) -> Result {
    let now = show::now();
    let row = |context: &Json| {
        let version = context.get("version").and_then(Json::as_u64).unwrap_or(0);
        let updated = show::time(context, "updated_at").map(|time| show::ago(time, now));
        [
            show::text(context, "context").to_owned(),
            format!("v{version}"),
            show::text(context, "state").to_owned(),
            updated.unwrap_or_default(),
            clean::clean(&show::actor_of(context)),
            clean::clean(&clean::shorten(show::text(context, "title"), 60)),
        ]
    };
    let rows: Vec<_> = contexts.iter().map(row).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in &rows {
        let styles = [
            Style::Cyan,
            Style::Bold,
            Style::Plain,
            Style::Dim,
            Style::Plain,
            Style::Plain,
        ];
        let cells = row.iter().zip(styles).zip(widths);
        let line = cells.fold(Line::new(), |line, ((text, style), width)| {
            line.cell(style, text, width + 2)
        });
        run.output.line(line)?;
    }
    if let Some(next) = next {
        run.output.say(Line::new().styled(
            Style::Dim,
            format!("there are more: --all, or --page {next}"),
        ));
    }
    Ok(())
}
