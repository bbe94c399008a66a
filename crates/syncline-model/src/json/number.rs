//! Exact numbers: the text that came in, compared by what it denotes.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::decimal::{Decimal, push_ecmascript};
use super::sink::Sink;

/// Bounds the text of a number; the longest `f64` written out plainly has 1,077 characters.
const TEXT_BYTES_MAX: usize = 1_100;

/// Bounds the digits that count, so that the canonical text, with sign and exponent, fits
/// [`TEXT_BYTES_MAX`] too.
const DIGITS_MAX: usize = 1_090;

/// Bounds the exponent, as written and in canonical form.
const EXPONENT_MAX: i64 = 99_999;

/// Decimals with so many digits never read as one `f64`, so each is its own shortest.
const EXACT_DIGITS_MAX: usize = 15;

/// No shortest text of an `f64` has more digits.
const SHORTEST_DIGITS_MAX: usize = 17;

/// Within ±2^53 each integer is an `f64`, and ECMAScript writes it as plain digits.
const SAFE_INTEGER_MAX: u64 = 1 << 53;

/// A JSON number with its text.
///
/// Equality, order and hash go by the exact decimal value: `1`, `1.0` and `10e-1` are equal,
/// and `-0` is `0`.
#[derive(Clone)]
pub struct Number(Repr);

/// One text has one representation: the first that can hold it.
#[derive(Clone)]
enum Repr {
    I64(i64),
    /// Above `i64::MAX`.
    U64(u64),
    /// The canonical text of an `f64` that is no such integer; equal values have equal texts.
    Shortest(Short),
    /// Any other text of its length.
    Short(Short),
    Text(Arc<str>),
}

/// A text that needs no memory of its own.
#[derive(Clone, Copy, PartialEq)]
struct Short {
    length: u8,
    bytes: [u8; Short::BYTES_MAX],
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
        if let Some(integer) = Repr::integer(text) {
            return Some(Number(integer));
        }
        let short = Short::new(text);
        if let Some(short) = short.filter(|_| is_shortest(text)) {
            return Some(Number(Repr::Shortest(short)));
        }
        is_bounded(text).then(|| Number(short.map_or_else(|| Repr::Text(text.into()), Repr::Short)))
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
            Repr::U64(_) | Repr::Shortest(_) => None,
            Repr::Short(_) | Repr::Text(_) => i64::try_from(self.decimal().as_i128()?).ok(),
        }
    }

    /// Returns the number as `u64`, if it is exactly one (`1.0` and `1e2` count).
    pub fn as_u64(&self) -> Option<u64> {
        match &self.0 {
            Repr::I64(value) => u64::try_from(*value).ok(),
            Repr::U64(value) => Some(*value),
            Repr::Shortest(_) => None,
            Repr::Short(_) | Repr::Text(_) => u64::try_from(self.decimal().as_i128()?).ok(),
        }
    }

    /// Returns the nearest `f64`, which is infinite beyond its range.
    pub fn as_f64(&self) -> f64 {
        match &self.0 {
            Repr::I64(value) => *value as f64,
            Repr::U64(value) => *value as f64,
            _ => self.text().parse().expect("rust reads every json number"),
        }
    }

    /// Returns true if the value is whole, however it is written.
    pub fn is_integer(&self) -> bool {
        match &self.0 {
            Repr::I64(_) | Repr::U64(_) => true,
            _ => {
                let decimal = self.decimal();
                decimal.is_zero() || decimal.exponent() >= 0
            }
        }
    }

    /// Returns the exact sum; none if its digits or exponent pass the bounds of a number.
    pub fn checked_add(&self, other: &Number) -> Option<Number> {
        if let (Repr::I64(a), Repr::I64(b)) = (&self.0, &other.0)
            && let Some(sum) = a.checked_add(*b)
        {
            return Some(sum.into());
        }
        let sum = self.decimal().checked_add(&other.decimal(), DIGITS_MAX)?;
        Number::from_valid(&sum.text())
    }

    /// Returns the exact difference; none if its digits or exponent pass the bounds of a number.
    pub fn checked_sub(&self, other: &Number) -> Option<Number> {
        if let (Repr::I64(a), Repr::I64(b)) = (&self.0, &other.0)
            && let Some(difference) = a.checked_sub(*b)
        {
            return Some(difference.into());
        }
        let difference = self
            .decimal()
            .checked_add(&other.decimal().negated(), DIGITS_MAX)?;
        Number::from_valid(&difference.text())
    }

    /// Returns true if both came with the same text; equal numbers may be written differently.
    pub fn is_written_as(&self, other: &Number) -> bool {
        match (&self.0, &other.0) {
            (Repr::I64(a), Repr::I64(b)) => a == b,
            (Repr::U64(a), Repr::U64(b)) => a == b,
            (Repr::Shortest(a), Repr::Shortest(b)) | (Repr::Short(a), Repr::Short(b)) => a == b,
            (Repr::Text(a), Repr::Text(b)) => a == b,
            _ => false,
        }
    }

    /// Returns the text that the number came with.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Repr::I64(value) => Cow::Owned(value.to_string()),
            Repr::U64(value) => Cow::Owned(value.to_string()),
            Repr::Shortest(text) | Repr::Short(text) => Cow::Borrowed(text.as_str()),
            Repr::Text(text) => Cow::Borrowed(text),
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

    pub(super) fn push_canonical(&self, out: &mut impl Sink) {
        match &self.0 {
            Repr::I64(value) if value.unsigned_abs() <= SAFE_INTEGER_MAX => self.push_text(out),
            Repr::Shortest(_) => self.push_text(out),
            _ => out.push_str(&self.canonical_in_doubt()),
        }
    }

    fn canonical_in_doubt(&self) -> String {
        let exact = self.decimal();
        let nearest = self.as_f64();
        if nearest.is_finite() && exact.digits.len() <= SHORTEST_DIGITS_MAX {
            let mut text = String::new();
            push_ecmascript(&mut text, nearest);
            if Decimal::of(&text) == exact {
                return text;
            }
        }
        exact.scientific()
    }

    pub(super) fn push_text(&self, out: &mut impl Sink) {
        match &self.0 {
            Repr::I64(value) => push_integer(out, *value < 0, value.unsigned_abs()),
            Repr::U64(value) => push_integer(out, false, *value),
            Repr::Shortest(text) | Repr::Short(text) => out.push_str(text.as_str()),
            Repr::Text(text) => out.push_str(text),
        }
    }

    pub(super) fn weight(&self) -> usize {
        match &self.0 {
            Repr::I64(value) => value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 2,
            Repr::U64(_) => 20,
            Repr::Shortest(text) | Repr::Short(text) => usize::from(text.length),
            Repr::Text(text) => text.len(),
        }
    }

    fn decimal(&self) -> Decimal {
        Decimal::of(&self.text())
    }
}

impl Repr {
    /// Returns the integer whose own text is exactly `text`, if there is one.
    fn integer(text: &str) -> Option<Repr> {
        if text == "-0" {
            return None;
        }
        let signed = text.parse().ok().map(Repr::I64);
        signed.or_else(|| text.parse().ok().map(Repr::U64))
    }
}

impl Short {
    const BYTES_MAX: usize = 22;

    fn new(text: &str) -> Option<Short> {
        let mut bytes = [0; Short::BYTES_MAX];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).ok()?;
        Some(Short { length, bytes })
    }

    fn as_str(&self) -> &str {
        let bytes = &self.bytes[..usize::from(self.length)];
        std::str::from_utf8(bytes).expect("the bytes were copied from a text")
    }
}

/// Returns true if `text` is how ECMAScript writes the nearest `f64`, for a text that is no
/// integer of ours.
fn is_shortest(text: &str) -> bool {
    if is_plainly_shortest(text.as_bytes()) {
        return true;
    }
    let Ok(value) = text.parse::<f64>() else {
        return false;
    };
    if !value.is_finite() {
        return false;
    }
    let mut shortest = String::with_capacity(2 * Short::BYTES_MAX);
    push_ecmascript(&mut shortest, value);
    shortest == text
}

/// Returns true for most texts that are shortest: a few digits and a point, nothing in excess.
fn is_plainly_shortest(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    // ECMAScript writes an exponent below 0.000001.
    let written = digits.len() - 1;
    let small = digits.starts_with(b"0.00000");
    let plain = digits
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.');
    plain
        && !small
        && written <= EXACT_DIGITS_MAX
        && digits.contains(&b'.')
        && !digits.ends_with(b"0")
}

/// Returns true if a text is within our bounds; no other may be asked for its decimal value.
fn is_bounded(text: &str) -> bool {
    if text.len() > TEXT_BYTES_MAX {
        return false;
    }
    let written = Decimal::of(text);
    let exponent = text
        .split_once(['e', 'E'])
        .map_or(0, |(_, digits)| exponent_size(digits));
    exponent <= EXPONENT_MAX.unsigned_abs()
        && written.exponent().abs() <= EXPONENT_MAX
        && written.digits.len() <= DIGITS_MAX
}

/// Reads an integer of a few digits from the start of `bytes`, if it is one and nothing else,
/// and returns its length with it: most numbers are such.
pub(super) fn small_integer(bytes: &[u8]) -> Option<(Number, usize)> {
    /// So many digits fit `i64`.
    const DIGITS_MAX: usize = 18;
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut value = 0_i64;
    let mut end = start;
    while let Some(digit) = bytes.get(end).filter(|byte| byte.is_ascii_digit()) {
        if end - start == DIGITS_MAX {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
        end += 1;
    }
    let digits = end - start;
    let odd = bytes.get(start) == Some(&b'0') && end > 1;
    if digits == 0 || odd || matches!(bytes.get(end), Some(b'.' | b'e' | b'E')) {
        return None;
    }
    let value = if start == 1 { -value } else { value };
    Some((Number::from(value), end))
}

fn push_integer(out: &mut impl Sink, negative: bool, magnitude: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = magnitude;
    loop {
        start -= 1;
        // A remainder of ten fits a byte.
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if negative {
        out.push_ascii(b'-');
    }
    out.push_str(std::str::from_utf8(&digits[start..]).expect("digits are ascii"));
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
            (Repr::Shortest(a), Repr::Shortest(b)) => a == b,
            (Repr::Short(a), Repr::Short(b)) if a == b => true,
            (Repr::Short(_) | Repr::Text(_), _) | (_, Repr::Short(_) | Repr::Text(_)) => {
                self.decimal() == other.decimal()
            }
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
        f.write_str(&self.text())
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
