//! The settings: defaults, then the TOML file, then the environment, then flags.
//!
//! Each value knows where it came from, which `syncline config` shows. A key that is not known
//! is refused wherever it stands: a misspelt limit must not silently be the default.

pub mod keys;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use keys::{KEYS, Key, NOT_BUILT};
use syncline_api::Problem;
pub use value::{Value, rank};

use crate::failure::{Failure, Result};
use crate::place;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The TOML file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One setting's value, with its origin.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which setting.
    pub key: &'static Key,
    /// Its value, if it has one.
    pub value: Option<Value>,
    /// Where it came from.
    pub origin: Origin,
}

/// All settings, and the owner's key where the environment brings it.
#[derive(Clone, Debug)]
pub struct Settings {
    entries: BTreeMap<&'static str, Entry>,
    /// The key for a node that is reached over TCP, from `SYNCLINE_KEY`.
    pub token: Option<String>,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
}

/// What settings are made of.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// The environment's variables.
    pub environment: Vec<(OsString, OsString)>,
    /// What flags say: the setting, the flag's name, its text.
    pub flags: Vec<(&'static str, String, String)>,
}

/// Variables that are no settings.
const OTHER_VARIABLES: [&str; 2] = ["SYNCLINE_KEY", "SYNCLINE_CONFIG"];
/// Variables of tests and harnesses begin so.
const TEST_VARIABLES: &str = "SYNCLINE_TEST_";
/// Bounds the TOML file.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Settings {
    /// Layers the sources.
    pub fn load(sources: &Sources) -> Result<Settings> {
        let entry = |key: &'static Key| {
            let value = key.default.map(|text| Value::parse(key.kind, text));
            let value = value.map(|value| value.expect("defaults are good, as a test shows"));
            (
                key.name,
                Entry {
                    key,
                    value,
                    origin: Origin::Default,
                },
            )
        };
        let mut settings = Settings {
            entries: KEYS.iter().map(entry).collect(),
            token: None,
            file: None,
        };
        settings.put_default("data", Value::Path(place::data_dir(&sources.environment)));
        settings.read_file(sources)?;
        settings.read_environment(sources)?;
        for (name, flag, text) in &sources.flags {
            settings.set(name, text, Origin::Flag(flag.clone()))?;
        }
        Ok(settings)
    }

    /// Returns all settings in the order of their table.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        KEYS.iter().filter_map(|key| self.entries.get(key.name))
    }

    /// Returns one setting.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Returns a text, if it is set.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns a number.
    pub fn number(&self, name: &'static str) -> u64 {
        match self.value(name) {
            Some(Value::Number(number)) => *number,
            other => unreachable!("{name} is a number with a default, not {other:?}"),
        }
    }

    /// Returns a number that fits this machine's sizes.
    pub fn size(&self, name: &'static str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    /// Returns a flag.
    pub fn flag(&self, name: &'static str) -> bool {
        matches!(self.value(name), Some(Value::Flag(true)))
    }

    /// Returns a list.
    pub fn list(&self, name: &'static str) -> &[String] {
        match self.value(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// Returns the data directory, as an absolute path.
    pub fn data(&self) -> PathBuf {
        match self.value("data") {
            Some(Value::Path(path)) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            other => unreachable!("data is a path with a default, not {other:?}"),
        }
    }

    /// Says whether somebody chose the value.
    pub fn is_chosen(&self, name: &'static str) -> bool {
        self.entries
            .get(name)
            .is_some_and(|entry| entry.origin != Origin::Default)
    }

    fn value(&self, name: &'static str) -> Option<&Value> {
        self.entries
            .get(name)
            .and_then(|entry| entry.value.as_ref())
    }

    fn put_default(&mut self, name: &'static str, value: Value) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.value = Some(value);
        }
    }

    fn set(&mut self, name: &str, text: &str, origin: Origin) -> Result {
        let entry = self.entry_mut(name, &origin)?;
        let value = Value::parse(entry.key.kind, text);
        entry.value = Some(value.map_err(|why| bad_value(name, &why, &origin))?);
        entry.origin = origin;
        Ok(())
    }

    fn entry_mut(&mut self, name: &str, origin: &Origin) -> Result<&mut Entry> {
        if NOT_BUILT.contains(&name) {
            return Err(not_built(name, origin));
        }
        self.entries
            .get_mut(name)
            .ok_or_else(|| unknown(name, origin))
    }

    fn read_file(&mut self, sources: &Sources) -> Result {
        let variable = variable(sources, "SYNCLINE_CONFIG").map(PathBuf::from);
        let named = sources.config.clone().or(variable);
        let is_named = named.is_some();
        let path = named.unwrap_or_else(|| place::config_file(&sources.environment));
        let Some(text) = read_text(&path, is_named)? else {
            return Ok(());
        };
        let table: toml::Table = text
            .parse()
            .map_err(|error| bad_toml(&path, &text, &error))?;
        for (name, value) in &table {
            let origin = Origin::File(path.clone());
            let entry = self.entry_mut(name, &origin)?;
            let value = Value::from_toml(entry.key.kind, value);
            let value = value.map_err(|why| bad_value(name, &why, &origin))?;
            entry.value = Some(beside(value, &path));
            entry.origin = origin;
        }
        self.file = Some(path);
        Ok(())
    }

    fn read_environment(&mut self, sources: &Sources) -> Result {
        for (name, value) in &sources.environment {
            let Some(name) = name.to_str() else { continue };
            let Some(short) = name.strip_prefix("SYNCLINE_") else {
                continue;
            };
            if OTHER_VARIABLES.contains(&name) || name.starts_with(TEST_VARIABLES) {
                continue;
            }
            let origin = Origin::Environment(name.to_owned());
            let short = short.to_lowercase();
            let Some(text) = value.to_str() else {
                return Err(bad_value(&short, "is not UTF-8", &origin));
            };
            // An empty variable is how many shells spell "unset".
            if !text.is_empty() {
                self.set(&short, text, origin)?;
            }
        }
        let token = variable(sources, "SYNCLINE_KEY").and_then(|text| text.into_string().ok());
        self.token = token
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty());
        Ok(())
    }
}

/// Returns a path of the file as it stands beside the file.
fn beside(value: Value, file: &Path) -> Value {
    match (value, file.parent()) {
        (Value::Path(path), Some(folder)) if path.is_relative() => Value::Path(folder.join(path)),
        (value, _) => value,
    }
}

fn variable(sources: &Sources, name: &str) -> Option<OsString> {
    let found = sources.environment.iter().find(|(key, _)| key == name);
    found
        .map(|(_, value)| value.clone())
        .filter(|value| !value.is_empty())
}

fn read_text(path: &Path, must_exist: bool) -> Result<Option<String>> {
    let size = std::fs::metadata(path).map(|file| file.len()).unwrap_or(0);
    if size > FILE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "{} is no settings file: too large",
            path.display()
        )));
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(error) => Err(Failure::file("read the settings in", path, &error)),
    }
}

fn bad_toml(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let line = error.span().map_or(1, |span| {
        1 + text
            .bytes()
            .take(span.start)
            .filter(|byte| *byte == b'\n')
            .count()
    });
    let why = error.message().replace('\n', " ");
    Failure::usage(format!(
        "{} is not TOML: {why} at line {line}",
        path.display()
    ))
}

fn bad_value(name: &str, why: &str, origin: &Origin) -> Failure {
    let help = Key::find(name).map_or("", |key| key.help);
    Failure::usage_hint(
        format!("setting {name} {why} ({origin})"),
        format!("{name} is {help}; see `syncline config {name}`"),
    )
}

fn not_built(name: &str, origin: &Origin) -> Failure {
    Problem::not_built(&format!("setting {name} ({origin})")).into()
}

fn unknown(name: &str, origin: &Origin) -> Failure {
    let spelled = |key: &Key| match origin {
        Origin::Environment(_) => key.variable(),
        _ => key.name.to_owned(),
    };
    let near = KEYS.iter().min_by_key(|key| distance(key.name, name));
    let near = near.filter(|key| distance(key.name, name) <= 3);
    let hint = match near {
        Some(key) => format!("did you mean {}?", spelled(key)),
        None => "`syncline config` shows all settings".to_owned(),
    };
    let what = match origin {
        Origin::Environment(variable) => format!("unknown setting in the environment: {variable}"),
        _ => format!("unknown setting {name:?} ({origin})"),
    };
    Failure::usage_hint(what, hint)
}

/// Returns how many letters must be changed, added or left out (Levenshtein).
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(100).enumerate() {
        let mut above = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = above + usize::from(x != *y);
            above = row[j + 1];
            row[j + 1] = changed.min(above + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
