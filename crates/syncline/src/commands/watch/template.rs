//! How a watch shows what it hears.

use syncline_model::json::Json;

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
    pub fn parse(text: &str) -> Result<Format, &'static str> {
        match text {
            "lines" => Ok(Format::Lines),
            "json" => Ok(Format::Json),
            text if text.contains('{') => Template::parse(text).map(Format::Template),
            _ => Err("a format is lines, json, or a text with {names} in it"),
        }
    }
}

impl Template {
    fn parse(text: &str) -> Result<Template, &'static str> {
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
            let close = after.find('}').ok_or("a { has no }")?;
            let names: Vec<String> = after[..close].split('.').map(str::to_owned).collect();
            if names.iter().any(String::is_empty) {
                return Err("between { and } stands a name, such as {context} or {actor.agent}");
            }
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
                        None => {}
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use syncline_model::json::Limits;

    #[test]
    fn values_are_filled_in() {
        let text = r#"{"context":"task/a","actor":{"agent":"c"},"n":[1],"m":"a\nb"}"#;
        let json = Json::parse(text.as_bytes(), &Limits::default()).unwrap();
        for (template, expected) in [
            ("{context}", "task/a"),
            ("{context} by {actor.agent}{missing}{n.x}!", "task/a by c!"),
            ("{n} {m} {{x}", "[1] a\nb {x}"),
        ] {
            let Ok(Format::Template(template)) = Format::parse(template) else {
                panic!("{template} is a template");
            };
            assert_eq!(template.fill(&json), expected);
        }
        for bad in ["", "text", "{", "{}", "{a..b}"] {
            assert!(Format::parse(bad).is_err(), "{bad}");
        }
    }
}
