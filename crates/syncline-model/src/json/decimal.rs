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

    pub(super) fn negated(mut self) -> Decimal {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    /// Returns the exact sum, unless it takes more than `digits_max` digits to write both down
    /// one above the other.
    pub(super) fn checked_add(&self, other: &Decimal, digits_max: usize) -> Option<Decimal> {
        if self.is_zero() {
            return Some(other.clone());
        }
        if other.is_zero() {
            return Some(self.clone());
        }
        let top = self.point.max(other.point);
        let bottom = self.exponent().min(other.exponent());
        let width = usize::try_from(top - bottom).ok()?;
        if width > digits_max {
            return None;
        }
        let (a, b) = (self.column(top, width), other.column(top, width));
        let (negative, digits) = match (self.negative == other.negative, a >= b) {
            (true, _) => (self.negative, sum(&a, &b)),
            (false, true) => (self.negative, difference(&a, &b)),
            (false, false) => (other.negative, difference(&b, &a)),
        };
        let sign = if negative { "-" } else { "" };
        let digits = String::from_utf8(digits).expect("digits are ascii");
        Some(Decimal::of(&format!("{sign}{digits}e{bottom}")))
    }

    /// The digits from `10^top` down, `width` of them.
    fn column(&self, top: i64, width: usize) -> Vec<u8> {
        let zeros = usize::try_from(top - self.point).expect("no number stands above the top");
        let mut column = vec![b'0'; width];
        column[zeros..zeros + self.digits.len()].copy_from_slice(self.digits.as_bytes());
        column
    }

    /// Returns the text as people write it, with an exponent where that would be long.
    pub(super) fn text(&self) -> String {
        /// A number that people read has no more zeros at its end or behind its point.
        const ZEROS_MAX: i64 = 20;
        if self.is_zero() {
            return "0".to_owned();
        }
        let sign = if self.negative { "-" } else { "" };
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        if (0..=ZEROS_MAX).contains(&self.exponent()) {
            return format!("{sign}{}{}", self.digits, zeros(self.exponent()));
        }
        if self.exponent() < 0 && (-ZEROS_MAX..=0).contains(&self.point) {
            return format!("{sign}0.{}{}", zeros(-self.point), self.digits);
        }
        match usize::try_from(self.point) {
            Ok(point) if point < self.digits.len() => {
                let (whole, fraction) = self.digits.split_at(point);
                format!("{sign}{whole}.{fraction}")
            }
            _ => self.scientific(),
        }
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

/// The sum of two columns of equally many digits, with room for a carry in front.
fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(a.len() + 1);
    let mut carry = 0;
    for (x, y) in a.iter().rev().zip(b.iter().rev()) {
        let digit = x - b'0' + (y - b'0') + carry;
        digits.push(b'0' + digit % 10);
        carry = digit / 10;
    }
    digits.push(b'0' + carry);
    digits.reverse();
    digits
}

/// The difference of two columns of equally many digits, the first of which is not smaller.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(a.len());
    let mut borrow = 0;
    for (x, y) in a.iter().rev().zip(b.iter().rev()) {
        let digit = 10 + x - y - borrow;
        digits.push(b'0' + digit % 10);
        borrow = u8::from(digit < 10);
    }
    digits.reverse();
    digits
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
    let (digits, exponent) = shortest(value.abs());
    let (first, rest) = digits.split_at(1);
    let size = exponent.unsigned_abs() as usize;

    let push_zeros = |out: &mut String, zeros: usize| out.extend((0..zeros).map(|_| '0'));
    match exponent {
        0..=20 if rest.len() <= size => {
            out.push_str(&digits);
            push_zeros(out, size - rest.len());
        }
        0..=20 => {
            let (whole, fraction) = rest.split_at(size);
            out.extend([first, whole, ".", fraction]);
        }
        -6..=-1 => {
            out.push_str("0.");
            push_zeros(out, size - 1);
            out.push_str(&digits);
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

/// Returns the fewest digits that read back as `value`, the closest of those, and the exponent
/// of the first digit.
fn shortest(value: f64) -> (String, i32) {
    let mut digits = String::with_capacity(32);
    write!(digits, "{value:e}").expect("a string takes all that is written");
    let mark = digits.find('e').expect("{:e} writes an exponent");
    let exponent = digits[mark + 1..]
        .parse()
        .expect("{:e} writes a small exponent");
    digits.truncate(mark);
    if digits.len() > 1 {
        digits.remove(1);
    }
    match even_digits(value, &digits) {
        Some(even) => (even, exponent),
        None => (digits, exponent),
    }
}

/// Returns the even digits, if `value` lies exactly between them and the odd ones that `{:e}`
/// chose: ECMAScript asks for the even ones, and Rust does not promise a side.
fn even_digits(value: f64, chosen: &str) -> Option<String> {
    // Two decimals of up to 15 digits never read as one double, so there is no choice.
    let last = *chosen.as_bytes().last()?;
    if chosen.len() < 16 || last % 2 == 0 {
        return None;
    }
    // The middle has at most 18 digits. If x of them follow the point, it is a whole number
    // over 10^x, and over a power of two as well, being a double: so 5^x divides it, and x is
    // at most 25. Hence 25 binary places hold it, and 25 decimal places write it exactly.
    if (value * f64::from(1 << 25)).fract() != 0.0 {
        return None;
    }
    let exact = Decimal::of(&format!("{value:.25}"));
    let floor = exact.digits.strip_suffix('5')?;
    if floor.len() != chosen.len() {
        return None;
    }
    let next = if floor == chosen { last + 1 } else { last - 1 };
    let mut even = chosen[..chosen.len() - 1].to_owned();
    even.push(char::from(next));
    // Next to a power of two, doubles are closer on one side, and only one may read back.
    let point = exact.point - even.len() as i64;
    (format!("{even}e{point}").parse() == Ok(value)).then_some(even)
}
