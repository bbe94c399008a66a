//! `multipleOf` on exact decimals.

use syncline_model::json::Number;

/// A divisor with more digits would need arithmetic on long integers.
const DIGITS_MAX: usize = 18;

/// The number that others are to be multiples of: `digits × 10^exponent`.
#[derive(Debug)]
pub(crate) struct Divisor {
    digits: u64,
    exponent: i64,
}

impl Divisor {
    /// Returns the divisor of a number above zero, unless it has too many digits.
    pub(crate) fn new(number: &Number) -> Result<Divisor, String> {
        let (digits, exponent) = parts(&number.text());
        if digits.is_empty() || *number < Number::from(0) {
            return Err("multipleOf is a number above zero".to_owned());
        }
        match digits.parse() {
            Ok(value) if digits.len() <= DIGITS_MAX => Ok(Divisor {
                digits: value,
                exponent,
            }),
            _ => Err(format!("multipleOf has more than {DIGITS_MAX} digits")),
        }
    }

    /// Tells whether the quotient is a whole number, exactly.
    pub(crate) fn divides(&self, number: &Number) -> bool {
        let (digits, exponent) = parts(&number.text());
        // The digits end with no zero, so no power of ten divides them: what has more decimal
        // places than the divisor is no multiple of it.
        let Ok(power) = u64::try_from(exponent - self.exponent) else {
            return digits.is_empty();
        };
        let modulus = u128::from(self.digits);
        let digit = |rest: u128, byte: u8| (rest * 10 + u128::from(byte - b'0')) % modulus;
        let rest = digits.bytes().fold(0, digit);
        (rest * power_of_ten(power, modulus)).is_multiple_of(modulus)
    }
}

/// `10^exponent % modulus`, by squaring.
fn power_of_ten(mut exponent: u64, modulus: u128) -> u128 {
    let mut result = 1 % modulus;
    let mut square = 10 % modulus;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * square % modulus;
        }
        square = square * square % modulus;
        exponent >>= 1;
    }
    result
}

/// The digits of a number's size without zeros at either end, and the power of ten to multiply
/// them with; zero has no digits.
fn parts(text: &str) -> (String, i64) {
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0').trim_end_matches('0');
    if digits.is_empty() {
        return (String::new(), 0);
    }
    let zeros = all.len() - all.trim_end_matches('0').len();
    // A `Number` has at most six digits of exponent and some thousand of mantissa.
    let written: i64 = exponent.parse().unwrap_or(0);
    let places = zeros as i64 - fraction.len() as i64;
    (digits.to_owned(), written + places)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
    use super::*;

    #[track_caller]
    fn check(number: &str, divisor: &str, expected: bool) {
        let number = Number::parse(number).unwrap();
        let divisor = Divisor::new(&Number::parse(divisor).unwrap()).unwrap();
        assert_eq!(divisor.divides(&number), expected);
    }

    #[test]
    fn multiples_are_exact() {
        check("0", "7", true);
        check("-0.0", "7", true);
        check("0.3", "0.1", true);
        check("0.30000000000000000001", "0.1", false);
        check("9007199254740993", "2", false);
        check("9007199254740993", "3", true);
        check("123456789012345678901234567890", "10", true);
        check("123456789012345678901234567891", "10", false);
        check("1e99999", "999999999999999999", false);
        check("1e99999", "1e-99999", true);
        check("1e-99999", "1", false);
        check("-4.5", "1.5", true);
        check("1e308", "0.123456789", false);
    }

    #[test]
    fn a_divisor_is_above_zero_and_short() {
        for text in ["0", "-1", "0.0", "1234567890123456789"] {
            assert!(
                Divisor::new(&Number::parse(text).unwrap()).is_err(),
                "{text}"
            );
        }
    }
}
