//! The query of a request: decoded, checked against the names that the call knows.

use std::time::Duration;

use syncline_api::{Code, Problem};
use syncline_model::json::Pointer;

/// Bounds the members of a query: nothing that we know has more.
const MEMBERS_MAX: usize = 200;

/// A decoded query.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query; names that are not `known` are refused, and all but `repeatable` may come
    /// once.
    pub fn read(
        text: Option<&str>,
        known: &[&'static str],
        repeatable: &[&str],
    ) -> Result<Query, Problem> {
        let text = text.unwrap_or_default();
        let mut members: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (form_decode(name), form_decode(value)) else {
                return Err(bad("the query is not percent-encoded UTF-8"));
            };
            if members.len() == MEMBERS_MAX {
                return Err(bad(format!("a query has at most {MEMBERS_MAX} members")));
            }
            check_name(&name, &members, known, repeatable)?;
            members.push((name, value));
        }
        Ok(Query(members))
    }

    /// Returns a member.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns all members of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Reads a member; what it cannot be is a bad request.
    pub fn parse<T, E: std::fmt::Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        read(text)
            .map(Some)
            .map_err(|error| bad(format!("the query's {name}: {error}")))
    }

    /// Reads a kind, an address, an owner or a branch: a wrong one is 422, as everywhere.
    pub fn named<T, E: std::fmt::Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.parse(name, read).map_err(|problem| Problem {
            code: Code::Invalid,
            ..problem
        })
    }

    /// Reads a member that a body would have under the same name: a wrong one is 422, with its place.
    pub fn field<T, E: std::fmt::Display>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.named(name, read)
            .map_err(|problem| problem.at(Pointer::root().child(name)))
    }

    /// Reads a flag: `true`, `false`, or its name alone.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        let read = |text: &str| match text {
            "true" | "1" | "" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err("a flag is true or false"),
        };
        Ok(self.parse(name, read)?.unwrap_or(false))
    }

    /// Reads a whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.parse(name, |text| {
            text.parse::<u64>().map_err(|_| "a whole number is meant")
        })
    }

    /// Reads how long to wait, in milliseconds. No wait is longer than `max`: whoever asks for more
    /// is answered sooner, and asks again.
    pub fn wait(&self, name: &str, max: Duration) -> Result<Duration, Problem> {
        let wait = Duration::from_millis(self.number(name)?.unwrap_or(0));
        Ok(wait.min(max))
    }

    /// Reads a number of items: at least 1, and no more than `max`.
    pub fn limit(&self, default: usize, max: usize) -> Result<usize, Problem> {
        let Some(limit) = self.number("limit")? else {
            return Ok(default.min(max));
        };
        let fits = usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=max).contains(limit));
        fits.ok_or_else(|| {
            bad(format!("the query's limit: 1 to {max} items fit a page"))
                .limit(max as u64, "max_page")
        })
    }
}

/// Makes the answer for a request that is not understood.
pub(crate) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(Code::BadRequest, detail)
}

fn check_name(
    name: &str,
    before: &[(String, String)],
    known: &[&'static str],
    repeatable: &[&str],
) -> Result<(), Problem> {
    if !known.contains(&name) {
        let shown: String = name.chars().take(60).collect();
        let hint = match known {
            [] => "this call takes no query".to_owned(),
            known => format!("known here: {}", known.join(", ")),
        };
        return Err(bad(format!("the query has an unknown member {shown:?}")).hint(hint));
    }
    if before.iter().any(|(seen, _)| seen == name) && !repeatable.contains(&name) {
        return Err(bad(format!("the query has {name} twice")));
    }
    Ok(())
}

fn form_decode(text: &str) -> Option<String> {
    percent_decode(&text.replace('+', " "))
}

/// Decodes percent-encoded UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let hex = after
            .get(..2)
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn queries_are_decoded_and_checked() {
        let query = Query::read(Some("a=1%202&b=x+y&b=z&c"), &["a", "b", "c"], &["b"]).unwrap();
        assert_eq!(query.text("a"), Some("1 2"));
        assert_eq!(query.all("b").collect::<Vec<_>>(), ["x y", "z"]);
        assert!(query.flag("c").unwrap());
        for bad in ["d=1", "a=1&a=2", "a=%zz", "a=%ff", "%=1", "a=%2"] {
            let problem = Query::read(Some(bad), &["a", "b"], &["b"]).unwrap_err();
            assert_eq!(problem.code, Code::BadRequest, "{bad}");
        }
        let hint = Query::read(Some("d=1"), &["a", "b"], &[])
            .unwrap_err()
            .hint
            .unwrap();
        assert_eq!(hint, "known here: a, b");
    }
}
