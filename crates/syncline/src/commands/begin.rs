//! Where to begin, as `--from` says it: a word, a time, how long ago, or a cursor.

use syncline_api::From;
use syncline_model::time::Timestamp;

use crate::failure::{Failure, Result};
use crate::show;

/// Reads where to begin; `also` names what is meant beside the places that every reader knows.
pub fn parse(text: &str, also: &[&str]) -> Result<From> {
    read(text, also, show::now()).ok_or_else(|| {
        let shown = crate::clean::shorten(text, 60);
        let also: String = also.iter().map(|word| format!("{word}, ")).collect();
        Failure::usage_hint(
            format!("--from {shown:?} says no place to begin at"),
            format!(
                "now, start, {also}a cursor, a time (2026-11-20T20:00:00Z), a day (2026-11-20, from 0:00 UTC), or how long ago (90s, 10m, 2h, 7d)"
            ),
        )
    })
}

fn read(text: &str, also: &[&str], now: Timestamp) -> Option<From> {
    Some(match text {
        "now" => From::Now,
        "start" => From::Start,
        "snapshot" if also.contains(&text) => From::Snapshot,
        text => match (ago(text), time(text)) {
            (Some(ms), _) => From::Time(Timestamp(now.0.saturating_sub(ms))),
            (None, Some(time)) => From::Time(time),
            (None, None) if may_be_cursor(text) => From::Cursor(text.to_owned()),
            (None, None) => return None,
        },
    })
}

/// Reads a time, or a day, which begins at midnight in UTC.
fn time(text: &str) -> Option<Timestamp> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text).or_else(|_| day()).ok()
}

/// Says whether a text has a cursor's looks; whether it is one is for the node to say.
fn may_be_cursor(text: &str) -> bool {
    const LENGTH_MIN: usize = 32;
    let of_cursor = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() >= LENGTH_MIN && text.bytes().all(of_cursor)
}

/// Reads a time span such as `10m`, in milliseconds. No cursor is as short.
fn ago(text: &str) -> Option<i64> {
    const DIGITS_MAX: usize = 6;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let plain = number.len() <= DIGITS_MAX && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = number.parse().ok().filter(|_| plain)?;
    Some(number * unit_ms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn where_to_begin_is_read() {
        let now = Timestamp(1_800_000_000_000);
        let check = |text: &str, expected: From| {
            assert_eq!(read(text, &[], now).unwrap(), expected);
        };
        check("now", From::Now);
        check("start", From::Start);
        check("90s", From::Time(Timestamp(now.0 - 90_000)));
        check("7d", From::Time(Timestamp(now.0 - 7 * 86_400_000)));
        let time = Timestamp::parse("2026-11-20T20:00:00.123Z").unwrap();
        check("2026-11-20T20:00:00.123Z", From::Time(time));
        let midnight = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
        check("2026-11-20", From::Time(midnight));
        let cursor = "abcDEF-_".repeat(7);
        check(&cursor, From::Cursor(cursor.clone()));
        assert_eq!(read("snapshot", &["snapshot"], now), Some(From::Snapshot));
        for bad in [
            "",
            "snapshot",
            "yesterday",
            "10min",
            "5x",
            "5ä",
            "s",
            "99999999999999d",
            "-5m",
            "2026-11-31",
            "abcDEF-_",
        ] {
            assert!(read(bad, &[], now).is_none(), "{bad}");
        }
    }
}
