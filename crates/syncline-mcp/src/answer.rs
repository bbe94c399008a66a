//! What a tool answers: the same twice, in words and in structure.

use syncline_api::{Problem, Sides, shorten};
use syncline_model::json::{Json, Object};

use crate::quote;

/// Bounds the sides of a refused write, together.
const SIDES_TOKENS_MAX: usize = 3_000;
/// Bounds a problem's detail, which may repeat what was sent.
const DETAIL_CHARS_MAX: usize = 1_000;

/// A tool's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For models whose program shows text.
    pub(crate) text: String,
    /// For models whose program shows structure; an object.
    pub(crate) structured: Json,
    /// The tool did not do what was asked.
    pub(crate) is_error: bool,
}

impl Answer {
    /// Makes an answer of lines and members.
    pub(crate) fn new(lines: &[String], members: Object) -> Answer {
        Answer {
            text: lines.join("\n"),
            structured: Json::Object(members),
            is_error: false,
        }
    }

    /// Says what went wrong, in a bounded form.
    pub(crate) fn refused(problem: &Problem) -> Answer {
        let (mut lines, error) = describe(problem);
        let mut members = Object::new();
        members.insert("error", Json::Object(error));
        if let Some(sides) = &problem.sides {
            for (name, value) in shortened(sides).iter() {
                lines.push(format!("{name}: {}", quote::json(value)));
                members.insert(name, value.clone());
            }
        }
        let answer = Answer::new(&lines, members);
        Answer {
            is_error: true,
            ..answer
        }
    }

    /// Adds lines, and the members that they say.
    pub(crate) fn and(mut self, lines: &[String], more: Object) -> Answer {
        for line in lines {
            self.text += "\n";
            self.text += line;
        }
        if let Some(members) = self.structured.as_object_mut() {
            members.extend(
                more.entries()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        self
    }

    /// Adds a member, and a line that says it.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Answer {
        self.text += &format!("\n{name}: {}", quote::word(value));
        if let Some(members) = self.structured.as_object_mut() {
            members.insert(name, Json::from(value));
        }
        self
    }
}

/// Returns a problem in words, and as members.
pub(crate) fn describe(problem: &Problem) -> (Vec<String>, Object) {
    let detail = quote::cut(&problem.detail, DETAIL_CHARS_MAX);
    let mut lines = vec![quote::sentence(&format!(
        "{}: {detail} ({})",
        problem.code.title(),
        problem.code.name()
    ))];
    let mut members = Object::new();
    members.insert("code", Json::from(problem.code.name()));
    members.insert("title", Json::from(problem.code.title()));
    members.insert("detail", Json::from(detail));
    let mut say = |name: &str, value: Json| {
        let shown = value.as_str().map(quote::sentence);
        let shown = shown.unwrap_or_else(|| value.to_text());
        lines.push(format!("{}: {shown}", name.replace('_', " ")));
        members.insert(name, value);
    };
    if let Some(pointer) = problem.pointer.as_ref().filter(|p| !p.is_root()) {
        say("pointer", Json::from(quote::cut(&pointer.to_string(), 300)));
    }
    if let Some(met) = &problem.limit {
        say("limit", Json::from(met.limit));
        if let Some(setting) = &met.setting {
            say("setting", Json::from(setting.as_str()));
        }
    }
    if let Some(reason) = problem.reason {
        say("reason", Json::from(reason.as_str()));
    }
    if let Some(after) = problem.retry_after_ms {
        say("retry_after_ms", Json::from(after));
    }
    if let Some(hint) = &problem.hint {
        say("hint", Json::from(quote::cut(hint, DETAIL_CHARS_MAX)));
    }
    (lines, members)
}

/// Returns the sides that there are, shortened together, with `partial` if anything is left out.
fn shortened(sides: &Sides) -> Object {
    let named = [
        ("base", &sides.base),
        ("ours", &sides.ours),
        ("theirs", &sides.theirs),
    ];
    let there = named
        .into_iter()
        .filter_map(|(name, side)| Some((name, side.clone()?)));
    let whole: Json = Json::Object(there.collect());
    match fitted(&whole, SIDES_TOKENS_MAX) {
        Json::Object(object) => object,
        _ => Object::new(),
    }
}

/// Shortens a value until it takes about `tokens_max` also as text, where escapes count.
pub(crate) fn fitted(value: &Json, tokens_max: usize) -> Json {
    let bytes_max = bytes_of(tokens_max);
    let mut tokens = tokens_max;
    loop {
        let (part, _) = shorten(value, tokens);
        if tokens <= 1 || quote::json(&part).len() <= bytes_max + bytes_max / 4 {
            return part;
        }
        tokens /= 2;
    }
}

/// About how many bytes of JSON so many tokens are.
pub(crate) fn bytes_of(tokens: usize) -> usize {
    tokens.saturating_mul(27) / 10
}

/// About how many tokens so many bytes of JSON are.
pub(crate) fn tokens_of(bytes: usize) -> usize {
    bytes.saturating_mul(10) / 27
}
