//! One conflict with its three sides, and what differs from the base marked.

use syncline_client::Client;
use syncline_model::conflict::{Conflict, Strategy};
use syncline_model::ids::Version;
use syncline_model::json::Json;
use syncline_model::time::Timestamp;

use super::marked::parts;
use crate::clean;
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// What fits beside a side's label; longer values stand below it.
const BESIDE_CHARS_MAX: usize = 60;
/// Bounds a side on the screen; `--json` has it whole.
const LINES_MAX: usize = 60;
/// So many of the lines before the first difference are shown.
const LINES_BEFORE: usize = 10;
const LINE_CHARS_MAX: usize = 400;
/// Bounds the places that are named as merged.
const MERGED_NAMED_MAX: usize = 8;

/// What stands around a conflict in its context's history.
#[derive(Default)]
pub struct Around {
    /// The version that the write was made on.
    base: Option<Version>,
    /// The version that set what the head holds.
    theirs: Option<Version>,
    /// The line that was merged, where the conflict comes of that.
    ours: Option<String>,
    /// Where the same write did what it wanted.
    merged: Vec<String>,
}

impl Around {
    /// Reads what can be read; a view without it is still a view.
    pub async fn of(client: &Client, conflict: &Conflict) -> Around {
        let (context, branch) = (&conflict.context, conflict.branch.as_ref());
        let below = conflict.opened.next().to_string();
        let opened = client.versions(context, branch, Some(&below), Some(1));
        let opened = opened.await.ok();
        let opened = opened
            .as_ref()
            .and_then(|page| page.get("versions")?.as_array()?.first());
        let member = |name: &str| opened.and_then(|change| change.get(name));
        let changed = member("changed")
            .and_then(Json::as_array)
            .unwrap_or_default();
        let changed = changed.iter().filter_map(Json::as_str);
        let blamed = client.blame(context, branch, &conflict.path).await.ok();
        let version = |json: Option<&Json>| json.and_then(Json::as_u64).map(Version);
        let merges = member("merges");
        let line = merges.and_then(|line| line.get("branch")?.as_str());
        let at = version(merges.and_then(|line| line.get("version")));
        Around {
            // What two lines have in common need not be a version of either.
            base: version(member("base")).filter(|_| merges.is_none()),
            theirs: version(blamed.as_ref().and_then(|blamed| blamed.get("version"))),
            ours: line.zip(at).map(|(line, at)| format!("{line} v{at}")),
            merged: changed.map(str::to_owned).collect(),
        }
    }

    /// Says of which line the side is that waits; nothing where it is the head's own.
    fn of_line(&self) -> String {
        let line = self.ours.as_ref();
        line.map_or_else(String::new, |line| format!("of {line}"))
    }
}

/// Shows a conflict.
pub fn show(run: &Run, conflict: &Conflict, around: &Around) -> Result {
    if run.output.is_plain() {
        in_words(run, conflict, around)
    } else {
        in_columns(run, conflict, around)
    }
}

fn in_columns(run: &Run, conflict: &Conflict, around: &Around) -> Result {
    let asks = run.output.asks() && conflict.is_open();
    let key = |key: &'static str| if asks { key } else { "" };
    run.output.line(
        Line::new()
            .styled(Style::Cyan, place_of(conflict))
            .text("  ")
            .styled(Style::Bold, show::place(&conflict.path))
            .text(format!(
                "  {}   {}   ",
                conflict.kind.as_str(),
                since(conflict)
            ))
            .styled(Style::Dim, strategies(conflict)),
    )?;
    let sides = [
        Side::base(conflict, around),
        Side::theirs(conflict, around, key("[t]")),
        Side::ours(conflict, around, key("[o]")),
    ];
    let form = Form::of(conflict);
    let base = conflict.base.as_ref().map(|base| form.text(base));
    for (side, differs) in sides.iter().zip(form.differ(conflict)) {
        side.show(run, &form, base.as_deref(), differs)?;
    }
    let said = [
        ("reason", one_line(&conflict.reason)),
        ("why", why(conflict).map(|why| format!("ours: {why}"))),
    ];
    for (name, said) in said {
        if let Some(said) = said {
            let line = Line::new().text("  ").cell(Style::Bold, name, 7);
            run.output.line(line.text(said))?;
        }
    }
    let merged = merged(conflict, around);
    let keys = key("[e]dit [s]kip [?]");
    if !merged.is_empty() || asks {
        let merged = match merged.is_empty() {
            true => String::new(),
            false => format!("merged already: {}", merged.join(", ")),
        };
        let line = Line::new().text("  ").cell(Style::Plain, merged, 48);
        run.output
            .line(line.text("  ").styled(Style::Yellow, keys))?;
    }
    Ok(())
}

/// One side, as the columns show it.
struct Side<'a> {
    name: &'static str,
    version: Option<Version>,
    who: String,
    value: Option<&'a Json>,
    note: String,
    key: &'static str,
}

impl<'a> Side<'a> {
    fn base(conflict: &'a Conflict, around: &Around) -> Side<'a> {
        Side {
            name: "base",
            version: around.base,
            who: String::new(),
            value: conflict.base.as_ref(),
            note: String::new(),
            key: "",
        }
    }

    fn theirs(conflict: &'a Conflict, around: &Around, key: &'static str) -> Side<'a> {
        Side {
            name: "theirs",
            version: around.theirs,
            who: show::actor(&conflict.by_theirs),
            value: conflict.theirs.as_ref(),
            note: match conflict.is_open() {
                true => "is the head".to_owned(),
                false => String::new(),
            },
            key,
        }
    }

    fn ours(conflict: &'a Conflict, around: &Around, key: &'static str) -> Side<'a> {
        Side {
            name: "ours",
            version: None,
            who: show::actor(&conflict.by_ours),
            value: conflict.ours.as_ref(),
            note: around.of_line(),
            key,
        }
    }

    fn show(&self, run: &Run, form: &Form, base: Option<&str>, differs: usize) -> Result {
        let version = self.version.map(|version| format!("v{version}"));
        let label = Line::new()
            .text("  ")
            .cell(Style::Bold, self.name, 7)
            .cell(Style::Plain, version.unwrap_or_default(), 4)
            .text(" ")
            .cell(Style::Plain, &self.who, 12)
            .text(" ");
        let text = self.value.map(|value| form.text(value));
        let base = base.filter(|_| self.name != "base");
        let mut lines = match &text {
            None => vec![Line::new().styled(Style::Dim, "(nothing)")],
            Some(text) => form.lines(base.or(self.is_new(base)), text, differs),
        };
        let notes = |line: Line| {
            line.styled(Style::Dim, format!("   {}", self.note))
                .styled(Style::Yellow, format!("   {}", self.key))
        };
        let beside = text
            .as_ref()
            .is_none_or(|text| text.chars().count() <= BESIDE_CHARS_MAX);
        if lines.len() == 1 && beside {
            return run.output.line(notes(label.then(lines.remove(0))));
        }
        run.output.line(notes(label))?;
        let below = |line| run.output.line(Line::new().text("    ").then(line));
        lines.into_iter().try_for_each(below)
    }

    /// Returns the empty base of a side that began from nothing: all of it is new.
    fn is_new(&self, base: Option<&str>) -> Option<&'static str> {
        (base.is_none() && self.name != "base").then_some("")
    }
}

/// How the sides' values are written: all of them as texts, or all of them as JSON.
struct Form {
    texts: bool,
    /// What stands before and after what is new; texts with braces of their own take a longer form.
    marks: (&'static str, &'static str),
}

impl Form {
    fn of(conflict: &Conflict) -> Form {
        let sides = [&conflict.base, &conflict.theirs, &conflict.ours];
        let sides = sides.into_iter().flatten();
        let texts = sides.clone().all(|side| side.as_str().is_some());
        let mut form = Form {
            texts,
            marks: ("{", "}"),
        };
        if sides
            .map(|side| form.text(side))
            .any(|text| text.contains(['{', '}']))
        {
            form.marks = ("{+", "+}");
        }
        form
    }

    fn text(&self, value: &Json) -> String {
        match value.as_str().filter(|_| self.texts) {
            Some(text) => text.to_owned(),
            None => {
                let text = value.to_text();
                match text.chars().nth(BESIDE_CHARS_MAX) {
                    Some(_) => value.to_pretty(),
                    None => text,
                }
            }
        }
    }

    /// Returns for base, theirs and ours in which line they differ first: the sides from the base,
    /// or from each other where there is none, and the base from either.
    fn differ(&self, conflict: &Conflict) -> [usize; 3] {
        let sides = [&conflict.base, &conflict.theirs, &conflict.ours];
        let texts = sides.map(|side| side.as_ref().map(|side| self.text(side)));
        let [base, theirs, ours] = texts.each_ref().map(Option::as_deref);
        [
            differs_at(base, [theirs, ours]),
            differs_at(theirs, [base, ours.filter(|_| base.is_none())]),
            differs_at(ours, [base, theirs.filter(|_| base.is_none())]),
        ]
    }

    /// Returns a side's lines; what its base lacks is marked, if there is a base to compare with.
    /// Of many lines those around the first difference are shown.
    fn lines(&self, base: Option<&str>, text: &str, differs: usize) -> Vec<Line> {
        let whole = [super::marked::Part { text, new: false }];
        let parts = base.map(|base| parts(base, text));
        let mut lines = vec![Line::new()];
        for part in parts.as_deref().unwrap_or(&whole) {
            for (index, piece) in part.text.split('\n').enumerate() {
                if index > 0 {
                    lines.push(Line::new());
                }
                let line = lines.pop().unwrap_or_default();
                let piece = clean::shorten(piece, LINE_CHARS_MAX);
                lines.push(match part.new && !piece.is_empty() {
                    true => {
                        let (begin, end) = self.marks;
                        line.styled(Style::Green, format!("{begin}{piece}{end}"))
                    }
                    false => line.text(piece),
                });
            }
        }
        around(lines, differs)
    }
}

/// Cuts many lines to those around one, and says how many are left out before and after.
fn around(mut lines: Vec<Line>, differs: usize) -> Vec<Line> {
    let more = lines.len().saturating_sub(LINES_MAX);
    if more == 0 {
        return lines;
    }
    let before = differs.saturating_sub(LINES_BEFORE).min(more);
    let left_out = |count: usize, place: &str| {
        let count = show::count(count as u64, "line");
        let text = format!("… {count} {place}; --json has all");
        Line::new().styled(Style::Dim, text)
    };
    let mut shown: Vec<_> = lines.drain(before..before + LINES_MAX).collect();
    if before > 0 {
        shown.insert(0, left_out(before, "before"));
    }
    if more > before {
        shown.push(left_out(more - before, "after"));
    }
    shown
}

/// Returns the first line of a side in which it differs from another one.
fn differs_at(side: Option<&str>, others: [Option<&str>; 2]) -> usize {
    let Some(side) = side else {
        return 0;
    };
    let others = others.into_iter().flatten().filter(|other| *other != side);
    let same = others.map(|other| {
        let lines = side.split('\n').zip(other.split('\n'));
        lines.take_while(|(one, other)| one == other).count()
    });
    same.min().unwrap_or(0)
}

/// The same as sentences, for who hears it read.
fn in_words(run: &Run, conflict: &Conflict, around: &Around) -> Result {
    run.output.line(format!(
        "conflict {} in {} at {}, kind {}, {}, strategy {}",
        conflict.id,
        place_of(conflict),
        show::place(&conflict.path),
        conflict.kind.as_str(),
        since(conflict),
        conflict.strategy.as_str(),
    ))?;
    let form = Form::of(conflict);
    let version = |version: Option<Version>| {
        version.map_or_else(String::new, |version| format!(", version {version}"))
    };
    let sides = [
        (format!("base{}", version(around.base)), &conflict.base),
        (
            format!(
                "theirs, what the head holds, by {}{}",
                show::actor(&conflict.by_theirs),
                version(around.theirs)
            ),
            &conflict.theirs,
        ),
        (
            format!(
                "ours, what waits, by {}{}{}",
                show::actor(&conflict.by_ours),
                if around.ours.is_some() { ", " } else { "" },
                around.of_line()
            ),
            &conflict.ours,
        ),
    ];
    for ((name, value), differs) in sides.into_iter().zip(form.differ(conflict)) {
        let text = value.as_ref().map(|value| form.text(value));
        let Some(text) = text else {
            run.output.line(format!("{name}: nothing"))?;
            continue;
        };
        let mut lines = form.lines(None, &text, differs);
        if lines.len() == 1 {
            run.output
                .line(Line::new().text(format!("{name}: ")).then(lines.remove(0)))?;
            continue;
        }
        run.output.line(format!("{name}:"))?;
        lines
            .into_iter()
            .try_for_each(|line| run.output.line(line))?;
    }
    if let Some(reason) = one_line(&conflict.reason) {
        run.output.line(format!("reason: {reason}"))?;
    }
    if let Some(why) = why(conflict) {
        run.output.line(format!("why ours: {why}"))?;
    }
    let merged = merged(conflict, around);
    if !merged.is_empty() {
        run.output
            .line(format!("merged already: {}", merged.join(", ")))?;
    }
    Ok(())
}

/// Returns what the writer said about the write that waits, on one line.
fn why(conflict: &Conflict) -> Option<String> {
    one_line(conflict.message.as_deref()?)
}

/// Returns what somebody said on one line, if it says anything.
fn one_line(said: &str) -> Option<String> {
    let words: Vec<_> = said.split_whitespace().collect();
    Some(clean::shorten(&words.join(" "), LINE_CHARS_MAX)).filter(|said| !said.is_empty())
}

fn place_of(conflict: &Conflict) -> String {
    match &conflict.branch {
        Some(branch) => format!("{} {branch}", conflict.context),
        None => conflict.context.to_string(),
    }
}

/// Says how long a conflict waits and when it is due, or how it ended.
fn since(conflict: &Conflict) -> String {
    if !conflict.is_open() {
        let closed = conflict.closed.map(|version| format!(" in v{version}"));
        return conflict.state.as_str().to_owned() + &closed.unwrap_or_default();
    }
    let now = show::now();
    let open = show::ago(conflict.created_at, now);
    format!("open {open}, {}", due(conflict.deadline, now))
}

fn due(deadline: Timestamp, now: Timestamp) -> String {
    match deadline < now {
        true => format!("overdue {}", show::ago(deadline, now)),
        false => format!("due in {}", show::ago(now, deadline)),
    }
}

fn strategies(conflict: &Conflict) -> String {
    match conflict.strategy {
        Strategy::Manual => "manual".to_owned(),
        strategy => format!("{} → manual", strategy.as_str()),
    }
}

/// Names the places where the same write did what it wanted.
fn merged(conflict: &Conflict, around: &Around) -> Vec<String> {
    let elsewhere = around.merged.iter().filter(|path| **path != *conflict.path);
    let mut named: Vec<_> = elsewhere.map(|path| clean::shorten(path, 100)).collect();
    let more = named.len().saturating_sub(MERGED_NAMED_MAX);
    if more > 0 {
        named.truncate(MERGED_NAMED_MAX);
        named.push(format!("and {more} more"));
    }
    named
}
