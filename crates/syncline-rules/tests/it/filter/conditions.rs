//! What `where` gives: CEL's own rules where we have what CEL has, exact numbers beyond them.

use syncline_api::Filters;
use syncline_rules::{Answer, Facts, Matcher};

use super::{change, document};

fn compile(text: &str) -> Result<Matcher, String> {
    let compiled = Matcher::compile(&Filters::default(), Some(text));
    compiled.map_err(|error| {
        assert_eq!(error.pointer.to_string(), "/where");
        error.to_string()
    })
}

/// `Some` is what it gives, `None` that it fails, and so does not match.
fn check(text: &str, expected: Option<bool>) {
    let (change, document) = (change(), document());
    let matcher = compile(text).unwrap();
    let matches = matcher.matches(&Facts::with_document(&change, Some(&document)));
    assert_eq!(matches, expected == Some(true), "{text}");
    assert_eq!(matcher.failed(), u64::from(expected.is_none()), "{text}");
}

fn holds(text: &str) {
    check(text, Some(true));
    check(&format!("!({text})"), Some(false));
}

#[test]
fn what_is_known_can_be_asked() {
    for text in [
        r#"change.type == "update""#,
        r#"change["type"] == 'update'"#,
        r#"change.actor == "person/owner" && change.agent == "claude-1""#,
        r#"change.session == "s-1""#,
        r#""/data/status" in change.changed && size(change.changed) == 2"#,
        r#"change.changed.exists(p, p.startsWith("/data/steps/"))"#,
        "change.priority <= 2",
        r#"change.message.contains("login")"#,
        r#"change.outcome == "merged""#,
        "!has(change.branch) && !has(change.bulk) && has(change.agent)",
        "change.version == 8 && change.from == 7 && change.base == 5 && !change.blind",
        r#"change.committed_at > "2027-01-15T00:00:00Z" && change.committed_at < "2027-01-16""#,
        r#"change.id.startsWith("0000")"#,
        r#"context == change.context && context.startsWith(kind + "/") && document.address == context"#,
        r#"change.actor == change.actor.id && change.actor.agent == agent && actor == change.actor"#,
        r#"type == change.type && labels == change.labels && document["kind"] == kind"#,
        r#"context.address == "task/auth-42" && context.kind == "task" && context.id == "auth-42""#,
        r#"context.parent == "branch/login" && context.project == "project/web""#,
        r#""global/main" in context.ancestors && context.ancestors[1] == "project/web""#,
        r#"context.level == "private""#,
        r#"labels.feature_area == "auth" && labels["a.b"] == "dots" && context.labels == labels"#,
        r#"context.title == "Log in" && context.state == "active" && context.owner == "person/ana""#,
        r#"data.status == "done" && context.data.status == data["status"]"#,
        "metadata.points == 5 && metadata.on && metadata.none == null",
        "size(context.collaborators) == 0 && size(context.permissions) == 0",
    ] {
        holds(text);
    }
}

#[test]
fn operators_bind_as_in_cel() {
    for text in [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "10 - 3 - 2 == 5",
        "7 / 2 == 3 && -7 / 2 == -3 && 7 % 3 == 1 && -7 % 3 == -1",
        "7.0 / 2 == 3.5",
        "1 == 1.0 && 1u == 1 && 0x10 == 16 && 1e2 == 100",
        "0.1 + 0.2 == 0.3",
        "true || false && false",
        "!false && !!true",
        "-(-1) == 1 && - 1 < 0",
        "1 < 2 == true",
        r#"data.n > 5 ? data.status == "done" : false"#,
        "false ? 1 / 0 == 0 : true",
        "1 in [1, 2] && !(3 in [1, 2]) && !(1 in [])",
        r#""status" in data && !("nothing" in data)"#,
        r#""a" + "b" == "ab" && [1] + [2] == [1, 2,]"#,
        r#"'a' < "b" && "Z" < "a" && "é" > "z""#,
        r#""tab\tquote\"\x41\u00e9\101" == 'tab	quote"AéA'"#,
        r#"r"\d" == "\\d" && '''two
lines''' == "two\nlines""#,
        "1 != \"1\" && null != false && [1] != [2] && true == true",
        "true // and a comment\n",
    ] {
        holds(text);
    }
}

#[test]
fn functions_and_loops_work_on_documents() {
    for text in [
        r#"data.path.startsWith("src/") && data.path.endsWith(".rs") && data.path.contains("auth")"#,
        r#"data.path.matches("^src/.*\\.rs$") && !data.path.matches("^auth")"#,
        r#"size("é") == 1 && "é".size() == 1 && data.tags.size() == 2 && size(data.deep) == 1"#,
        r#""AbÉ".lowerAscii() == "abÉ" && "ab".upperAscii() == "AB""#,
        r#"int("42") == 42 && int(3.9) == 3 && int(-3.9) == -3 && double("1.5") == 1.5"#,
        r#"string(data.n) == "7" && string(true) == "true""#,
        "data.tags.exists(t, t == \"x\") && !data.tags.all(t, t == \"x\")",
        "data.tags.exists_one(t, t == \"x\")",
        "data.steps.filter(s, s.open).map(s, s.id) == [\"s1\"]",
        "data.steps.exists(s, data.tags.exists(t, s.open && t == \"y\"))",
        "data.deep.all(k, k == \"a\")",
        "data.deep.a.b == 1 && has(data.deep.a) && !has(data.deep.x)",
        "metadata.exact == 123456789012345678901234567890",
        "metadata.exact + 1 == 123456789012345678901234567891",
    ] {
        holds(text);
    }
}

#[test]
fn what_fails_does_not_match_and_is_counted() {
    for text in [
        "data.missing == 1",
        "data.tags[2] == \"z\"",
        "data.n == 7 && data.missing",
        "data.n",
        "data.status > 1",
        "1 / 0 == 1",
        "1 % 0 == 1",
        "9223372036854775807 * 2 == 0",
        "data.n + \"x\" == \"7x\"",
        "-data.status == 1",
        "!data.n",
        "has(data.status.x)",
        "has(data.missing.x)",
        "int(\"x\") == 1",
        "data.tags.map(t, t.x) == []",
        "data.tags.all(t, t == 1 || t.x)",
        "size(data.n) == 1",
    ] {
        check(text, None);
    }
}

/// `&&` and `||` do not care which side fails where the other decides.
#[test]
fn a_side_that_decides_hides_a_failure() {
    for (text, expected) in [
        ("data.missing == 1 || true", true),
        ("true || data.missing == 1", true),
        ("data.missing == 1 && false", false),
        ("false && data.missing == 1", false),
        ("data.tags.exists(t, t == \"y\" || t.x)", true),
        ("data.tags.all(t, t == \"y\" && t.x)", false),
    ] {
        check(text, Some(expected));
    }
}

#[test]
fn after_a_deletion_only_the_record_is_there() {
    let change = change();
    let gone = Facts::with_document(&change, None);
    assert!(
        compile(r#"labels.feature_area == "auth""#)
            .unwrap()
            .matches(&gone)
    );
    assert!(compile("!has(data.status) || true").unwrap().matches(&gone));
    assert!(compile("!has(context.title)").unwrap().matches(&gone));
    assert!(!compile(r#"data.status == "done""#).unwrap().matches(&gone));
}

#[test]
fn the_document_is_asked_for_only_where_it_is_named() {
    let change = change();
    let bare = Facts::of_change(&change);
    let of_record = compile(r#"change.agent == "claude-1""#).unwrap();
    assert!(!of_record.needs_document());
    assert_eq!(of_record.answer(&bare), Answer::Yes);
    let of_document = compile(r#"data.status == "done""#).unwrap();
    assert!(of_document.needs_document());
    assert_eq!(of_document.answer(&bare), Answer::NeedsDocument);
    assert_eq!(of_document.failed(), 0);

    let filter = super::filters(r#"{"exact":{"kind":"note"}}"#);
    let refused = Matcher::compile(&filter, Some("data.n == 1")).unwrap();
    assert_eq!(refused.answer(&bare), Answer::No);
    let both = super::filters(r#"{"exact":{"state":"active"}}"#);
    let both = Matcher::compile(&both, Some("change.version == 1")).unwrap();
    assert_eq!(both.answer(&bare), Answer::No);
    assert!(compile("context.kind == \"task\"").unwrap().is_of_context());
    assert!(!compile("change.version > 1").unwrap().is_of_context());
}

#[test]
fn faults_are_named_with_their_place() {
    for (text, expected) in [
        ("", "an expression is missing"),
        (
            "1 +",
            r#"at column 4: the end stands where a value belongs"#,
        ),
        ("(true", r#"at column 6: the end stands where ")" belongs"#),
        (
            "true true",
            r#"at column 6: "true" stands where an operator"#,
        ),
        ("é == 1", "at column 1: 'é' means nothing here"),
        ("foo == 1", r#"at column 1: "foo" is not known"#),
        (
            "change.typ == 1",
            r#"at column 8: change has no "typ"; it has id, context"#,
        ),
        (
            "change == 1",
            r#"at column 8: "==" stands where "." belongs"#,
        ),
        ("data.x.foo()", r#"at column 8: there is no function "foo""#),
        (
            r#"matches(data.s,"a")"#,
            r#""matches" is a method, it stands behind a value: data.title.matches("^fix")"#,
        ),
        (
            "exists(data.l, x, x > 1)",
            r#""exists" is a method, it stands behind a value: data.steps.exists(step, step.done)"#,
        ),
        (
            "data.n.int() > 1",
            r#""int" is a function, it stands before a value: int(data.points)"#,
        ),
        ("has(1)", "has(…) asks for a member"),
        ("data.x.matches(data.y)", "a pattern is written out"),
        ("data.x.matches(\"(\")", "malformed pattern"),
        ("\"abc", "at column 1: a text does not end"),
        (r#""\q""#, r#"\q is no escape"#),
        ("{\"a\": 1} == data", "objects cannot be written here"),
        ("b\"x\" == \"x\"", "byte strings are not supported"),
        ("2 * 3", "it gives a number, and must give true or false"),
        ("data", "it gives an object, and must give true or false"),
        (
            "data.x.exists(1, true)",
            "a loop begins with the name of its variable",
        ),
        ("a ? b", "is not known"),
    ] {
        let error = compile(text).unwrap_err();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}
