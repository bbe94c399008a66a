//! `context_list`: which contexts there are, a line each.

use syncline_api::Problem;
use syncline_model::ids::{Address, Kind, PrincipalId};
use syncline_model::json::{Json, Object};
use syncline_model::time::Timestamp;

use crate::answer::Answer;
use crate::arguments::{Arguments, bad};
use crate::callers::Caller;
use crate::quote;

const LIMIT_DEFAULT: u64 = 25;
const LIMIT_MAX: u64 = 100;
/// Bounds a line: a title says what a context is about within these.
const TITLE_CHARS_MAX: usize = 80;
const STATE_CHARS_MAX: usize = 40;
/// Bounds what goes into a URL.
const TEXT_CHARS_MAX: usize = 2_000;
const LABELS_MAX: usize = 20;
const LABEL_CHARS_MAX: usize = 300;

const SORTS: [&str; 8] = [
    "address", "-address", "updated", "-updated", "created", "-created", "title", "-title",
];

pub(crate) async fn call(caller: &Caller, arguments: &Json) -> Result<Answer, Problem> {
    let page = caller.client.list(&read(arguments)?).await?;
    let mut lines = Vec::new();
    let mut entries = Vec::new();
    for view in &page.contexts {
        let (line, entry) = show(view);
        lines.push(line);
        entries.push(entry);
    }
    if lines.is_empty() {
        lines.push("no context matches".to_owned());
    }
    let mut members = Object::new();
    members.insert("contexts", Json::from(entries));
    let answer = Answer::new(&lines, members);
    Ok(match &page.next {
        Some(next) => answer.with("next", next),
        None => answer,
    })
}

fn read(arguments: &Json) -> Result<Vec<(&'static str, String)>, Problem> {
    let mut a = Arguments::new(arguments)?;
    let mut query = vec![("fields", "/title,/state".to_owned())];
    let mut add = |name, value: Option<String>| query.extend(value.map(|value| (name, value)));
    add(
        "kind",
        a.parse("kind", Kind::parse)?.map(|kind| kind.to_string()),
    );
    add(
        "parent",
        a.parse("parent", Address::parse)?
            .map(|parent| parent.to_string()),
    );
    add("state", a.text("state", TEXT_CHARS_MAX)?.map(str::to_owned));
    add(
        "owner",
        a.parse("owner", PrincipalId::parse)?
            .map(|owner| owner.to_string()),
    );
    let since = a.parse("updated_since", Timestamp::parse)?;
    add("updated_since", since.map(|time| time.to_string()));
    let sort = a.parse("sort", |text| match SORTS.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("one of {} is meant", SORTS.join(", "))),
    })?;
    add("sort", Some(sort.unwrap_or_else(|| "-updated".to_owned())));
    let limit = a.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    add("limit", Some(limit.to_string()));
    add("page", a.text("page", TEXT_CHARS_MAX)?.map(str::to_owned));
    if let Some(labels) = a.any("label") {
        for label in read_labels(labels)? {
            add("label", Some(label));
        }
    }
    a.finish()?;
    Ok(query)
}

fn read_labels(labels: &Json) -> Result<Vec<String>, Problem> {
    let meant = || {
        bad(
            "label",
            "an object of labels with text is meant, such as {\"area\":\"auth\"}",
        )
    };
    let labels = labels.as_object().ok_or_else(meant)?;
    if labels.len() > LABELS_MAX {
        return Err(bad("label", format!("at most {LABELS_MAX} labels fit")));
    }
    let one = |(key, value): (&str, &Json)| {
        let value = value.as_str().ok_or_else(meant)?;
        if key.contains([':', '=']) || key.len() + value.len() > LABEL_CHARS_MAX {
            return Err(bad(
                "label",
                "the label is too long, or its key has a : or =",
            ));
        }
        Ok(format!("{key}={value}"))
    };
    labels.iter().map(one).collect()
}

/// Returns a context's line, and the same as members.
fn show(view: &Json) -> (String, Json) {
    let text = |name: &str| {
        view.get(name)
            .and_then(Json::as_str)
            .filter(|text| !text.is_empty())
    };
    let mut entry = Object::new();
    let context = text("context").unwrap_or_default();
    let version = view.get("version").and_then(Json::as_u64).unwrap_or(0);
    entry.insert("context", Json::from(context));
    entry.insert("version", Json::from(version));
    let mut line = format!("{} v{version}", quote::word(context));
    if let Some(state) = text("state") {
        let state = quote::cut(state, STATE_CHARS_MAX);
        line += &format!(" {}", quote::word(&state));
        entry.insert("state", Json::from(state));
    }
    if let Some(updated) = text("updated_at") {
        line += &format!(" {updated}");
        entry.insert("updated_at", Json::from(updated));
    }
    if let Some(title) = text("title") {
        let title = quote::cut(title, TITLE_CHARS_MAX);
        line += &format!(" {}", quote::string(&title));
        entry.insert("title", Json::from(title));
    }
    (line, Json::Object(entry))
}
