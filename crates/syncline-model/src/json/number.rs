//! Exact numbers: the text that came in, compared by what it denotes.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::decimal::{Decimal, push_ecmascript};

/// Bounds the text of a number; the longest `f64` written out plainly has 1,077 characters.
const TEXT_BYTES_MAX: usize = 1_100;

/// Bounds the digits that count, so that the canonical text, with sign and exponent, fits
/// [`TEXT_BYTES_MAX`] too.
const DIGITS_MAX: usize = 1_090;

/// Bounds the exponent, as written and in canonical form.
const EXPONENT_MAX: i64 = 99_999;

/// No shortest text of an `f64` is longer (`-0.0000033333333333333333`).
const SHORTEST_BYTES_MAX: usize = 25;

/// Within ±2^53 each integer is an `f64`, and ECMAScript writes it as plain digits.
const SAFE_INTEGER_MAX: u64 = 1 << 53;

/// A JSON number with its text.
///
/// Equality, order and hash go by the exact decimal value: `1`, `1.0` and `10e-1` are equal,
/// and `-0` is `0`.
#[derive(Clone)]
pub struct Number(Repr);

/// One text has one representation: the first whose own text is exactly that one.
#[derive(Clone)]
enum Repr {
    I64(i64),
    /// Above `i64::MAX`.
    U64(u64),
    /// Not an integer that the others hold; stands for its shortest decimal.
    F64(f64),
    Text(Arc<str>),
}

impl Number {
    /// Reads a text that is one JSON number, within our bounds.
    pub fn parse(text: &str) -> Option<Number> {
        match scan(text.as_bytes()) {
            Ok(length) if length == text.len() => Number::from_valid(text),
            _ => None,
        }
    }

    /// Returns the number of a text that follows the grammar, unless it passes our bounds.
    pub(super) fn from_valid(text: &str) -> Option<Number> {
        if text.len() <= SHORTEST_BYTES_MAX {
            if let Some(repr) = Repr::compact(text) {
                return Some(Number(repr));
            }
        } else if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let written = Decimal::of(text);
        let exponent = text
            .split_once(['e', 'E'])
            .map_or(0, |(_, digits)| exponent_size(digits));
        let fits = exponent <= EXPONENT_MAX.unsigned_abs()
            && written.exponent().abs() <= EXPONENT_MAX
            && written.digits.len() <= DIGITS_MAX;
        fits.then(|| Number(Repr::Text(text.into())))
    }

    /// Returns the shortest decimal that reads back as `value`; none if it is not finite.
    pub fn from_f64(value: f64) -> Option<Number> {
        if !value.is_finite() {
            return None;
        }
        let mut text = String::new();
        push_ecmascript(&mut text, value);
        Number::from_valid(&text)
    }

    /// Returns the number as `i64`, if it is exactly one (`1.0` and `1e2` count).
    pub fn as_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::I64(value) => Some(*value),
            Repr::U64(_) | Repr::F64(_) => None,
            Repr::Text(text) => i64::try_from(Decimal::of(text).as_i128()?).ok(),
        }
    }

    /// Returns the number as `u64`, if it is exactly one (`1.0` and `1e2` count).
    pub fn as_u64(&self) -> Option<u64> {
        match &self.0 {
            Repr::I64(value) => u64::try_from(*value).ok(),
            Repr::U64(value) => Some(*value),
            Repr::F64(_) => None,
            Repr::Text(text) => u64::try_from(Decimal::of(text).as_i128()?).ok(),
        }
    }

    /// Returns the nearest `f64`, which is infinite beyond its range.
    pub fn as_f64(&self) -> f64 {
        match &self.0 {
            Repr::I64(value) => *value as f64,
            Repr::U64(value) => *value as f64,
            Repr::F64(value) => *value,
            Repr::Text(text) => text.parse().expect("rust reads every json number"),
        }
    }

    /// Returns true if the value is whole, however it is written.
    pub fn is_integer(&self) -> bool {
        match &self.0 {
            Repr::I64(_) | Repr::U64(_) => true,
            // A double without a fraction is shortest as a whole decimal, and the other way round.
            Repr::F64(value) => value.fract() == 0.0,
            Repr::Text(text) => {
                let decimal = Decimal::of(text);
                decimal.is_zero() || decimal.exponent() >= 0
            }
        }
    }

    /// Returns the text that the number came with.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Repr::Text(text) => Cow::Borrowed(text),
            _ => Cow::Owned(self.to_string()),
        }
    }

    /// Returns the canonical text, the same for all texts of one value.
    ///
    /// That is RFC 8785's (the nearest `f64` as ECMAScript writes it) where it denotes exactly
    /// this value, else `<digits>e<exponent>`.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.push_canonical(&mut out);
        out
    }

    pub(super) fn push_canonical(&self, out: &mut String) {
        match &self.0 {
            Repr::I64(value) if value.unsigned_abs() <= SAFE_INTEGER_MAX => self.push_text(out),
            Repr::F64(_) => self.push_text(out),
            _ => out.push_str(&self.canonical_in_doubt()),
        }
    }

    fn canonical_in_doubt(&self) -> String {
        let exact = self.decimal();
        let nearest = self.as_f64();
        if nearest.is_finite() {
            let mut text = String::new();
            push_ecmascript(&mut text, nearest);
            if Decimal::of(&text) == exact {
                return text;
            }
        }
        exact.scientific()
    }

    pub(super) fn push_text(&self, out: &mut String) {
        match &self.0 {
            Repr::F64(value) => push_ecmascript(out, *value),
            Repr::Text(text) => out.push_str(text),
            Repr::I64(value) => write!(out, "{value}").expect("a string takes all"),
            Repr::U64(value) => write!(out, "{value}").expect("a string takes all"),
        }
    }

    pub(super) fn weight(&self) -> usize {
        match &self.0 {
            Repr::I64(value) => value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 2,
            Repr::U64(_) => 20,
            Repr::F64(_) => SHORTEST_BYTES_MAX,
            Repr::Text(text) => text.len(),
        }
    }

    fn decimal(&self) -> Decimal {
        Decimal::of(&self.text())
    }
}

impl Repr {
    /// Returns the value whose own text is exactly `text`, if there is one.
    fn compact(text: &str) -> Option<Repr> {
        if text == "-0" {
            return None;
        }
        if let Ok(value) = text.parse() {
            return Some(Repr::I64(value));
        }
        if let Ok(value) = text.parse() {
            return Some(Repr::U64(value));
        }
        let value: f64 = text.parse().ok()?;
        if !value.is_finite() {
            return None;
        }
        let mut shortest = String::with_capacity(SHORTEST_BYTES_MAX);
        push_ecmascript(&mut shortest, value);
        (shortest == text).then_some(Repr::F64(value))
    }
}

/// Returns the length of the number at the start of `bytes`, or the offset of the byte that
/// cannot belong to it.
pub(super) fn scan(bytes: &[u8]) -> Result<usize, usize> {
    let digits = |from: usize| -> Result<usize, usize> {
        let count = bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if count == 0 {
            Err(from)
        } else {
            Ok(from + count)
        }
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut at = digits(start)?;
    if bytes[start] == b'0' && at > start + 1 {
        return Err(start + 1);
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(at + 1 + sign)?;
    }
    Ok(at)
}

/// Returns the size of a written exponent; what has too many digits is large enough.
fn exponent_size(text: &str) -> u64 {
    let digits = text.trim_start_matches(['+', '-']).trim_start_matches('0');
    if digits.is_empty() {
        0
    } else {
        digits.parse().unwrap_or(u64::MAX)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        match (&self.0, &other.0) {
            (Repr::I64(a), Repr::I64(b)) => a == b,
            (Repr::U64(a), Repr::U64(b)) => a == b,
            (Repr::F64(a), Repr::F64(b)) => a == b,
            (Repr::Text(a), Repr::Text(b)) if a == b => true,
            (Repr::Text(_), _) | (_, Repr::Text(_)) => self.decimal() == other.decimal(),
            _ => false,
        }
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.as_i64() {
            Some(value) => value.hash(state),
            None => self.canonical().hash(state),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::I64(a), Repr::I64(b)) => a.cmp(b),
            (Repr::U64(a), Repr::U64(b)) => a.cmp(b),
            _ => self.decimal().cmp(&other.decimal()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push_text(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({self})")
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Number {
        Number(Repr::I64(value))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number(i64::try_from(value).map_or(Repr::U64(value), Repr::I64))
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Number {
        i64::from(value).into()
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Number {
        i64::from(value).into()
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Number {
        (value as u64).into()
    }
}
