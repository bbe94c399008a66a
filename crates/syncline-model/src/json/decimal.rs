//! Numbers as decimals, and the number format of ECMAScript.

use std::cmp::Ordering;
use std::fmt::Write as _;

/// The exact value of a number text: `0.digits × 10^point`, negated if `negative`.
///
/// The digits neither start nor end with a zero, and zero is not negative, so equal values
/// have equal fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) negative: bool,
    pub(super) digits: String,
    pub(super) point: i64,
}

impl Decimal {
    /// Returns the value of a text that follows the grammar of JSON numbers.
    ///
    /// An exponent that passes 18 digits saturates; no number that we keep has one.
    pub(super) fn of(text: &str) -> Decimal {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = String::with_capacity(whole.len() + fraction.len());
        digits.push_str(whole);
        digits.push_str(fraction);
        let zeros = digits.len() - digits.trim_start_matches('0').len();
        let digits = digits[zeros..].trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Decimal {
                negative: false,
                digits,
                point: 0,
            };
        }
        let point = exponent_of(exponent) + whole.len() as i64 - zeros as i64;
        Decimal {
            negative,
            digits,
            point,
        }
    }

    /// Returns the exponent if the value is written as whole digits and an exponent.
    pub(super) fn exponent(&self) -> i64 {
        self.point - self.digits.len() as i64
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Returns the whole number, if it is one with at most 20 digits.
    pub(super) fn as_i128(&self) -> Option<i128> {
        if self.is_zero() {
            return Some(0);
        }
        if self.exponent() < 0 || self.point > 20 {
            return None;
        }
        let zeros = u32::try_from(self.exponent()).ok()?;
        let value = self.digits.parse::<i128>().ok()? * 10_i128.pow(zeros);
        Some(if self.negative { -value } else { value })
    }

    /// Returns `<digits>e<exponent>`, the canonical form of what RFC 8785 would round.
    pub(super) fn scientific(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}e{}", self.digits, self.exponent())
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        let sign = |decimal: &Decimal| match (decimal.is_zero(), decimal.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let magnitude = || (self.point, &self.digits).cmp(&(other.point, &other.digits));
        match (sign(self), sign(other)) {
            (1, 1) => magnitude(),
            (-1, -1) => magnitude().reverse(),
            (a, b) => a.cmp(&b),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Returns the value of an exponent's digits; what passes 18 digits saturates.
fn exponent_of(text: &str) -> i64 {
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => 0,
        1..=17 => {
            sign * digits
                .parse::<i64>()
                .expect("the grammar allows digits only")
        }
        _ => sign * 1_000_000_000_000_000_000,
    }
}

/// Appends a finite number as ECMAScript's `Number::toString` writes it, as RFC 8785 asks.
pub(super) fn push_ecmascript(out: &mut String, value: f64) {
    debug_assert!(value.is_finite());
    if value == 0.0 {
        out.push('0');
        return;
    }
    if value < 0.0 {
        out.push('-');
    }
    let mut shortest = String::with_capacity(32);
    write!(shortest, "{:e}", value.abs()).expect("a string takes all that is written");
    let (mantissa, exponent) = shortest.split_once('e').expect("{:e} writes an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} writes a small exponent");
    let (first, rest) = mantissa.split_at(1);
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let (point, count) = (exponent + 1, 1 + rest.len() as i32);

    let push_zeros = |out: &mut String, zeros: i32| out.extend((0..zeros).map(|_| '0'));
    match point {
        _ if count <= point && point <= 21 => {
            out.extend([first, rest]);
            push_zeros(out, point - count);
        }
        1..=21 => {
            let (whole, fraction) = rest.split_at(exponent as usize);
            out.extend([first, whole, ".", fraction]);
        }
        -5..=0 => {
            out.push_str("0.");
            push_zeros(out, -point);
            out.extend([first, rest]);
        }
        _ => {
            out.push_str(first);
            if !rest.is_empty() {
                out.extend([".", rest]);
            }
            write!(out, "e{exponent:+}").expect("a string takes all that is written");
        }
    }
}
