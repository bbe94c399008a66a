//! What a person reads of a change.

use crate::json;
use syncline_merge::readable;

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    let text = readable(&json(from), &json(to));
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_line_for_each_change() {
    check("{}", "{}", &[]);
    check(
        r#"{"data":{"n":1,"status":"open","y":"old"}}"#,
        r#"{"data":{"n":1.0,"status":"done","x":1}}"#,
        &[
            r#"~ /data/status  "open" -> "done""#,
            r#"- /data/y  "old""#,
            "+ /data/x  1",
        ],
    );
    check("1", r#""a""#, &[r#"~ /  1 -> "a""#]);
    check(
        r#"{"a/b":{"~":0}}"#,
        r#"{"a/b":{"~":{}}}"#,
        &["~ /a~1b/~0  0 -> {}"],
    );
}

#[test]
fn items_go_by_their_names() {
    check(
        r#"{"steps":[{"id":"s1","owner":"a"},{"id":"s2","owner":"a"},{"id":"s3"}]}"#,
        r#"{"steps":[{"id":"s2","owner":"b"},{"id":"s1","owner":"a"},{"id":"s4"}]}"#,
        &[
            r#"~ /steps[id=s2]/owner  "a" -> "b""#,
            r#"- /steps[id=s3]  {"id":"s3"}"#,
            r#"+ /steps[id=s4]  {"id":"s4"}"#,
            "~ /steps  items in another order",
        ],
    );
    check("[]", r#"[{"name":7}]"#, &[r#"+ [name=7]  {"name":7}"#]);
    // Two items of one name have none.
    check(
        r#"[{"id":1,"a":1},{"id":1,"a":2}]"#,
        r#"[{"id":1,"a":1},{"id":1,"a":3}]"#,
        &["~ /1/a  2 -> 3"],
    );
}

#[test]
fn other_items_go_by_index() {
    check(
        r#"["a","b","c","d"]"#,
        r#"["b","x","d","e"]"#,
        &[r#"- /0  "a""#, r#"~ /1  "c" -> "x""#, r#"+ /3  "e""#],
    );
}

#[test]
fn long_values_are_cut() {
    let text = format!(r#"{{"a":"{}"}}"#, "é".repeat(500));
    let shown = readable(&json("{}"), &json(&text));
    assert_eq!(shown, format!("+ /a  \"{}…\n", "é".repeat(119)));
    let list = format!("[{}1]", "1,".repeat(100_000));
    let shown = readable(&json("{}"), &json(&list));
    assert_eq!(
        shown.chars().count(),
        "~ /  {} -> ".len() + 120 + "…\n".chars().count()
    );
}

#[test]
fn long_texts_differ_by_lines() {
    let text = |middle: &str| {
        let line = "a line that fills the page\\n";
        format!(
            r#"{{"text":"{}{middle}\n{}"}}"#,
            line.repeat(3),
            line.repeat(2)
        )
    };
    check(
        &text("old"),
        &text("new\\nand more\\u001b[2J"),
        &[
            "~ /text  text: 1 lines removed, 2 added",
            "    - old",
            "    + new",
            "    + and more\\u{1b}[2J",
        ],
    );
}

#[test]
fn nothing_that_acts_on_a_terminal_gets_through() {
    check(
        "{}",
        r#"{"k\u001b[31m\u202e\u2028":"v\u0007\u009b\u2066\r\n\t\u200e\u007f\"\\"}"#,
        &[r#"+ /k\u{1b}[31m\u{202e}\u{2028}  "v\u{7}\u{9b}\u{2066}\r\n\t\u{200e}\u{7f}\"\\""#],
    );
    check(
        "[]",
        r#"[{"id":"\u001b]0;x\u0007"}]"#,
        &[r#"+ [id=\u{1b}]0;x\u{7}]  {"id":"\u{1b}]0;x\u{7}"}"#],
    );
}

#[test]
fn a_report_has_an_end() {
    let many: Vec<String> = (0..5_000).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let text = readable(&json("{}"), &json(&format!("{{{}}}", many.join(","))));
    assert_eq!(text.lines().count(), 1_001);
    assert_eq!(text.lines().last(), Some("… and 4000 more lines"));
}

#[test]
fn long_texts_of_one_line_show_the_words_that_differ() {
    let text = |word: &str| {
        let word = |n: usize| match n {
            80 => word.to_owned(),
            n => format!("word{n}"),
        };
        let words: Vec<_> = (0..100).map(word).collect();
        format!(r#"{{"s":"{}"}}"#, words.join(" "))
    };
    check(
        &text("old"),
        &text("new"),
        &[
            r#"~ /s  "…word77 word78 word79 old word81 word82 word83…" -> "…word77 word78 word79 new word81 word82 word83…""#,
        ],
    );
    check(
        &text("gone"),
        &text("").replace("  ", " "),
        &[
            r#"~ /s  "…word77 word78 word79 gone word81 word82 word83…" -> "…word77 word78 word79 word81 word82 word83…""#,
        ],
    );
    // Without words, by characters; nothing is cut within one.
    let long = |middle: &str| format!(r#"["{}{middle}{}"]"#, "é".repeat(200), "ü".repeat(200));
    let (e, u) = ("é".repeat(24), "ü".repeat(24));
    check(
        &long("a"),
        &long("ßß"),
        &[&format!("~ /0  \"…{e}a{u}…\" -> \"…{e}ßß{u}…\"")],
    );
    // One text may be the other's beginning, or its end.
    check(
        &format!(r#"["{}"]"#, "ab".repeat(100)),
        &format!(r#"["{}"]"#, "ab".repeat(101)),
        &[&format!(
            "~ /0  \"…{}\" -> \"…{}ab\"",
            "ab".repeat(12),
            "ab".repeat(12)
        )],
    );
}
