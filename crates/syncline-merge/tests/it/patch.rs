//! RFC 6902: the examples of its appendix A, and what they leave open.

use crate::{WIDE, json, pointer};
use syncline_merge::{ApplyErrorKind, ApplyLimits, Patch, PatchError, old_values};
use syncline_model::json::{FieldErrorKind, JsonWriter, Pointer};

#[track_caller]
fn read(text: &str) -> Patch {
    Patch::from_json(&json(text), &Pointer::root(), 4_096).unwrap()
}

/// Applies `patch` and compares the result, also after the patch was written and read.
#[track_caller]
fn check(doc: &str, patch: &str, expected: &str) {
    let (doc, patch) = (json(doc), read(patch));
    let before = doc.to_text();
    assert_eq!(patch.apply(&doc, &WIDE), Ok(json(expected)));
    assert_eq!(doc.to_text(), before, "the document itself stays");
    let shared = doc.clone();
    assert_eq!(patch.apply_to(doc, &WIDE), Ok(json(expected)));
    assert_eq!(shared.to_text(), before, "so does who shares it");
    assert_eq!(patch.apply_to(shared, &WIDE), Ok(json(expected)));
    let mut writer = JsonWriter::new();
    patch.write(&mut writer);
    assert_eq!(read(&writer.into_string()), patch);
    assert_eq!(read(&patch.to_json().to_text()), patch);
}

/// Applies `patch`, which fails at operation `index`, at `path`, for the reason `kind`.
#[track_caller]
fn check_fails(doc: &str, patch: &str, index: usize, path: &str, kind: ApplyErrorKind) {
    let (doc, patch) = (json(doc), read(patch));
    let before = doc.to_text();
    let error = patch.apply(&doc, &WIDE).unwrap_err();
    assert_eq!(
        (error.index, error.path.to_string().as_str(), error.kind),
        (index, path, kind)
    );
    assert_eq!(doc.to_text(), before, "nothing is applied");
    assert_eq!(error.to_string().lines().count(), 1);
}

#[test]
#[rustfmt::skip]
fn the_examples_of_rfc_6902_apply() {
    for (doc, patch, expected) in [
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz","value":"qux"}]"#, r#"{"baz":"qux","foo":"bar"}"#),
        (r#"{"foo":["bar","baz"]}"#, r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#, r#"{"foo":["bar","qux","baz"]}"#),
        (r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"remove","path":"/baz"}]"#, r#"{"foo":"bar"}"#),
        (r#"{"foo":["bar","qux","baz"]}"#, r#"[{"op":"remove","path":"/foo/1"}]"#, r#"{"foo":["bar","baz"]}"#),
        (r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"replace","path":"/baz","value":"boo"}]"#, r#"{"baz":"boo","foo":"bar"}"#),
        (r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#, r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#, r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#),
        (r#"{"foo":["all","grass","cows","eat"]}"#, r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#, r#"{"foo":["all","cows","eat","grass"]}"#),
        (r#"{"baz":"qux","foo":["a",2,"c"]}"#, r#"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#, r#"{"baz":"qux","foo":["a",2,"c"]}"#),
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#, r#"{"foo":"bar","child":{"grandchild":{}}}"#),
        (r#"{"foo":"bar"}"#, r#"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#, r#"{"foo":"bar","baz":"qux"}"#),
        (r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":10}]"#, r#"{"/":9,"~1":10}"#),
        (r#"{"foo":["bar"]}"#, r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#, r#"{"foo":["bar",["abc","def"]]}"#),
    ] {
        check(doc, patch, expected);
    }
    check_fails(
        r#"{"baz":"qux"}"#,
        r#"[{"op":"test","path":"/baz","value":"bar"}]"#,
        0,
        "/baz",
        ApplyErrorKind::TestFailed,
    );
    for (doc, path) in [
        (r#"{"baz":"qux"}"#, "/bar"),
        (r#"{"baz":"qux"}"#, "/baz/0"),
        ("[1]", "/1"),
    ] {
        let patch = format!(r#"[{{"op":"test","path":"{path}","value":1}}]"#);
        check_fails(doc, &patch, 0, path, ApplyErrorKind::TestedNothing);
    }
    check_fails(
        r#"{"foo":"bar"}"#,
        r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#,
        0,
        "/baz/bat",
        ApplyErrorKind::Missing,
    );
    check_fails(
        r#"{"/":9,"~1":10}"#,
        r#"[{"op":"test","path":"/~01","value":"10"}]"#,
        0,
        "/~01",
        ApplyErrorKind::TestFailed,
    );
}

#[test]
#[rustfmt::skip]
fn operations_apply_where_the_examples_are_silent() {
    for (doc, patch, expected) in [
        // Nothing to do.
        ("[]", "[]", "[]"),
        ("7", "[]", "7"),
        // The whole document.
        ("1", r#"[{"op":"add","path":"","value":{"a":1}}]"#, r#"{"a":1}"#),
        ("[1]", r#"[{"op":"replace","path":"","value":null}]"#, "null"),
        (r#"{"a":{"b":2}}"#, r#"[{"op":"move","from":"/a/b","path":""}]"#, "2"),
        (r#"{"a":[1]}"#, r#"[{"op":"copy","from":"","path":"/a/0"}]"#, r#"{"a":[{"a":[1]},1]}"#),
        ("[1,2]", r#"[{"op":"test","path":"","value":[1,2.0]}]"#, "[1,2]"),
        // Odd keys.
        (r#"{"":1}"#, r#"[{"op":"replace","path":"/","value":2}]"#, r#"{"":2}"#),
        (r#"{"":{"":1}}"#, r#"[{"op":"remove","path":"//"}]"#, r#"{"":{}}"#),
        (r#"{"é":0,"a/b":0,"m~n":0}"#, r#"[{"op":"remove","path":"/é"},{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/m~0n"}]"#, "{}"),
        (r#"{"0":1,"-":2,"01":3}"#, r#"[{"op":"remove","path":"/0"},{"op":"replace","path":"/-","value":4},{"op":"remove","path":"/01"}]"#, r#"{"-":4}"#),
        // Ends of arrays.
        ("[]", r#"[{"op":"add","path":"/0","value":1},{"op":"add","path":"/1","value":2},{"op":"add","path":"/0","value":0}]"#, "[0,1,2]"),
        ("[1,2,3]", r#"[{"op":"remove","path":"/2"},{"op":"remove","path":"/0"}]"#, "[2]"),
        ("[1,2,3]", r#"[{"op":"move","from":"/0","path":"/-"}]"#, "[2,3,1]"),
        ("[1,2,3]", r#"[{"op":"move","from":"/2","path":"/0"}]"#, "[3,1,2]"),
        // Null is a value.
        (r#"{"a":null}"#, r#"[{"op":"test","path":"/a","value":null},{"op":"add","path":"/b","value":null}]"#, r#"{"a":null,"b":null}"#),
        (r#"{"a":null}"#, r#"[{"op":"move","from":"/a","path":"/b"},{"op":"copy","from":"/b","path":"/c"}]"#, r#"{"b":null,"c":null}"#),
        // What is there gives way.
        (r#"{"a":1,"b":2}"#, r#"[{"op":"add","path":"/a","value":3}]"#, r#"{"a":3,"b":2}"#),
        (r#"{"a":1,"b":2}"#, r#"[{"op":"move","from":"/a","path":"/b"}]"#, r#"{"b":1}"#),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"move","from":"/a/b","path":"/a"}]"#, r#"{"a":1}"#),
        // To itself.
        (r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, r#"[{"op":"copy","from":"/a","path":"/a"}]"#, r#"{"a":1}"#),
        // A copy is a value of its own.
        (r#"{"a":{"n":1}}"#, r#"[{"op":"copy","from":"/a","path":"/b"},{"op":"replace","path":"/b/n","value":2}]"#, r#"{"a":{"n":1},"b":{"n":2}}"#),
        // Tests know objects without order and numbers by value.
        (r#"{"a":{"x":1,"y":[2]}}"#, r#"[{"op":"test","path":"/a","value":{"y":[2e0],"x":1.0}}]"#, r#"{"a":{"x":1,"y":[2]}}"#),
        // Later operations see earlier ones.
        ("{}", r#"[{"op":"add","path":"/a","value":{}},{"op":"add","path":"/a/b","value":[]},{"op":"add","path":"/a/b/-","value":1}]"#, r#"{"a":{"b":[1]}}"#),
    ] {
        check(doc, patch, expected);
    }
}

#[test]
#[rustfmt::skip]
fn operations_without_a_target_fail() {
    use ApplyErrorKind::{
        BadIndex, IntoItself, Missing, NotContainer, OutOfRange, Root, TestFailed, TestedNothing,
    };
    for (doc, patch, index, path, kind) in [
        ("{}", r#"[{"op":"remove","path":"/a"}]"#, 0, "/a", Missing),
        ("{}", r#"[{"op":"replace","path":"/a","value":1}]"#, 0, "/a", Missing),
        ("{}", r#"[{"op":"test","path":"/a","value":null}]"#, 0, "/a", TestedNothing),
        ("{}", r#"[{"op":"copy","from":"/a","path":"/b"}]"#, 0, "/a", Missing),
        ("{}", r#"[{"op":"move","from":"/a","path":"/b"}]"#, 0, "/a", Missing),
        ("{}", r#"[{"op":"move","from":"/a","path":"/a"}]"#, 0, "/a", Missing),
        (r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/b/c"}]"#, 0, "/b/c", Missing),
        ("[1]", r#"[{"op":"add","path":"/2","value":1}]"#, 0, "/2", OutOfRange { len: 1 }),
        ("[1]", r#"[{"op":"remove","path":"/1"}]"#, 0, "/1", OutOfRange { len: 1 }),
        ("[1]", r#"[{"op":"replace","path":"/-","value":1}]"#, 0, "/-", OutOfRange { len: 1 }),
        ("[1]", r#"[{"op":"test","path":"/-","value":1}]"#, 0, "/-", TestedNothing),
        ("[1]", r#"[{"op":"copy","from":"/-","path":"/0"}]"#, 0, "/-", OutOfRange { len: 1 }),
        ("[[1]]", r#"[{"op":"add","path":"/-/0","value":1}]"#, 0, "/-/0", OutOfRange { len: 1 }),
        ("[1,2]", r#"[{"op":"replace","path":"/01","value":1}]"#, 0, "/01", BadIndex),
        ("[1,2]", r#"[{"op":"replace","path":"/1e0","value":1}]"#, 0, "/1e0", BadIndex),
        ("[1,2]", r#"[{"op":"add","path":"/-1","value":1}]"#, 0, "/-1", BadIndex),
        ("[1,2]", r#"[{"op":"add","path":"/","value":1}]"#, 0, "/", BadIndex),
        ("[1,2]", r#"[{"op":"add","path":"/a","value":1}]"#, 0, "/a", BadIndex),
        ("[1]", r#"[{"op":"remove","path":"/18446744073709551617"}]"#, 0, "/18446744073709551617", BadIndex),
        (r#"{"a":"b"}"#, r#"[{"op":"add","path":"/a/0","value":1}]"#, 0, "/a/0", NotContainer { found: "string" }),
        ("null", r#"[{"op":"remove","path":"/a"}]"#, 0, "/a", NotContainer { found: "null" }),
        ("{}", r#"[{"op":"remove","path":""}]"#, 0, "", Root),
        ("{}", r#"[{"op":"move","from":"","path":"/a"}]"#, 0, "/a", IntoItself),
        (r#"{"a":{}}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#, 0, "/a/b", IntoItself),
        ("[1,[2]]", r#"[{"op":"move","from":"/1","path":"/1/0"}]"#, 0, "/1/0", IntoItself),
        // The third of three fails, so none is applied.
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"/a","value":2},{"op":"add","path":"/b","value":3},{"op":"test","path":"/a","value":1}]"#, 2, "/a", TestFailed),
    ] {
        check_fails(doc, patch, index, path, kind);
    }
}

#[test]
#[rustfmt::skip]
fn a_fault_in_a_patch_is_named_by_its_place() {
    let at = pointer("/body");
    for (patch, place, text) in [
        (r#"{"op":"add"}"#, "/body", "a JSON patch is an array of operations, found object"),
        ("[1]", "/body/0", "expected object at \"/body/0\", found number"),
        (r#"[{"path":"/a"}]"#, "/body/0/op", "missing field \"/body/0/op\""),
        (r#"[{"op":1,"path":"/a"}]"#, "/body/0/op", "expected string at \"/body/0/op\", found number"),
        (r#"[{"op":"spam","path":"/a"}]"#, "/body/0/op", "invalid value at \"/body/0/op\": expected add, remove, replace, move, copy or test"),
        (r#"[{"op":"remove"}]"#, "/body/0/path", "missing field \"/body/0/path\""),
        (r#"[{"op":"remove","path":null}]"#, "/body/0/path", "expected string at \"/body/0/path\", found null"),
        (r#"[{"op":"remove","path":"/a"},{"op":"remove","path":"a"}]"#, "/body/1/path", "invalid value at \"/body/1/path\": json pointer does not start with \"/\""),
        (r#"[{"op":"add","path":"/a"}]"#, "/body/0/value", "missing field \"/body/0/value\""),
        (r#"[{"op":"test","path":"/a"}]"#, "/body/0/value", "missing field \"/body/0/value\""),
        (r#"[{"op":"replace","path":"/a"}]"#, "/body/0/value", "missing field \"/body/0/value\""),
        (r#"[{"op":"move","path":"/a"}]"#, "/body/0/from", "missing field \"/body/0/from\""),
        (r#"[{"op":"copy","path":"/a","from":7}]"#, "/body/0/from", "expected string at \"/body/0/from\", found number"),
        (r#"[{},{},{},{}]"#, "/body", "a patch of 4 operations is longer than the limit of 3"),
    ] {
        let error = Patch::from_json(&json(patch), &at, 3).unwrap_err();
        assert_eq!(
            (
                error.pointer().to_string().as_str(),
                error.to_string().as_str()
            ),
            (place, text)
        );
    }
    let missing = Patch::from_json(&json(r#"[{"op":"remove"}]"#), &at, 3).unwrap_err();
    assert!(matches!(missing, PatchError::Field(error) if error.kind == FieldErrorKind::Missing));
}

#[test]
#[rustfmt::skip]
fn a_patch_knows_what_it_touches() {
    for (patch, touched) in [
        ("[]", &[][..]),
        (r#"[{"op":"test","path":"/a","value":1}]"#, &[]),
        (r#"[{"op":"replace","path":"/b","value":1},{"op":"add","path":"/a","value":1}]"#, &["/a", "/b"]),
        (r#"[{"op":"replace","path":"/a/b","value":1},{"op":"remove","path":"/a"},{"op":"remove","path":"/a!"}]"#, &["/a", "/a!"]),
        (r#"[{"op":"replace","path":"/l/3","value":1},{"op":"replace","path":"/l/1/x","value":1}]"#, &["/l/1/x", "/l/3"]),
        (r#"[{"op":"replace","path":"/l/3/x","value":1},{"op":"remove","path":"/l/1"}]"#, &["/l"]),
        (r#"[{"op":"add","path":"/l/-","value":1}]"#, &["/l"]),
        (r#"[{"op":"add","path":"/0","value":1}]"#, &[""]),
        (r#"[{"op":"move","from":"/l/0","path":"/x"}]"#, &["/l", "/x"]),
        (r#"[{"op":"move","from":"/x","path":"/x"}]"#, &[]),
        (r#"[{"op":"copy","from":"/l/0","path":"/x"}]"#, &["/x"]),
        (r#"[{"op":"replace","path":"","value":1},{"op":"add","path":"/a","value":1}]"#, &[""]),
    ] {
        let found: Vec<String> = read(patch)
            .touched()
            .iter()
            .map(Pointer::to_string)
            .collect();
        assert_eq!(found, touched, "{patch}");
    }
}

#[test]
fn old_values_tell_missing_from_null() {
    let doc = json(r#"{"a":null,"b":{"c":[1]}}"#);
    let patch = read(
        r#"[{"op":"add","path":"/a","value":1},{"op":"remove","path":"/b/c"},{"op":"add","path":"/x/y","value":1}]"#,
    );
    let found = old_values(&doc, &patch);
    let expected = [
        (pointer("/a"), Some(json("null"))),
        (pointer("/b/c"), Some(json("[1]"))),
        (pointer("/x/y"), None),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_list_that_grows_at_its_end_is_not_kept_whole() {
    let doc = json(r#"{"list":[1,[2],3],"other":{"0":1},"none":[]}"#);
    let add = |path: &str| format!(r#"{{"op":"add","path":"{path}","value":{{"x":1}}}}"#);
    let whole = || vec![("/list".to_owned(), Some("[1,[2],3]".to_owned()))];
    let new = |paths: &[&str]| {
        paths
            .iter()
            .map(|p| ((*p).to_owned(), None))
            .collect::<Vec<_>>()
    };
    for (ops, expected) in [
        (vec![add("/list/-")], new(&["/list/3"])),
        (
            vec![add("/list/3"), add("/list/4")],
            new(&["/list/3", "/list/4"]),
        ),
        // Among the new ones order is free, and what is in them was not there either.
        (
            vec![add("/list/-"), add("/list/3"), add("/list/3/y")],
            new(&["/list/3", "/list/4"]),
        ),
        (vec![add("/none/0")], new(&["/none/0"])),
        (
            vec![r#"{"op":"copy","from":"/list/0","path":"/list/-"}"#.to_owned()],
            new(&["/list/3"]),
        ),
        // Anything else shifts, or takes away, what was there.
        (vec![add("/list/-"), add("/list/2")], whole()),
        (
            vec![
                add("/list/-"),
                r#"{"op":"remove","path":"/list/3"}"#.to_owned(),
            ],
            whole(),
        ),
        (
            vec![r#"{"op":"move","from":"/list/0","path":"/list/-"}"#.to_owned()],
            whole(),
        ),
        (vec![add("/list/-"), add("/list/1/0")], whole()),
        (
            vec![
                add("/list/-"),
                r#"{"op":"replace","path":"/list","value":[]}"#.to_owned(),
            ],
            whole(),
        ),
        // A member whose name is a number.
        (
            vec![add("/other/1")],
            vec![("/other".to_owned(), Some(r#"{"0":1}"#.to_owned()))],
        ),
    ] {
        let patch = read(&format!("[{}]", ops.join(",")));
        let found = old_values(&doc, &patch);
        let found = found
            .into_iter()
            .map(|(path, old)| (path.to_string(), old.map(|v| v.to_text())));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{ops:?}");
    }
}

#[test]
fn limits_hold_at_the_byte_and_the_level() {
    let doc = json(r#"{"a":[1,2],"b":{"c":"text"}}"#);
    let apply = |patch: &str, depth_max, weight_max| {
        let limits = ApplyLimits {
            depth_max,
            weight_max,
        };
        read(patch).apply(&doc, &limits).map_err(|error| error.kind)
    };
    for (patch, depth) in [
        (r#"[{"op":"add","path":"/d","value":"four"}]"#, 2),
        (r#"[{"op":"add","path":"/a/0","value":"four"}]"#, 2),
        (r#"[{"op":"replace","path":"/a/0","value":[[1,2,3]]}]"#, 4),
        (r#"[{"op":"copy","from":"/b","path":"/a/-"}]"#, 3),
        (r#"[{"op":"copy","from":"","path":"/d"}]"#, 3),
        (r#"[{"op":"move","from":"/a","path":"/b/long"}]"#, 3),
        (
            r#"[{"op":"remove","path":"/b/c"},{"op":"copy","from":"/a","path":"/d"}]"#,
            2,
        ),
    ] {
        let result = apply(patch, 64, 1 << 20).unwrap();
        let weight = result.weight();
        assert_eq!(apply(patch, depth, weight), Ok(result), "{patch}");
        let max = weight - 1;
        assert_eq!(
            apply(patch, depth, max),
            Err(ApplyErrorKind::TooLarge { max }),
            "{patch}"
        );
        if depth > 2 {
            let max = depth - 1;
            assert_eq!(
                apply(patch, max, weight),
                Err(ApplyErrorKind::TooDeep { max }),
                "{patch}"
            );
        }
    }
    // What was too large before may shrink.
    assert!(apply(r#"[{"op":"remove","path":"/b"}]"#, 64, 1).is_ok());
}

#[test]
fn what_a_patch_does_not_touch_stays_shared() {
    let doc = json(r#"{"big":{"x":[1,2,3]},"small":{"n":1}}"#);
    let result = read(r#"[{"op":"replace","path":"/small/n","value":2}]"#)
        .apply(&doc, &WIDE)
        .unwrap();
    let big =
        |json: &syncline_model::json::Json| json.get("big").unwrap().as_object().unwrap().clone();
    assert!(big(&doc).ptr_eq(&big(&result)));
}
