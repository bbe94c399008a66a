//! Each operator and each name, on one change.

use syncline_model::ids::Version;
use syncline_model::json::Pointer;
use syncline_rules::{Answer, Facts, Matcher, Wrong};

use super::{branch, change, document, filters, matcher};

fn check(filter: &str, expected: bool) {
    let (change, document) = (change(), document());
    let facts = Facts::with_document(&change, Some(&document));
    assert_eq!(matcher(filter).matches(&facts), expected, "{filter}");
}

#[test]
fn each_name_compares_what_it_says() {
    for (name, value) in [
        ("kind", r#""task""#),
        ("context", r#""task/auth-42""#),
        ("parent", r#""branch/login""#),
        ("project", r#""project/web""#),
        ("level", r#""private""#),
        ("state", r#""active""#),
        ("owner", r#""person/ana""#),
        ("actor", r#""person/owner""#),
        ("agent", r#""claude-1""#),
        ("session", r#""s-1""#),
        ("type", r#""update""#),
        ("labels.feature_area", r#""auth""#),
        ("labels.a.b", r#""dots""#),
        ("metadata.points", "5"),
        ("metadata.on", "true"),
        ("metadata.none", "null"),
        ("metadata.name", r#""Ana""#),
    ] {
        check(&format!(r#"{{"exact":{{"{name}":{value}}}}}"#), true);
        check(
            &format!(r#"{{"not":{{"exact":{{"{name}":{value}}}}}}}"#),
            false,
        );
        check(&format!(r#"{{"in":{{"{name}":[{value}]}}}}"#), true);
        check(&format!(r#"{{"exists":"{name}"}}"#), true);
        check(&format!(r#"{{"exists":{{"{name}":false}}}}"#), false);
    }
    for filter in [
        r#"{"exact":{"kind":"project"}}"#,
        r#"{"exact":{"labels.feature_area":"Auth"}}"#,
        r#"{"exact":{"metadata.points":"5"}}"#,
        r#"{"exact":{"metadata.missing":null}}"#,
        r#"{"exact":{"metadata.list":1}}"#,
        r#"{"exists":"branch"}"#,
        r#"{"exists":"labels.a"}"#,
    ] {
        check(filter, false);
    }
}

#[test]
fn numbers_are_exact() {
    let exact = "123456789012345678901234567890";
    check(
        &format!(r#"{{"exact":{{"metadata.exact":{exact}}}}}"#),
        true,
    );
    check(
        &format!(r#"{{"exact":{{"metadata.exact":{exact}.0}}}}"#),
        true,
    );
    let other = "123456789012345678901234567891";
    check(
        &format!(r#"{{"exact":{{"metadata.exact":{other}}}}}"#),
        false,
    );
    check(r#"{"exact":{"metadata.points":5.0}}"#, true);
}

#[test]
fn operators_join() {
    for (filter, expected) in [
        ("{}", true),
        ("[]", true),
        (r#"{"exact":{"kind":"task","agent":"claude-1"}}"#, true),
        (r#"{"exact":{"kind":"task","agent":"codex"}}"#, false),
        (r#"{"exact":{"kind":"task"},"min_priority":1}"#, false),
        (
            r#"[{"exact":{"kind":"note"}},{"exact":{"type":"update"}}]"#,
            true,
        ),
        (
            r#"[{"exact":{"kind":"note"}},{"exact":{"type":"create"}}]"#,
            false,
        ),
        (
            r#"{"any":[{"exact":{"kind":"note"}},{"exact":{"kind":"task"}}]}"#,
            true,
        ),
        (
            r#"{"all":[{"exact":{"kind":"note"}},{"exact":{"kind":"task"}}]}"#,
            false,
        ),
        (r#"{"prefix":{"context":"task/auth-"}}"#, true),
        (r#"{"prefix":{"context":"auth"}}"#, false),
        (r#"{"suffix":{"context":"-42"}}"#, true),
        (r#"{"suffix":{"branch":""}}"#, false),
        (r#"{"prefix":{"metadata.points":"5"}}"#, false),
        (r#"{"min_priority":2}"#, true),
        (r#"{"min_priority":4}"#, true),
        (r#"{"min_priority":1}"#, false),
    ] {
        check(filter, expected);
    }
}

/// A pattern is touched from at it, below it and above it.
#[test]
fn a_changed_pattern_is_touched_from_all_sides() {
    for (pattern, expected) in [
        ("/data/status", true),
        ("/data/status/deep", true),
        ("/data", true),
        ("", true),
        ("/data/*", true),
        ("/*/status", true),
        ("/data/steps/*/owner", true),
        ("/data/steps/*/name", false),
        ("/data/stat", false),
        ("/data/status2", false),
        ("/title", false),
        ("/*/x", false),
    ] {
        check(&format!(r#"{{"changed":"{pattern}"}}"#), expected);
    }
    let mut whole = change();
    whole.changed = vec![Pointer::root()];
    assert!(matcher(r#"{"changed":"/anything/at/all"}"#).matches(&Facts::of_change(&whole)));
}

#[test]
fn a_branch_is_a_value_of_the_change() {
    let mut change = change();
    change.branch = Some(branch("try-b"));
    let facts = Facts::of_change(&change);
    assert!(matcher(r#"{"exact":{"branch":"try-b"}}"#).matches(&facts));
    assert!(!matcher(r#"{"exists":{"branch":false}}"#).matches(&facts));
}

/// What the record decides is decided without the document.
#[test]
fn the_document_is_asked_for_only_where_it_decides() {
    let (change, document) = (change(), document());
    let bare = Facts::of_change(&change);
    for (filter, expected) in [
        (r#"{"exact":{"state":"active"}}"#, Answer::NeedsDocument),
        (
            r#"{"not":{"exact":{"state":"active"}}}"#,
            Answer::NeedsDocument,
        ),
        (r#"{"exact":{"state":"active","kind":"note"}}"#, Answer::No),
        (
            r#"{"exact":{"state":"active","kind":"task"}}"#,
            Answer::NeedsDocument,
        ),
        (
            r#"[{"exact":{"state":"active"}},{"exact":{"kind":"task"}}]"#,
            Answer::Yes,
        ),
        (r#"{"exact":{"labels.feature_area":"auth"}}"#, Answer::Yes),
    ] {
        let matcher = matcher(filter);
        assert_eq!(matcher.answer(&bare), expected, "{filter}");
        if expected == Answer::NeedsDocument {
            assert!(matcher.needs_document());
            let full = Facts::with_document(&change, Some(&document));
            assert_ne!(matcher.answer(&full), Answer::NeedsDocument, "{filter}");
        }
    }
    let gone = Facts::with_document(&change, None);
    assert!(!matcher(r#"{"exact":{"state":"active"}}"#).matches(&gone));
    assert!(matcher(r#"{"exists":{"owner":false}}"#).matches(&gone));
}

/// Where kind and address alone decide, a change of anything else changes nothing.
#[test]
fn what_is_of_the_context_holds_for_all_its_changes() {
    for (filter, expected) in [
        ("[]", true),
        (r#"{"exact":{"kind":"task"}}"#, true),
        (r#"{"not":{"prefix":{"context":"task/"}}}"#, true),
        (r#"{"exact":{"type":"update"}}"#, false),
        (r#"{"exact":{"kind":"task","labels.a":"b"}}"#, false),
        (
            r#"{"any":[{"exact":{"kind":"task"}},{"changed":"/data"}]}"#,
            false,
        ),
        (r#"{"not":{"min_priority":2}}"#, false),
    ] {
        assert_eq!(matcher(filter).is_of_context(), expected, "{filter}");
    }
    let mut later = change();
    later.version = Version(9);
    assert!(matcher(r#"{"exact":{"kind":"task"}}"#).matches(&Facts::of_change(&later)));
}

#[test]
fn each_clause_can_be_explained() {
    let filter = r#"{"all":[{"exact":{"kind":"task"}},{"not":{"changed":"/data"}}]}"#;
    let matcher = Matcher::compile(&filters(filter), Some("data.x == 1")).unwrap();
    let (change, document) = (change(), document());
    let clauses = matcher.explain(&Facts::with_document(&change, Some(&document)));
    let [all, expression] = clauses.as_slice() else {
        panic!("a filter and an expression: {clauses:?}");
    };
    assert_eq!((all.text.as_str(), all.answer), (filter, Answer::No));
    let of: Vec<_> = all.of.iter().map(|clause| clause.answer).collect();
    assert_eq!(of, [Answer::Yes, Answer::No]);
    assert_eq!(all.of[1].of[0].answer, Answer::Yes);
    assert_eq!(expression.text, "data.x == 1");
    assert_eq!(expression.wrong, Some(Wrong::Missing));
    assert_eq!(matcher.failed(), 0);
}
