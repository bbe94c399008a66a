//! The patches that `diff` finds, as text: short, and what a person would expect.

use crate::{WIDE, json};
use syncline_merge::diff;
use syncline_model::json::Json;

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    let (from, to) = (json(from), json(to));
    let patch = diff(&from, &to);
    assert_eq!(patch.apply(&from, &WIDE), Ok(to));
    let ops: Vec<String> = patch
        .to_json()
        .as_array()
        .unwrap()
        .iter()
        .map(|op| op.to_text())
        .collect();
    assert_eq!(ops, expected);
}

#[test]
fn objects_differ_by_key() {
    check("{}", "{}", &[]);
    check(r#"{"a":1,"b":[1]}"#, r#"{"b":[1.0],"a":1e0}"#, &[]);
    check(
        r#"{"keep":"as it is","old":"x","status":"open"}"#,
        r#"{"keep":"as it is","new":"y","status":"done"}"#,
        &[
            r#"{"op":"add","path":"/new","value":"y"}"#,
            r#"{"op":"remove","path":"/old"}"#,
            r#"{"op":"replace","path":"/status","value":"done"}"#,
        ],
    );
    check(
        r#"{"a/b":{"~":{"":"long enough to stay"}},"n":null}"#,
        r#"{"a/b":{"~":{"":"long enough to stay","é":1}}}"#,
        &[
            r#"{"op":"add","path":"/a~1b/~0/é","value":1}"#,
            r#"{"op":"remove","path":"/n"}"#,
        ],
    );
}

#[test]
fn types_and_roots_are_replaced() {
    check("1", "2", &[r#"{"op":"replace","path":"","value":2}"#]);
    check("{}", "[]", &[r#"{"op":"replace","path":"","value":[]}"#]);
    check(r#"{"a":null}"#, "{}", &[r#"{"op":"remove","path":"/a"}"#]);
    check(
        r#"{"a":null}"#,
        r#"{"a":false}"#,
        &[r#"{"op":"replace","path":"/a","value":false}"#],
    );
}

#[test]
fn a_container_is_replaced_where_that_is_shorter() {
    let (from, to) = (
        r#"{"a":{"b":1,"c":2,"d":3,"e":4}}"#,
        r#"{"a":{"b":5,"c":6,"d":7,"e":8}}"#,
    );
    check(
        from,
        to,
        &[r#"{"op":"replace","path":"/a","value":{"b":5,"c":6,"d":7,"e":8}}"#],
    );
    check(
        r#"{"l":[1,2,3]}"#,
        r#"{"l":[3,4,1]}"#,
        &[r#"{"op":"replace","path":"/l","value":[3,4,1]}"#],
    );
    // Two of three members: the paths are worth their bytes.
    check(
        r#"{"a":1,"b":2,"c":3}"#,
        r#"{"a":4,"b":5,"c":3}"#,
        &[
            r#"{"op":"replace","path":"/a","value":4}"#,
            r#"{"op":"replace","path":"/b","value":5}"#,
        ],
    );
}

#[test]
fn one_insertion_before_many_items_is_one_operation() {
    let items: Vec<String> = (0..200)
        .map(|n| format!(r#"{{"n":{n},"same":"text"}}"#))
        .collect();
    let long = |items: &[String]| format!(r#"{{"l":[{}]}}"#, items.join(","));
    let mut more = items.clone();
    more.insert(0, r#"{"n":-1}"#.to_owned());
    check(
        &long(&items),
        &long(&more),
        &[r#"{"op":"add","path":"/l/0","value":{"n":-1}}"#],
    );
    check(
        &long(&more),
        &long(&items),
        &[r#"{"op":"remove","path":"/l/0"}"#],
    );

    let mut edited = more.clone();
    edited[101] = r#"{"n":100,"same":"other"}"#.to_owned();
    edited.push(r#"{"n":200}"#.to_owned());
    edited.remove(50);
    check(
        &long(&items),
        &long(&edited),
        &[
            r#"{"op":"add","path":"/l/0","value":{"n":-1}}"#,
            r#"{"op":"remove","path":"/l/50"}"#,
            r#"{"op":"replace","path":"/l/100/same","value":"other"}"#,
            r#"{"op":"add","path":"/l/200","value":{"n":200}}"#,
        ],
    );
}

#[test]
fn edited_items_are_paired_by_their_names() {
    // The second of two items is edited, and another comes between them.
    check(
        r#"{"steps":[{"id":"s1","text":"write it down"},{"id":"s2","text":"read it again","owner":"a"},{"id":"s3","text":"publish it"}]}"#,
        r#"{"steps":[{"id":"s1","text":"write it down"},{"id":"new"},{"id":"s2","text":"read it again","owner":"b"},{"id":"s3","text":"publish it"}]}"#,
        &[
            r#"{"op":"add","path":"/steps/1","value":{"id":"new"}}"#,
            r#"{"op":"replace","path":"/steps/2/owner","value":"b"}"#,
        ],
    );
}

#[test]
fn named_items_that_moved_are_moved() {
    let long = "a text that is longer than an operation, so that the item is worth moving";
    let list = |ids: &str, edited: char| {
        let item = |id: char| {
            let status = if id == edited { "done" } else { "open" };
            format!(r#"{{"id":"{id}","status":"{status}","text":"{long}"}}"#)
        };
        format!("[{}]", ids.chars().map(item).collect::<Vec<_>>().join(","))
    };
    check(
        &list("abcdef", '-'),
        &list("eabcdf", '-'),
        &[r#"{"from":"/4","op":"move","path":"/0"}"#],
    );
    check(
        &list("abcdef", '-'),
        &list("bcdefa", '-'),
        &[r#"{"from":"/0","op":"move","path":"/5"}"#],
    );
    // One goes, one moves and is edited.
    check(
        &list("abcdef", '-'),
        &list("adefb", 'b'),
        &[
            r#"{"op":"remove","path":"/2"}"#,
            r#"{"from":"/1","op":"move","path":"/4"}"#,
            r#"{"op":"replace","path":"/4/status","value":"done"}"#,
        ],
    );
}

#[test]
fn repeated_items_are_aligned() {
    let list =
        |items: &[&str]| Json::from_iter(items.iter().map(|&item| Json::from(item))).to_text();
    let from: Vec<&str> = "a long line;b long line;a long line;c long line;b long line;a long line"
        .split(';')
        .collect();
    let mut to = from.clone();
    to.insert(3, "b long line");
    check(
        &list(&from),
        &list(&to),
        &[r#"{"op":"add","path":"/3","value":"b long line"}"#],
    );
    let mut to = from.clone();
    to.remove(3);
    to.push("d long line");
    check(
        &list(&from),
        &list(&to),
        &[
            r#"{"op":"remove","path":"/3"}"#,
            r#"{"op":"add","path":"/5","value":"d long line"}"#,
        ],
    );
}

#[test]
fn shared_parts_are_skipped() {
    let from = json(r#"{"a":{"deep":[1,2,3]},"b":1}"#);
    let mut to = from.clone();
    to.as_object_mut().unwrap().insert("b", json("2"));
    assert_eq!(
        diff(&from, &to).to_json().to_text(),
        r#"[{"op":"replace","path":"/b","value":2}]"#
    );
    assert!(diff(&from, &from).is_empty());
}
