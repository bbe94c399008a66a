//! Hostile input ends soon, by a bound in steps.

use syncline_merge::{Action, MergeLimits, MergeRules, Merged, Rule, Side, Sides, merge};
use syncline_model::json::{Json, Object};

const LONG: usize = 100_000;

fn merged(base: &Json, theirs: &Json, ours: &Json) -> Merged {
    let sides = Sides {
        base: Some(base),
        ours: Some(ours),
        theirs: Some(theirs),
        earlier: Side::Theirs,
    };
    merge(sides, &MergeRules::default(), &MergeLimits::default())
}

fn numbers(len: usize, item: impl Fn(usize) -> usize) -> Json {
    (0..len).map(|n| Json::from(item(n))).collect()
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
    let same = |len| numbers(len, |_| 7);
    let merged = merged(&same(LONG), &same(LONG - 10), &same(LONG + 10));
    let len = merged.value.unwrap().as_array().unwrap().len();
    assert_eq!(len, LONG);
    assert!(
        merged
            .decisions
            .iter()
            .all(|decision| decision.action == Action::Both)
    );
}

#[test]
fn long_arrays_of_other_items_and_orders() {
    let base = numbers(LONG, |n| n);
    merged(
        &base,
        &numbers(LONG, |n| n + LONG),
        &numbers(LONG, |n| n + 2 * LONG),
    );
    merged(
        &base,
        &numbers(LONG, |n| LONG - n),
        &numbers(LONG, scattered),
    );
    let few = |salt: usize| numbers(LONG, move |n| scattered(n + salt) % 3);
    merged(&few(0), &few(7_777), &few(99));
}

#[test]
fn long_arrays_with_keys() {
    let list = |salt: usize| -> Json {
        let item = |n: usize| {
            let members = [
                ("id", Json::from((n * 7 + salt * 11) % LONG)),
                ("n", Json::from(n)),
            ];
            Json::from(members.into_iter().collect::<Object>())
        };
        (0..LONG).map(item).collect()
    };
    merged(&list(0), &list(1), &list(2));
}

#[test]
fn arrays_beyond_the_bound_clash_whole() {
    let limit = MergeLimits::default().items_max;
    let long = |first: usize| numbers(limit + 1, move |n| if n == 0 { first } else { 7 });
    let merged = merged(&long(0), &long(1), &long(2));
    assert_eq!(merged.decisions.len(), 1);
    assert_eq!(merged.decisions[0].rule, Rule::Bound);
    assert_eq!(merged.value, Some(long(1)));
}

#[test]
fn similar_items_in_great_numbers() {
    let list = |salt: usize| -> Json {
        let item = |n: usize| {
            let mut object = Object::new();
            (0..20).for_each(|m| drop(object.insert(format!("m{m}"), Json::from(m % 3))));
            object.insert("n", Json::from(n * 3 + salt));
            Json::from(object)
        };
        (0..2_000).map(item).collect()
    };
    merged(&list(0), &list(1), &list(2));
}

#[test]
fn deep_documents() {
    let deep = |leaf: usize, depth: usize, by_key: bool| {
        (0..depth).fold(numbers(1_000, |n| n + leaf), |below, n| match by_key {
            true => Json::from(Object::from_iter([
                ("id", Json::from(1)),
                ("below", Json::from(vec![below])),
            ])),
            false => Json::from(vec![Json::from(n + leaf), below]),
        })
    };
    for by_key in [true, false] {
        let sides = [0, 1, 2].map(|leaf| deep(leaf, 31, by_key));
        assert!(!merged(&sides[0], &sides[1], &sides[2]).is_clean());
    }
    let objects = |leaf: usize| {
        (0..200).fold(Json::from(leaf), |below, _| {
            Json::from(Object::from_iter([("below", below)]))
        })
    };
    let merged = merged(&objects(0), &objects(1), &objects(2));
    assert_eq!(merged.decisions[0].rule, Rule::Bound);
}

#[test]
fn long_texts() {
    let text = |salt: usize| {
        let line = |n: usize| format!("{}\n", scattered(n * 3 + salt) % 50);
        Json::from((0..60_000).map(line).collect::<String>())
    };
    merged(&text(0), &text(1), &text(2));
    let blanks = |n: usize| Json::from("\n".repeat(n));
    merged(&blanks(1 << 20), &blanks((1 << 20) - 5), &blanks(1 << 19));
    let words = |salt: usize| Json::from(format!("x\n{}", "a b ".repeat(100_000 + salt)));
    merged(&words(0), &words(1), &words(2));
    let over = |text: &str| Json::from(format!("{text}{}", "\n".repeat(1 << 20)));
    assert_eq!(
        merged(&over("a"), &over("b"), &over("c")).decisions[0].rule,
        Rule::Bound
    );
}

#[test]
fn many_members() {
    let object = |value: usize| {
        let members = (0..LONG).map(|n| (format!("key{n}"), Json::from(n * value)));
        Json::from(members.collect::<Object>())
    };
    let merged = merged(&object(1), &object(2), &object(3));
    assert_eq!(merged.clashes().count(), LONG - 1);
}
