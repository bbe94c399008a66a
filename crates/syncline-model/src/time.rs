//! Times: wall-clock milliseconds, and hybrid logical clocks.

use std::fmt;

/// Milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// Says that a text is no RFC 3339 time, or one outside the years -9999 to 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as in RFC 3339, such as 2026-11-20T20:00:00Z")]
pub struct TimeError;

impl Timestamp {
    /// Reads an RFC 3339 time with any offset.
    pub fn parse(text: &str) -> Result<Timestamp, TimeError> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Timestamp(t.as_millisecond()))
            .map_err(|_| TimeError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{time:.3}")
    }
}

impl std::str::FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        Timestamp::parse(text)
    }
}

/// A hybrid logical clock reading: 48 bits of milliseconds and a 16-bit count, so that
/// readings of one node never go back even when its wall clock does
/// (Kulkarni et al., "Logical Physical Clocks", 2014).
///
/// Its text is 16 hex digits, which sort as the readings do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Joins milliseconds and a count.
    pub fn from_parts(millis: u64, count: u16) -> Hlc {
        Hlc((millis << 16) | u64::from(count))
    }

    /// Returns the last clock of a millisecond.
    pub fn at(time: Timestamp) -> Hlc {
        Hlc::from_parts(u64::try_from(time.0).unwrap_or(0), u16::MAX)
    }

    /// Returns the milliseconds.
    pub fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// Returns the next reading after `self` and after everything `seen`, at wall time `now`.
    #[must_use]
    pub fn tick(self, seen: Hlc, now: Timestamp) -> Hlc {
        let wall = Hlc::from_parts(u64::try_from(now.0).unwrap_or(0), 0);
        let last = self.max(seen);
        if wall > last {
            wall
        } else {
            Hlc(last.0.saturating_add(1))
        }
    }

    /// Reads 16 hex digits.
    pub fn parse(text: &str) -> Result<Hlc, HlcError> {
        let hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex {
            return Err(HlcError);
        }
        u64::from_str_radix(text, 16).map(Hlc).map_err(|_| HlcError)
    }
}

/// Says that a text is no clock reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a clock reading is 16 hex digits: 12 of milliseconds and 4 of a count")]
pub struct HlcError;

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_shown_with_milliseconds() {
        let time = Timestamp::parse("2026-11-20T21:00:00.123456+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-20T20:00:00.123Z");
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn a_clock_never_goes_back() {
        let first = Hlc::default().tick(Hlc::default(), Timestamp(1_000));
        let second = first.tick(Hlc::default(), Timestamp(500));
        assert!(second > first);
        let third = second.tick(Hlc::from_parts(9_000, 3), Timestamp(500));
        assert_eq!(third, Hlc::from_parts(9_000, 4));
        assert_eq!(Hlc::parse(&third.to_string()).unwrap(), third);
    }
}
