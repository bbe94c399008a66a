//! How a watch shows what it hears.

use syncline_model::json::Json;

/// What a change holds: an event's members.
const KNOWN: [&str; 29] = [
    "actor",
    "base",
    "blind",
    "branch",
    "bulk",
    "changed",
    "committed_at",
    "conflicts",
    "context",
    "cursor",
    "enc",
    "from",
    "hash",
    "hlc",
    "id",
    "labels",
    "merges",
    "message",
    "old",
    "outcome",
    "parent",
    "patch",
    "priority",
    "project",
    "seq",
    "settled",
    "snapshot",
    "type",
    "version",
];
/// What an actor holds.
const OF_ACTOR: [&str; 4] = ["id", "agent", "session", "tool_call"];

/// A form of what is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line for a person.
    Lines,
    /// The wire's JSON, a line each.
    Json,
    /// A text with values filled in.
    Template(Template),
}

/// A text in which `{name.name}` stands for a value; `{{` is a brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Vec<String>),
}

impl Format {
    /// Reads `lines`, `json`, or a template.
    pub fn parse(text: &str) -> Result<Format, String> {
        match text {
            "lines" => Ok(Format::Lines),
            "json" => Ok(Format::Json),
            text if text.contains('{') => Template::parse(text).map(Format::Template),
            _ => Err("a format is lines, json, or a text with {names} in it".to_owned()),
        }
    }
}

impl Template {
    fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, after) = (&rest[..open], &rest[open + 1..]);
            parts.push(Part::Text(before.to_owned()));
            if let Some(after) = after.strip_prefix('{') {
                parts.push(Part::Text("{".to_owned()));
                rest = after;
                continue;
            }
            let close = after.find('}').ok_or("a { has no }".to_owned())?;
            let names: Vec<String> = after[..close].split('.').map(str::to_owned).collect();
            check(&names)?;
            parts.push(Part::Value(names));
            rest = &after[close + 1..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Template(parts))
    }

    /// Fills the values in: texts as they are, others as JSON, nothing for what is not there. What
    /// shows it must clean it.
    pub fn fill(&self, from: &Json) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Value(names) => {
                    let found = names.iter().try_fold(from, |value, name| value.get(name));
                    match found {
                        Some(Json::String(text)) => out.push_str(text),
                        Some(value) => out.push_str(&value.to_text()),
                        None => out.push_str(default_of(names, from)),
                    }
                }
            }
        }
        out
    }
}

/// Returns what a change means that does not say it.
fn default_of(names: &[String], change: &Json) -> &'static str {
    let Some(context) = change.get("context").and_then(Json::as_str) else {
        return "";
    };
    let is_change = !matches!(
        change.get("type").and_then(Json::as_str),
        Some("enter" | "leave" | "snapshot")
    );
    match names {
        [name] if name == "parent" && context != "global/main" => "global/main",
        _ if !is_change => "",
        [name] if name == "outcome" => "applied",
        [name] if name == "priority" => "3",
        _ => "",
    }
}

/// Refuses what no change holds: it would be shown as nothing, each time.
fn check(names: &[String]) -> Result<(), String> {
    if names.iter().any(String::is_empty) {
        let form = "between { and } stands a name, such as {context} or {actor.agent}";
        return Err(form.to_owned());
    }
    let unknown = |name: &str, of: &str, known: &[&str]| {
        format!("{of} has no {name:?}; it has {}", known.join(", "))
    };
    match names {
        [name, ..] if !KNOWN.contains(&name.as_str()) => Err(unknown(name, "a change", &KNOWN)),
        [actor, name, ..] if actor == "actor" && !OF_ACTOR.contains(&name.as_str()) => {
            Err(unknown(name, "an actor", &OF_ACTOR))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use syncline_model::json::Limits;

    #[test]
    fn values_are_filled_in() {
        let text =
            r#"{"context":"task/a","actor":{"agent":"c"},"changed":["/a"],"message":"a\nb"}"#;
        let json = Json::parse(text.as_bytes(), &Limits::default()).unwrap();
        for (template, expected) in [
            ("{context}", "task/a"),
            ("{context} in {parent}", "task/a in global/main"),
            ("{priority} {outcome}", "3 applied"),
            (
                "{context} by {actor.agent}{branch}{changed.x}!",
                "task/a by c!",
            ),
            ("{changed} {message} {{x}", "[\"/a\"] a\nb {x}"),
        ] {
            let Ok(Format::Template(template)) = Format::parse(template) else {
                panic!("{template} is a template");
            };
            assert_eq!(template.fill(&json), expected);
        }
        for bad in ["", "text", "{", "{}", "{a..b}"] {
            assert!(Format::parse(bad).is_err(), "{bad}");
        }
        for (bad, why) in [
            ("{bogus}", "a change has no \"bogus\"; it has actor, base, "),
            (
                "{actor.name}",
                "an actor has no \"name\"; it has id, agent, ",
            ),
        ] {
            assert!(Format::parse(bad).unwrap_err().starts_with(why), "{bad}");
        }
    }

    #[test]
    fn what_is_known_is_what_the_wire_says() {
        let document = syncline_http::asyncapi_document();
        let document = Json::parse(document.as_bytes(), &Limits::default()).unwrap();
        let place =
            syncline_model::json::Pointer::from_static("/components/schemas/Change/properties");
        let members = document.pointer(&place).unwrap().as_object().unwrap();
        let members: Vec<&str> = members.keys().map(AsRef::as_ref).collect();
        assert_eq!(members, KNOWN);
    }
}
