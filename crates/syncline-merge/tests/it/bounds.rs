//! Hostile input ends soon: these tests finish in seconds even without optimization, where
//! anything quadratic would take hours.

use crate::{WIDE, json};
use syncline_merge::{ApplyErrorKind, ApplyLimits, Op, Patch, diff, readable};
use syncline_model::json::{Json, Object, Pointer};

const LONG: usize = 100_000;

#[track_caller]
fn check(from: &Json, to: &Json, ops_max: usize) {
    let patch = diff(from, to);
    assert!(patch.0.len() <= ops_max, "{} operations", patch.0.len());
    assert_eq!(patch.apply(from, &WIDE).as_ref(), Ok(to));
    assert!(readable(from, to).lines().count() <= 1_001);
}

fn numbers(item: impl Fn(usize) -> usize) -> Json {
    (0..LONG).map(|n| Json::from(item(n))).collect()
}

/// Numbers that look random and are the same each time.
fn scattered(n: usize) -> usize {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(23)
        .wrapping_mul(0xBF58_476D_1CE4_E5B9)
        >> 40
}

#[test]
fn long_arrays_of_equal_items() {
    let equal: Json = numbers(|_| 7);
    check(&equal, &numbers(|_| 7), 0);
    let mut shorter = equal.clone();
    shorter.as_array_mut().unwrap().truncate(LONG / 2);
    check(&equal, &shorter, 1);
    check(&shorter, &equal, 1);
}

#[test]
fn long_arrays_of_different_items() {
    check(&numbers(|n| n), &numbers(|n| n + LONG), 1);
}

#[test]
fn long_arrays_in_another_order() {
    check(&numbers(|n| n), &numbers(|n| LONG - 1 - n), 1);
    check(
        &numbers(scattered),
        &numbers(|n| scattered(LONG - 1 - n)),
        1,
    );
}

#[test]
fn long_arrays_of_few_values() {
    check(
        &numbers(|n| scattered(n) % 2),
        &numbers(|n| scattered(n + 7_777) % 2),
        1,
    );
    check(
        &numbers(|n| scattered(n) % 50),
        &numbers(|n| scattered(n * 3) % 50),
        1,
    );
}

#[test]
fn long_objects() {
    let object = |value: usize| {
        let members = (0..LONG).map(|n| (format!("key{n}"), Json::from(n * value)));
        Json::from(members.collect::<Object>())
    };
    check(&object(2), &object(3), 1);
}

#[test]
fn deep_arrays_with_weight_at_the_bottom() {
    let deep = |leaf: usize| {
        let bottom: Json = (0..20_000).map(|n| Json::from(n + leaf)).collect();
        (0..60).fold(bottom, |below, n| {
            Json::from(vec![Json::from(n + leaf), below])
        })
    };
    check(&deep(0), &deep(1), 200);
}

#[test]
fn every_second_item_of_a_long_array_goes() {
    let item = |n: usize| {
        Json::from(format!(
            "{n} is a text that is longer than an operation on it"
        ))
    };
    let all: Json = (0..LONG).map(item).collect();
    let half: Json = (0..LONG).step_by(2).map(item).collect();
    check(&all, &half, LONG);
}

#[test]
fn a_patch_that_doubles_is_refused_early() {
    let double = |from: &str, path: &str| Op::Copy {
        from: Pointer::parse(from).unwrap(),
        path: Pointer::parse(path).unwrap(),
    };
    let patch = Patch((0..4_000).map(|_| double("/a", "/a/-")).collect());
    let limits = ApplyLimits {
        depth_max: 64,
        weight_max: 10 << 20,
    };
    let error = patch
        .apply(&json(r#"{"a":["0123456789"]}"#), &limits)
        .unwrap_err();
    assert!(error.index < 64, "{error}");
    let wide = Patch((0..4_000).map(|n| double("", &format!("/a{n}"))).collect());
    let flat = ApplyLimits {
        depth_max: usize::MAX,
        ..limits
    };
    let error = wide
        .apply(&json(r#"{"a":"0123456789"}"#), &flat)
        .unwrap_err();
    assert_eq!(error.kind, ApplyErrorKind::TooLarge { max: 10 << 20 });
    assert!(error.index < 32, "{error}");
}

#[test]
fn a_patch_that_moves_too_much_is_refused() {
    let long: Json = (0..LONG * 10).map(|_| Json::from(0)).collect();
    let value = Json::from(1);
    let path = Pointer::parse("/0").unwrap();
    let patch = Patch(
        (0..4_096)
            .map(|_| Op::Add {
                path: path.clone(),
                value: value.clone(),
            })
            .collect(),
    );
    let error = patch.apply(&long, &WIDE).unwrap_err();
    assert_eq!(error.kind, ApplyErrorKind::TooCostly { max: 1 << 28 });
    assert!(error.to_string().contains("268435456 items"), "{error}");
    let appends = Pointer::parse("/-").unwrap();
    let patch = Patch(
        (0..4_096)
            .map(|_| Op::Add {
                path: appends.clone(),
                value: value.clone(),
            })
            .collect(),
    );
    assert!(patch.apply(&long, &WIDE).is_ok());
}
