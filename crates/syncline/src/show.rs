//! How times, actors and contexts look to a person.

use std::collections::HashMap;
use std::path::Path;

use syncline_model::conflict::ConflictId;
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::Actor;
use syncline_model::time::Timestamp;

use crate::clean;
use crate::output::{Line, Style};

/// Returns the wall clock.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// Returns how long ago something was: `4 s`, `3 min`, `2 h`, `5 d`, or the day.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = (now.0 - time.0).max(0) / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        86_400..2_592_000 => format!("{} d", seconds / 86_400),
        _ => time.to_string().chars().take(10).collect(),
    }
}

/// Returns the time of day of this machine's zone, as `20:00:01`.
pub fn clock(time: Timestamp) -> String {
    let local = jiff::Timestamp::from_millisecond(time.0)
        .map(|time| time.to_zoned(jiff::tz::TimeZone::system()))
        .map(|time| time.strftime("%H:%M:%S").to_string());
    local.unwrap_or_else(|_| "--:--:--".to_owned())
}

/// Returns who acted: the agent by its own word, else the principal.
pub fn actor(actor: &Actor) -> String {
    match &actor.agent {
        Some(agent) => clean::shorten(agent.as_str(), 24),
        None => actor
            .id
            .as_str()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// Returns the actor of a JSON object that has one.
pub fn actor_of(json: &Json) -> String {
    let read = json.get("actor");
    let read =
        read.and_then(|value| syncline_model::change::read_actor(value, &Pointer::root()).ok());
    read.as_ref().map(actor).unwrap_or_default()
}

/// Returns a member's text, or nothing.
pub fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// Returns the time of a member, if it holds one.
pub fn time(json: &Json, name: &str) -> Option<Timestamp> {
    json.get(name)
        .and_then(Json::as_str)
        .and_then(|text| Timestamp::parse(text).ok())
}

/// Returns the place of a conflict; the whole document has no path.
pub fn place(path: &str) -> String {
    match path {
        "" => "the whole document".to_owned(),
        path => clean::shorten(path, 100),
    }
}

/// Returns a conflict's id as people read and type it: `01994c2e-58ab…07f2`, its ends. The first
/// is the time of its write, the last stands for the place.
pub fn short_id(id: &ConflictId) -> String {
    let id = id.to_string();
    format!("{}…{}", &id[..13], &id[id.len() - 4..])
}

/// Returns the ids of a list as [`short_id`] does, with more of their beginnings where they would
/// be the same otherwise: those of one bulk came in one millisecond.
pub fn short_ids(ids: &[ConflictId]) -> Vec<String> {
    let whole: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let mut short: Vec<_> = ids.iter().map(short_id).collect();
    for begin in BEGINS {
        let mut times = HashMap::new();
        for id in &short {
            *times.entry(id.clone()).or_insert(0) += 1;
        }
        for (short, whole) in short.iter_mut().zip(&whole) {
            if times[short] > 1 {
                *short = match begin {
                    Some(begin) => format!("{}…{}", &whole[..begin], &whole[whole.len() - 4..]),
                    None => whole.clone(),
                };
            }
        }
    }
    short
}

/// How much of an id's beginning is tried where less is not enough: whole groups, then all of it.
const BEGINS: [Option<usize>; 5] = [Some(18), Some(23), Some(28), Some(36), None];

/// Returns the line that tells what can be done.
pub fn hint(text: impl AsRef<str>) -> Line {
    Line::new().styled(Style::Cyan, "hint: ").text(text)
}

/// Returns a path as a shell takes it, quoted where it must be.
pub fn for_shell(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

/// Returns a number with thousands set apart: `1,204`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Says `1 context`, `2 contexts`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{} {one}s", number(n))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_can_be_pasted() {
        let check = |path: &str, shown: &str| assert_eq!(for_shell(Path::new(path)), shown);
        check("/var/lib/sync-1.0", "/var/lib/sync-1.0");
        check("/my data", "'/my data'");
        check("/it's", "'/it'\\''s'");
    }

    #[test]
    fn ids_are_short_and_places_have_words() {
        let id =
            ConflictId::parse("0199aaaa-4b2a-7c3d-8e4f-5a6b7c8d9e0f.00112233445507f2").unwrap();
        assert_eq!(short_id(&id), "0199aaaa-4b2a…07f2");
        let ids = [
            "0199aaaa-4b2a-7c3d-8e4f-5a6b7c8d9e0f.00112233445507f2",
            "0199aaaa-4b2a-7c3e-8e4f-5a6b7c8d9e0f.00112233445507f2",
            "0199aaaa-4b2a-7c3e-8e4f-5a6b7c8d9e10.00112233445507f2",
            "0199aaaa-4b2a-7c3e-8e4f-5a6b7c8d9e10.00112233445507f3",
            "0199aaaa-4b2a-7c3e-8e4f-5a6b7c8d9e10.10112233445507f2",
        ];
        let ids = ids.map(|id| ConflictId::parse(id).unwrap());
        assert_eq!(
            short_ids(&ids),
            [
                "0199aaaa-4b2a-7c3d…07f2",
                "0199aaaa-4b2a-7c3e-8e4f-5a6b7c8d9e0f…07f2",
                "0199aaaa-4b2a-7c3e-8e4f-5a6b7c8d9e10.00112233445507f2",
                "0199aaaa-4b2a…07f3",
                "0199aaaa-4b2a-7c3e-8e4f-5a6b7c8d9e10.10112233445507f2",
            ]
        );
        assert_eq!(place(""), "the whole document");
        assert_eq!(place("/data/plan"), "/data/plan");
    }

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(number(1_204), "1,204");
        assert_eq!(number(999), "999");
        assert_eq!(ago(Timestamp(0), Timestamp(185_000)), "3 min");
        assert_eq!(count(1, "change"), "1 change");
        assert_eq!(count(2_000, "change"), "2,000 changes");
    }
}
