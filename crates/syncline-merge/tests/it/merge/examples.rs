//! What people expect of a merge, case by case.

use crate::json;
use syncline_merge::{Choice, Contest, MergeLimits, MergeRules, Merged, Side, Sides, chain, merge};
use syncline_model::json::Json;

/// Merges two edits; the head (`theirs`) is earlier.
fn merged(base: &str, theirs: &str, ours: &str, rules: &str) -> Merged {
    let [base, theirs, ours] =
        [base, theirs, ours].map(|text| (!text.is_empty()).then(|| json(text)));
    let sides = Sides {
        base: base.as_ref(),
        ours: ours.as_ref(),
        theirs: theirs.as_ref(),
        earlier: Side::Theirs,
    };
    let rules = MergeRules::from_json(&json(rules)).unwrap();
    merge(sides, &rules, &MergeLimits::default())
}

/// What was decided, one word each: place, action, rule.
fn decided(merged: &Merged) -> Vec<String> {
    let line = |decision: &syncline_merge::Decision| {
        format!("{} {} {}", decision.keyed, decision.action, decision.rule)
    };
    merged.decisions.iter().map(line).collect()
}

#[track_caller]
fn check(base: &str, theirs: &str, ours: &str, expected: &str, decisions: &[&str]) {
    check_by("{}", base, theirs, ours, expected, decisions);
}

#[track_caller]
fn check_by(rules: &str, base: &str, theirs: &str, ours: &str, expected: &str, decisions: &[&str]) {
    let merged = merged(base, theirs, ours, rules);
    let value = merged.value.as_ref().map(Json::to_text).unwrap_or_default();
    assert_eq!(value, expected);
    assert_eq!(decided(&merged), decisions);
}

#[test]
fn members_are_merged_by_key() {
    check(
        r#"{"n":1}"#,
        r#"{"n":2}"#,
        r#"{"m":3,"n":1}"#,
        r#"{"m":3,"n":2}"#,
        &[],
    );
    check(
        r#"{"a":1,"b":1}"#,
        r#"{"a":2,"b":1}"#,
        r#"{"a":3}"#,
        r#"{"a":2}"#,
        &["/a clash value"],
    );
    check(
        r#"{"a":1}"#,
        r#"{"a":2}"#,
        r#"{"a":2.0}"#,
        r#"{"a":2}"#,
        &["/a both same"],
    );
}

#[test]
fn two_objects_under_one_new_key_grow_together() {
    check(
        "{}",
        r#"{"new":{"a":1,"c":0}}"#,
        r#"{"new":{"b":2,"c":1}}"#,
        r#"{"new":{"a":1,"b":2,"c":0}}"#,
        &["/new/c clash value"],
    );
    check("", r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":1,"b":2}"#, &[]);
    check(
        "{}",
        r#"{"l":[1]}"#,
        r#"{"l":[2]}"#,
        r#"{"l":[1]}"#,
        &["/l clash value"],
    );
    check(
        "{}",
        r#"{"l":[{"id":1}]}"#,
        r#"{"l":[{"id":2}]}"#,
        r#"{"l":[{"id":1},{"id":2}]}"#,
        &["/l both keyed"],
    );
}

#[test]
fn a_deletion_that_meets_an_edit_waits() {
    let (base, edited) = (r#"{"a":{"x":1}}"#, r#"{"a":{"x":2}}"#);
    check(base, "{}", edited, edited, &["/a clash delete_edit"]);
    check(base, edited, "{}", edited, &["/a clash delete_edit"]);
    check(base, base, "{}", "{}", &[]);
    check(base, "{}", "{}", "{}", &["/a both same"]);
    check(base, "", edited, edited, &[" clash delete_edit"]);
    check(base, "", base, "", &[]);
    let merged = merged(base, "{}", edited, "{}");
    assert_eq!(merged.settle(&[Choice::Theirs]), Ok(Some(json("{}"))));
    assert_eq!(merged.settle(&[Choice::Ours]), Ok(Some(json(edited))));
    assert!(merged.settle(&[]).is_err());
}

#[test]
fn types_that_changed_clash() {
    check(
        r#"{"a":1}"#,
        r#"{"a":"x"}"#,
        r#"{"a":2}"#,
        r#"{"a":"x"}"#,
        &["/a clash type_change"],
    );
    check(
        r#"{"a":[1]}"#,
        r#"{"a":{}}"#,
        r#"{"a":[2]}"#,
        r#"{"a":{}}"#,
        &["/a clash type_change"],
    );
    check(
        r#"{"a":null}"#,
        r#"{"a":1}"#,
        "{}",
        r#"{"a":1}"#,
        &["/a clash delete_edit"],
    );
}

#[test]
fn items_with_keys_are_merged_one_by_one() {
    check(
        r#"[{"id":"a","n":1},{"id":"b","n":1},{"id":"c","n":1}]"#,
        r#"[{"id":"a","n":1},{"id":"new","n":1},{"id":"b","n":2},{"id":"c","n":1}]"#,
        r#"[{"id":"c","n":1},{"id":"a","n":3},{"id":"b","n":1,"o":1},{"id":"last"}]"#,
        r#"[{"id":"c","n":1},{"id":"a","n":3},{"id":"new","n":1},{"id":"b","n":2,"o":1},{"id":"last"}]"#,
        &[" both keyed"],
    );
    check(
        r#"[{"id":"s1","done":false},{"id":"s2","done":false}]"#,
        r#"[{"id":"s2","done":false},{"id":"s1","done":false}]"#,
        r#"[{"id":"s1","done":true},{"id":"s2","done":false},{"id":"s3"}]"#,
        r#"[{"done":false,"id":"s2"},{"id":"s3"},{"done":true,"id":"s1"}]"#,
        &[" both keyed"],
    );
    check(
        r#"{"s":[{"id":"s1"},{"id":"s 2","owner":"a"}]}"#,
        r#"{"s":[{"id":"s 2","owner":"b"}]}"#,
        r#"{"s":[{"id":"s1"},{"id":"s 2","owner":"c"}]}"#,
        r#"{"s":[{"id":"s 2","owner":"b"}]}"#,
        &[r#"/s[id="s 2"]/owner clash value"#],
    );
    check(
        r#"[{"id":1,"n":1},{"id":2,"n":1}]"#,
        r#"[{"id":2,"n":1}]"#,
        r#"[{"id":1,"n":2},{"id":2,"n":1}]"#,
        r#"[{"id":1,"n":2},{"id":2,"n":1}]"#,
        &["[id=1] clash delete_edit"],
    );
}

#[test]
fn the_key_is_the_member_that_lasts() {
    // The name was changed, the slug was not.
    check(
        r#"[{"name":"One","slug":"one","n":1},{"name":"Two","slug":"two"}]"#,
        r#"[{"name":"First","slug":"one","n":1},{"name":"Two","slug":"two"}]"#,
        r#"[{"name":"One","slug":"one","n":2},{"name":"Two","slug":"two"}]"#,
        r#"[{"n":2,"name":"First","slug":"one"},{"name":"Two","slug":"two"}]"#,
        &[],
    );
}

#[test]
fn orders_of_keyed_items() {
    let list = |ids: &str| {
        let items: Vec<String> = ids
            .chars()
            .map(|id| format!(r#"{{"id":"{id}"}}"#))
            .collect();
        format!("[{}]", items.join(","))
    };
    let check = |base: &str, theirs: &str, ours: &str, expected: &str, decisions: &[&str]| {
        check(
            &list(base),
            &list(theirs),
            &list(ours),
            &list(expected),
            decisions,
        );
    };
    // One side moves, the other adds.
    check("dbca", "dbcax", "abcd", "abcdx", &[" both keyed"]);
    // Each moves another item.
    check("dbcaef", "bdcaef", "dbcafe", "bdcafe", &[" both keyed"]);
    // Both move the same one.
    check("dbcaef", "adbcef", "dbcefa", "adbcef", &[" theirs order"]);
    // New items follow what they follow, the earlier side's first.
    check("dbca", "dbxca", "dbyca", "dbxyca", &[" both keyed"]);
    check("dbca", "dxca", "dbyca", "dxyca", &[" both keyed"]);
    // All three are sorted, so the merged list is.
    check("abf", "abdf", "abcf", "abcdf", &[" both keyed"]);
}

#[test]
fn items_without_keys_are_matched_by_what_they_hold() {
    check(
        "[3,1,2]",
        "[3,1,2,9]",
        "[0,3,1,2]",
        "[0,3,1,2,9]",
        &[" both items"],
    );
    check(
        "[3,1,2]",
        "[3,1,2,9]",
        "[3,1,2,9]",
        "[3,1,2,9]",
        &[" both same"],
    );
    check(
        "[3,1,2]",
        "[3,1,2,9,7]",
        "[3,1,2,9,8]",
        "[3,1,2,9,7,8]",
        &[" both items"],
    );
    check("[3,1,2]", "[3,1]", "[1,2]", "[1]", &[" both items"]);
    // Both replaced the same item.
    check(
        "[3,1,2]",
        "[3,5,2]",
        "[3,6,2]",
        "[3,5,2]",
        &[" clash overlap"],
    );
    // Sorted lists stay sorted.
    check(
        "[1,3,9]",
        "[1,3,6,9]",
        "[1,3,4,9]",
        "[1,3,4,6,9]",
        &[" both items"],
    );
    // The earlier side deleted all; what the later side moved and added keeps its order.
    check(
        r#"["q","b","x","d","z"]"#,
        "[]",
        r#"["d","c","z","b","q","f"]"#,
        r#"["c","f"]"#,
        &[" both items"],
    );
    // What the earlier side moved the later side deleted.
    check("[3,1,2]", "[1,2,3]", "[1,2]", "[1,2]", &[" both items"]);
}

#[test]
fn edited_items_are_known_again() {
    check(
        r#"[{"on":"push","run":"a","with":1},{"on":"tag","run":"b","with":1}]"#,
        r#"[{"on":"new"},{"on":"push","run":"a","with":2},{"on":"tag","run":"b","with":1}]"#,
        r#"[{"on":"push","run":"c","with":1},{"on":"tag","run":"b","with":1}]"#,
        r#"[{"on":"new"},{"on":"push","run":"c","with":2},{"on":"tag","run":"b","with":1}]"#,
        &[],
    );
    // A clash inside has no name that lasts, so the array clashes.
    check(
        r#"[{"on":"push","run":"a","with":1}]"#,
        r#"[{"on":"push","run":"b","with":1}]"#,
        r#"[{"on":"push","run":"c","with":1}]"#,
        r#"[{"on":"push","run":"b","with":1}]"#,
        &[" clash overlap"],
    );
}

#[test]
fn texts_are_merged_by_lines_then_words() {
    check(
        r#""one\ntwo\nthree\n""#,
        r#""one\n2\nthree\n""#,
        r#""one\ntwo\nthree\nfour\n""#,
        r#""one\n2\nthree\nfour\n""#,
        &[" both lines"],
    );
    check(
        r#""a b c d\nx\n""#,
        r#""A b c d\nx\n""#,
        r#""a b c D\nx\n""#,
        r#""A b c D\nx\n""#,
        &[" both words"],
    );
    check(
        r#""a\nb\n""#,
        r#""a\nc\n""#,
        r#""a\nd\n""#,
        r#""a\nc\n""#,
        &[" clash value"],
    );
    check(
        r#""a b c""#,
        r#""A b c""#,
        r#""a b C""#,
        r#""A b c""#,
        &[" clash value"],
    );
}

#[test]
fn declared_policies() {
    let check =
        |policy: &str, base: &str, theirs: &str, ours: &str, expected: &str, decision: &str| {
            let member = |value: &str| match value {
                "" => "{}".to_owned(),
                value => format!(r#"{{"a":{value}}}"#),
            };
            let rules = format!(r#"{{"/a":{policy}}}"#);
            let sides = [base, theirs, ours, expected].map(member);
            check_by(
                &rules,
                &sides[0],
                &sides[1],
                &sides[2],
                &sides[3],
                &[decision],
            );
        };
    check(r#""counter""#, "5", "6", "6", "7", "/a both counter");
    check(
        r#""counter""#,
        "0.1",
        "0.3",
        "-1",
        "-0.8",
        "/a both counter",
    );
    check(
        r#""counter""#,
        "9007199254740993",
        "9007199254740994",
        "9007199254740996",
        "9007199254740997",
        "/a both counter",
    );
    check(
        r#""counter""#,
        "1",
        r#""x""#,
        "2",
        r#""x""#,
        "/a clash type_change",
    );
    check(
        r#""set""#,
        r#"["a","b"]"#,
        r#"["b","c"]"#,
        r#"["c","b","a","d"]"#,
        r#"["d","b","c"]"#,
        "/a both set",
    );
    check(
        r#""append""#,
        "[1]",
        "[1,2]",
        "[1,2]",
        "[1,2,2]",
        "/a both append",
    );
    check(
        r#""append""#,
        r#""log\n""#,
        r#""log\none\n""#,
        r#""log\ntwo\n""#,
        r#""log\none\ntwo\n""#,
        "/a both append",
    );
    check(
        r#"{"keyed":"url"}"#,
        "[]",
        r#"[{"url":"x"}]"#,
        r#"[{"url":"y"}]"#,
        r#"[{"url":"x"},{"url":"y"}]"#,
        "/a both keyed",
    );
    check(r#""max""#, "1", "3", "2", "3", "/a theirs max");
    check(
        r#""max""#,
        r#""2026-01-01""#,
        r#""2026-01-02""#,
        r#""2026-01-03""#,
        r#""2026-01-03""#,
        "/a ours max",
    );
    check(r#""min""#, "9", "3", "2", "2", "/a ours min");
    check(r#""last""#, "1", "2", "", "", "/a ours last");
    check(r#""first""#, "1", "2", "", "2", "/a theirs first");
    check(
        r#""text""#,
        r#""a b c""#,
        r#""A b c""#,
        r#""a b C""#,
        r#""A b C""#,
        "/a both words",
    );
    check(
        r#""atomic""#,
        r#"{"x":1,"y":1}"#,
        r#"{"x":2,"y":1}"#,
        r#"{"x":1,"y":2}"#,
        r#"{"x":2,"y":1}"#,
        "/a clash atomic",
    );
}

#[test]
fn conflicts_of_conflicts() {
    let value = |n: u32| Some(Json::from(n));
    let contest = |base, theirs, ours| Contest { base, ours, theirs };
    let first = contest(value(1), value(2), value(3));
    let again = chain(&first, &contest(value(3), value(2), value(4)));
    assert_eq!(again, Some(contest(value(1), value(2), value(4))));
    let head = chain(&first, &contest(value(2), None, value(3)));
    assert_eq!(head, Some(contest(value(1), None, value(3))));
    assert_eq!(chain(&first, &contest(value(7), value(2), value(4))), None);
    assert_eq!(first.settled(), None);
    assert_eq!(
        contest(value(1), value(2), value(2)).settled(),
        Some(&value(2))
    );
    assert_eq!(
        contest(value(1), value(1), value(2)).settled(),
        Some(&value(2))
    );
    assert_eq!(contest(value(1), None, value(1)).settled(), Some(&None));
}

/// Whoever replaces an item means that one: two who tick different boxes tick both.
#[test]
fn equal_replacements_of_different_items_are_two() {
    for (base, theirs, ours, expected) in [
        (
            "[false,false,false,false]",
            "[true,false,false,false]",
            "[false,false,true,false]",
            "[true,false,true,false]",
        ),
        ("[10,20]", "[10,0]", "[0,20]", "[0,0]"),
        ("[1,2,3,4]", "[9,2,3,4]", "[1,2,9,4]", "[9,2,9,4]"),
        ("[1,2,3,4]", "[9,9,3,4]", "[1,9,9,4]", "[9,9,9,4]"),
        (
            r#"["open","doing"]"#,
            r#"["open","done"]"#,
            r#"["done","doing"]"#,
            r#"["done","done"]"#,
        ),
        (
            "[[1,2],[3,4]]",
            "[[1,0],[3,4]]",
            "[[1,2],[3,0]]",
            "[[1,0],[3,0]]",
        ),
    ] {
        let merged = merged(base, theirs, ours, "{}");
        assert!(merged.is_clean(), "{:?}", merged.decisions);
        assert_eq!(merged.value.unwrap().to_text(), expected);
    }
    // The same item by the same one is one edit, and so is what both only added.
    check("[1,2]", "[9,2]", "[9,2]", "[9,2]", &[" both same"]);
    check("[1,2]", "[9,1,2]", "[1,2,9]", "[9,1,2]", &[" both items"]);
    check("[1,2]", "[9,2]", "[1,2,9]", "[9,2]", &[" both items"]);
}
