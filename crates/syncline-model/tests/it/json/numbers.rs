//! Numbers keep their text and compare by exact value.

use std::cmp::Ordering;

use proptest::prelude::*;
use syncline_model::json::Number;

use super::{any_number, number_text};

fn number(text: &str) -> Number {
    Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
}

/// Checks the canonical text, and that the text itself is kept.
fn check_canonical(text: &str, canonical: &str) {
    assert_eq!(number(text).canonical(), canonical, "{text}");
    assert_eq!(number(text).text(), text);
}

#[test]
fn doubles_are_written_as_rfc_8785_shows() {
    let samples = [
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7fefffffffffffff, "1.7976931348623157e+308"),
        (0xffefffffffffffff, "-1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0xc340000000000000, "-9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44b52d02c7e14af5, "9.999999999999997e+22"),
        (0x44b52d02c7e14af6, "1e+23"),
        (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
        (0x444b1ae4d6e2ef4e, "999999999999999700000"),
        (0x444b1ae4d6e2ef4f, "999999999999999900000"),
        (0x444b1ae4d6e2ef50, "1e+21"),
        (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
        (0x3eb0c6f7a0b5ed8d, "0.000001"),
        (0x41b3de4355555553, "333333333.3333332"),
        (0x41b3de4355555554, "333333333.33333325"),
        (0x41b3de4355555555, "333333333.3333333"),
        (0x41b3de4355555556, "333333333.3333334"),
        (0x41b3de4355555557, "333333333.33333343"),
        (0xbecbf647612f3696, "-0.0000033333333333333333"),
        (0x43143ff3c1cb0959, "1424953923781206.2"),
        (0x430aef92084f3dd6, "947719984768954.8"),
        (0x42d01e73303db0a8, "70891870418626.62"),
    ];
    for (bits, text) in samples {
        let number = Number::from_f64(f64::from_bits(bits)).unwrap();
        assert_eq!(number.canonical(), text);
        assert_eq!(number.text(), text);
    }
    for bits in [0x7fffffffffffffff, 0x7ff0000000000000, 0xfff0000000000000] {
        assert!(Number::from_f64(f64::from_bits(bits)).is_none());
    }
}

#[test]
fn canonical_text_never_rounds() {
    check_canonical("1.0", "1");
    check_canonical("1E5", "100000");
    check_canonical("-0", "0");
    check_canonical("-0.0e-7", "0");
    check_canonical("4.50", "4.5");
    check_canonical("2e-3", "0.002");
    check_canonical("1E30", "1e+30");
    check_canonical("0.000000000000000000000000001", "1e-27");
    check_canonical("9007199254740991", "9007199254740991");
    check_canonical("9007199254740993", "9007199254740993e0");
    check_canonical("9007199254740994", "9007199254740994");
    check_canonical("-9007199254740993.0", "-9007199254740993e0");
    check_canonical("9223372036854775807", "9223372036854775807e0");
    check_canonical("18446744073709551615", "18446744073709551615e0");
    // The double is 18446744073709551616, but its shortest text ends in 52000.
    check_canonical("18446744073709551616", "18446744073709551616e0");
    check_canonical("18446744073709552000", "18446744073709552000");
    check_canonical("1e400", "1e400");
    check_canonical("1e-400", "1e-400");
    check_canonical("-12300e397", "-123e399");
    check_canonical("0.10000000000000000001", "10000000000000000001e-20");
    check_canonical("333333333.33333329", "33333333333333329e-8");
}

#[test]
fn what_is_kept_is_bounded() {
    for text in [
        "0e99999",
        "1e99999",
        "-1e-99999",
        "9.9e+00000000000000000000000000000001",
    ] {
        number(text);
    }
    let longest_double = format!("-0.{}5", "0".repeat(323));
    assert_eq!(number(&longest_double).canonical(), "-5e-324");
    let long = "7".repeat(1_090);
    assert_eq!(number(&long).canonical(), format!("{long}e0"));
    let too_long = [
        "7".repeat(1_091),
        "0.".to_owned() + &"0".repeat(1_099),
        "1".repeat(1 << 20),
    ];
    for text in &too_long {
        assert!(Number::parse(text).is_none());
    }
    for text in [
        "1e100000",
        "0e100000",
        "1e-100000",
        "1e99999999999999999999",
        "0.1e-99999",
    ] {
        assert!(Number::parse(text).is_none(), "{text}");
    }
    for text in [
        "", "-", "+1", "01", "1.", ".1", "1e", " 1", "1 ", "NaN", "inf", "٣", "1\0",
    ] {
        assert!(Number::parse(text).is_none(), "{text}");
    }
}

#[test]
fn integers_are_found_however_they_are_written() {
    for text in ["100", "100.0", "1e2", "1E+2", "1000e-1", "0.1e3"] {
        let number = number(text);
        assert_eq!(
            (number.as_i64(), number.as_u64()),
            (Some(100), Some(100)),
            "{text}"
        );
        assert!(number.is_integer());
        assert_eq!(number.as_f64(), 100.0);
    }
    assert_eq!(number("-0.0").as_u64(), Some(0));
    assert_eq!(number("-9223372036854775808.0").as_i64(), Some(i64::MIN));
    assert_eq!(number("9223372036854775808").as_i64(), None);
    assert_eq!(number("18446744073709551615e0").as_u64(), Some(u64::MAX));
    assert_eq!(number("18446744073709551616e0").as_u64(), None);
    assert_eq!(number("-1e0").as_u64(), None);
    assert_eq!(number("1e99999").as_i64(), None);
    assert!(number("1e21").is_integer() && number("1e+21").is_integer());
    assert!(number("12.5e1").is_integer());
    for text in ["1.5", "1e-1", "12.5", "0.50", "10000000000000000.5"] {
        assert!(!number(text).is_integer(), "{text}");
        assert_eq!(number(text).as_i64(), None);
    }
    assert_eq!(number("1e400").as_f64(), f64::INFINITY);
}

/// A number as `mantissa × 10^exponent`, and one of the ways to write it.
fn written() -> impl Strategy<Value = (i128, i32, String)> {
    let mantissa = prop_oneof![-20_i128..20, any::<i64>().prop_map(i128::from)];
    (mantissa, -6..6_i32, 0..4_i32, 0..3_usize, any::<bool>()).prop_map(
        |(mantissa, exponent, shift, zeros, upper)| {
            // Part of the exponent moves into the point.
            let digits = format!("{:0>5}", mantissa.abs());
            let (whole, fraction) = digits.split_at(digits.len() - shift as usize);
            let whole = whole.trim_start_matches('0');
            let mut text = if mantissa < 0 { "-" } else { "" }.to_owned();
            text += if whole.is_empty() { "0" } else { whole };
            if shift > 0 || zeros > 0 {
                text += &format!(
                    ".{fraction}{}",
                    "0".repeat(zeros.max(usize::from(shift == 0)))
                );
            }
            if exponent + shift != 0 || upper {
                text += &format!("{}{}", if upper { 'E' } else { 'e' }, exponent + shift);
            }
            (mantissa, exponent, text)
        },
    )
}

/// Compares exactly, by bringing both to the smaller exponent.
fn compare((a, a_exponent): (i128, i32), (b, b_exponent): (i128, i32)) -> Ordering {
    let lower = a_exponent.min(b_exponent);
    let scaled = |mantissa: i128, exponent: i32| mantissa * 10_i128.pow(exponent.abs_diff(lower));
    scaled(a, a_exponent).cmp(&scaled(b, b_exponent))
}

proptest! {
    #[test]
    fn numbers_compare_like_exact_decimals(a in written(), b in written()) {
        let (x, y) = (number(&a.2), number(&b.2));
        let oracle = compare((a.0, a.1), (b.0, b.1));
        prop_assert_eq!(x.cmp(&y), oracle);
        prop_assert_eq!(x == y, oracle.is_eq());
        prop_assert_eq!(x.canonical() == y.canonical(), oracle.is_eq());
    }

    #[test]
    fn one_value_written_in_two_ways_is_equal(a in written(), exponent in -3..3_i32) {
        let other = number(&format!("{}e{}", a.0 * 1_000, a.1 - 3));
        prop_assert_eq!(number(&a.2), other);
        let moved = number(&format!("{}e{}", a.0, a.1 + exponent));
        prop_assert_eq!(number(&a.2) == moved, exponent == 0 || a.0 == 0);
    }

    #[test]
    fn a_number_keeps_its_text(text in number_text()) {
        let number = number(&text);
        prop_assert_eq!(number.text(), text.as_str());
        prop_assert_eq!(number.as_f64(), text.parse::<f64>().unwrap());
    }

    #[test]
    fn order_agrees_with_equality(a in any_number(), b in any_number(), c in any_number()) {
        prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn a_double_comes_back(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        prop_assert_eq!(Number::from_f64(value).unwrap().as_f64(), value);
    }

    #[test]
    fn integers_come_back(signed in any::<i64>(), unsigned in any::<u64>()) {
        prop_assert_eq!(Number::from(signed).as_i64(), Some(signed));
        prop_assert_eq!(Number::from(unsigned).as_u64(), Some(unsigned));
        prop_assert_eq!(number(&unsigned.to_string()), Number::from(unsigned));
        prop_assert_eq!(number(&format!("{signed}.0")), Number::from(signed));
    }
}

#[test]
fn sums_are_exact() {
    let check = |a: &str, b: &str, sum: &str| {
        let [a, b, sum] = [a, b, sum].map(|text| Number::parse(text).unwrap());
        let found = a.checked_add(&b).unwrap();
        assert_eq!(found.text(), sum.text(), "{a} + {b}");
        assert_eq!(b.checked_add(&a), Some(found));
        assert_eq!(sum.checked_sub(&b), Some(a.clone()));
        assert_eq!(sum.checked_sub(&a), Some(b));
    };
    check("1", "2", "3");
    check("1", "-1", "0");
    check("0.1", "0.2", "0.3");
    check("-0.25", "0.2", "-0.05");
    check("0.001", "-0.0001", "0.0009");
    check("1e3", "1", "1001");
    check("9223372036854775807", "1", "9223372036854775808");
    check("18446744073709551615", "1", "18446744073709551616");
    check("-9223372036854775808", "-1", "-9223372036854775809");
    check(
        "12345678901234567890123",
        "0.5",
        "12345678901234567890123.5",
    );
    check("1e30", "1e30", "2e30");
    check("99.9", "0.1", "100");
    check("-7", "0", "-7");
    check("1e-30", "0", "1e-30");
}

#[test]
fn sums_that_cannot_be_written_down_are_none() {
    let number = |text: &str| Number::parse(text).unwrap();
    assert_eq!(number("1e900").checked_add(&number("1e-900")), None);
    assert_eq!(number("1e99999").checked_sub(&number("1")), None);
    assert_eq!(
        number("1e99999").checked_sub(&number("1e99999")),
        Some(number("0"))
    );
    let nines = number(&"9".repeat(1_090));
    assert_eq!(nines.checked_add(&number("1")), Some(number("1e1090")));
    assert_eq!(nines.checked_add(&nines), None);
}

#[test]
fn texts_are_told_apart() {
    let same = |a: &str, b: &str| {
        Number::parse(a)
            .unwrap()
            .is_written_as(&Number::parse(b).unwrap())
    };
    assert!(same("1", "1") && same("1.5", "1.5") && same("1.0", "1.0"));
    assert!(!same("1", "1.0") && !same("1e0", "1.0") && !same("0", "-0"));
}
