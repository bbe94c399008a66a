//! A setting's value, read and shown.

use std::fmt;
use std::path::PathBuf;

use syncline_engine::Ranks;
use syncline_model::json::Json;

use super::keys::Kind;

/// A value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A file or folder.
    Path(PathBuf),
    /// A number, or bytes.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<String>),
}

impl Value {
    /// Reads what a flag, a variable or a default says.
    pub fn parse(kind: Kind, text: &str) -> Result<Value, String> {
        match kind {
            Kind::Text if text.is_empty() => Err("is empty".to_owned()),
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::Path if text.is_empty() => Err("is empty".to_owned()),
            Kind::Path => Ok(Value::Path(PathBuf::from(text))),
            Kind::Listen => parse_listen(text).map(Value::Text),
            Kind::Number(least, most) => {
                let number = text
                    .parse()
                    .map_err(|_| format!("is no whole number: {text:?}"))?;
                bounded(number, least, most)
            }
            Kind::Bytes(least, most) => bounded(parse_bytes(text)?, least, most),
            Kind::List => {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                Ok(Value::List(items.map(str::to_owned).collect()))
            }
            Kind::Ranks => match Value::parse(Kind::List, text)? {
                Value::List(items) => ranked(items),
                other => Ok(other),
            },
            Kind::Flag => match text {
                "true" | "1" | "yes" | "on" => Ok(Value::Flag(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Flag(false)),
                _ => Err(format!("is true or false, not {text:?}")),
            },
            Kind::Word(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Kind::Word(words) => Err(format!("is one of {}, not {text:?}", words.join(", "))),
        }
    }

    /// Reads what a TOML file says.
    pub fn from_toml(kind: Kind, value: &toml::Value) -> Result<Value, String> {
        match (kind, value) {
            (
                Kind::Number(least, most) | Kind::Bytes(least, most),
                toml::Value::Integer(number),
            ) => {
                let number = u64::try_from(*number).map_err(|_| "is negative".to_owned())?;
                bounded(number, least, most)
            }
            (Kind::List | Kind::Ranks, toml::Value::Array(items)) => {
                let text = |item: &toml::Value| item.as_str().map(str::to_owned);
                let items: Option<Vec<_>> = items.iter().map(text).collect();
                let items = items.ok_or_else(|| "is a list of texts".to_owned())?;
                match kind {
                    Kind::Ranks => ranked(items),
                    _ => Ok(Value::List(items)),
                }
            }
            (Kind::Flag, toml::Value::Boolean(flag)) => Ok(Value::Flag(*flag)),
            (Kind::Flag, _) => Err("is true or false".to_owned()),
            (Kind::Number(..), _) => Err("is a whole number".to_owned()),
            (kind, toml::Value::String(text)) => Value::parse(kind, text),
            (Kind::List | Kind::Ranks, _) => Err("is a list of texts".to_owned()),
            _ => Err("is a text".to_owned()),
        }
    }

    /// Returns the value as JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Text(text) => Json::from(text.as_str()),
            Value::Path(path) => Json::from(path.display().to_string()),
            Value::Number(number) => Json::from(*number),
            Value::Flag(flag) => Json::from(*flag),
            Value::List(items) => items.iter().map(|item| Json::from(item.as_str())).collect(),
        }
    }
}

/// Reads `person/ana=10`.
pub fn rank(text: &str) -> Option<(String, i64)> {
    let (name, rank) = text.split_once('=')?;
    let (source, rank) = (name.trim(), rank.trim().parse().ok()?);
    Ranks::is_source(source).then(|| (source.to_owned(), rank))
}

fn ranked(items: Vec<String>) -> Result<Value, String> {
    match items.iter().find(|item| rank(item).is_none()) {
        Some(item) => Err(format!(
            "is a list such as person/ana=10 or agent/claude-1=5, of person, service, agent, provider and node, and \
            {item:?} is not"
        )),
        None => Ok(Value::List(items)),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Path(path) => path.display().fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::Flag(flag) => flag.fmt(f),
            Value::List(items) if items.is_empty() => f.write_str("(none)"),
            Value::List(items) => f.write_str(&items.join(", ")),
        }
    }
}

fn bounded(number: u64, least: u64, most: u64) -> Result<Value, String> {
    if (least..=most).contains(&number) {
        return Ok(Value::Number(number));
    }
    Err(format!("is {number}, and may be {least} to {most}"))
}

fn parse_listen(text: &str) -> Result<String, String> {
    let good = text.rsplit_once(':').is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
    });
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("is host:port, not {text:?}"))
    }
}

/// Reads `4096`, `64KiB`, `10MiB` or `2GiB`.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return Err(format!("is bytes, such as 16MiB, not {text:?}")),
    };
    let number: Option<u64> = number.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(factor));
    bytes.ok_or_else(|| format!("is bytes, such as 16MiB, not {text:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(kind: Kind, text: &str, expected: &str) {
        let shown = match Value::parse(kind, text) {
            Ok(value) => value.to_string(),
            Err(error) => format!("error {error}"),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn values_are_read_strictly() {
        check(Kind::Bytes(1, 1 << 40), "16MiB", "16777216");
        check(Kind::Bytes(1, 1 << 40), "4096", "4096");
        check(
            Kind::Bytes(1, 10),
            "1K",
            "error is 1024, and may be 1 to 10",
        );
        check(
            Kind::Bytes(1, 10),
            "many",
            "error is bytes, such as 16MiB, not \"many\"",
        );
        check(Kind::Number(1, 5), "-1", "error is no whole number: \"-1\"");
        check(Kind::Listen, "127.0.0.1:0", "127.0.0.1:0");
        check(Kind::Listen, "[::1]:7420", "[::1]:7420");
        check(
            Kind::Listen,
            "::1:7420",
            "error is host:port, not \"::1:7420\"",
        );
        check(Kind::Listen, "7420", "error is host:port, not \"7420\"");
        check(Kind::List, "a, b,", "a, b");
        check(
            Kind::Word(&["a", "b"]),
            "c",
            "error is one of a, b, not \"c\"",
        );
    }
}
