//! What a watch shows of what it hears.

use syncline_api::{ContextView, ServerMessage, WireBody, WireChange};
use syncline_client::Event;
use syncline_model::change::ChangeType;
use syncline_model::conflict::ConflictId;
use syncline_model::json::Json;

use super::WatchArgs;
use super::template::Format;
use crate::clean;
use crate::failure::Result;
use crate::output::{Line, Style};
use crate::run::Run;
use crate::show;

/// Shows an event and returns how many changes it was.
pub(super) fn event(run: &Run, args: &WatchArgs, event: Event) -> Result<u64> {
    match event {
        Event::Message { message, json } => return show_message(run, args, &message, &json),
        Event::Connected { .. } => {}
        Event::Disconnected { problem, retry } | Event::Interrupted { problem, retry, .. } => {
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

/// Tells something that is no change.
pub(super) fn note(run: &Run, text: &str) {
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
    if let Some(Format::Template(template)) = &args.format {
        if is_change {
            run.output.line(template.fill(&event_of(json)))?;
        }
        for context in contexts_of(json) {
            run.output.line(template.fill(&context))?;
        }
        return Ok(is_change.into());
    }
    if run.output.is_json() || args.format == Some(Format::Json) {
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
        M::Leave {
            address, branch, ..
        } => {
            let line = Line::new()
                .cell(Style::Plain, "", 10)
                .styled(Style::Cyan, address.as_str());
            let line = match branch {
                Some(branch) => line.text(format!(" ({branch})")),
                None => line,
            };
            run.output.line(line.text("  - left the view"))?;
        }
        _ => {}
    }
    Ok(is_change.into())
}

/// Returns what a template is filled from: a change, or a context that came or left, in a change's
/// form.
fn event_of(message: &Json) -> Json {
    let context = message.get("context").filter(|it| it.as_object().is_some());
    let mut shown = message.get("change").or(context).unwrap_or(message).clone();
    if let (Some(context), Some(members)) = (context, shown.as_object_mut()) {
        let own = |name: &str| message.get(name).or(context.get(name)).cloned();
        for name in ["type", "cursor"] {
            if let Some(value) = own(name) {
                members.insert(name, value);
            }
        }
    }
    shown
}

/// Returns the contexts of a page of a snapshot, each in a change's form.
fn contexts_of(message: &Json) -> Vec<Json> {
    let page = message.get("contexts").and_then(Json::as_array);
    let contexts = page.unwrap_or_default().iter().cloned();
    let shown = contexts.map(|mut context| {
        if let Some(members) = context.as_object_mut() {
            members.insert("type", Json::from("snapshot"));
        }
        context
    });
    shown.collect()
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
