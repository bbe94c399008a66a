//! The public test suite of JSON Schema, draft 2020-12.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use crate::json;
use syncline_model::json::{Json, Limits, Pointer};
use syncline_schema::fuzz::fuzz_schema;
use syncline_schema::{Schema, SchemaErrorKind, SchemaLimits};

/// Groups whose schemas refer to documents elsewhere, which nothing here ever fetches: they are
/// refused, all of `refRemote.json` among them.
const REMOTE: [&str; 8] = [
    "defs.json: validate definition against metaschema",
    "dynamicRef.json: $ref and $dynamicAnchor are independent of order - $defs first",
    "dynamicRef.json: $ref and $dynamicAnchor are independent of order - $ref first",
    "dynamicRef.json: $ref to $dynamicRef finds detached $dynamicAnchor",
    "dynamicRef.json: strict-tree schema, guards against misspelled properties",
    "dynamicRef.json: tests for implementation dynamic anchor and reference link",
    "optional/cross-draft.json: refs to historic drafts are processed as historic drafts",
    "ref.json: remote ref, containing refs itself",
];

/// Groups whose metaschema is another one, and elsewhere: refused.
const OTHER_DRAFT: [&str; 4] = [
    "optional/format-assertion.json: schema that uses custom metaschema with format-assertion: false",
    "optional/format-assertion.json: schema that uses custom metaschema with format-assertion: true",
    "vocabulary.json: ignore unrecognized optional vocabulary",
    "vocabulary.json: schema that uses custom metaschema with with no validation vocabulary",
];

/// Groups that want `format` to refuse; by the standard's default it only tells.
fn wants_formats(name: &str) -> bool {
    name.starts_with("optional/format/")
}

#[test]
fn the_suite_holds() {
    let Some(groups) = groups() else { return };
    let (mut held, mut left_out, mut refused) = (0, 0, 0);
    for group in &groups {
        let name = name(group);
        match Schema::compile(group.get("schema").unwrap(), SchemaLimits::default()) {
            Ok(_) if wants_formats(&name) => left_out += 1,
            Ok(schema) => {
                check_group(&name, &schema, group);
                held += 1;
            }
            Err(error) => {
                let remote = name.starts_with("refRemote.json") || REMOTE.contains(&&*name);
                let other_draft = OTHER_DRAFT.contains(&&*name);
                match error.kind {
                    SchemaErrorKind::Remote(_) => assert!(remote, "{name}: {error}"),
                    _ => assert!(other_draft, "{name}: {error}"),
                }
                refused += 1;
            }
        }
    }
    assert_eq!((held, left_out, refused), (406, 28, 27));
    assert_eq!(groups.len(), 461);
}

fn check_group(name: &str, schema: &Schema, group: &Json) {
    for test in tests(group) {
        let report = schema.check(test.get("data").unwrap());
        let valid = test.get("valid").unwrap().as_bool();
        let description = test.get("description").unwrap().to_text();
        assert_eq!(Some(report.fits()), valid, "{name}: {description}");
        for failure in &report.failures {
            let rule = group.get("schema").unwrap().pointer(&failure.rule);
            assert!(rule.is_some(), "{name}: {} is a rule", failure.rule);
        }
    }
}

/// What the metaschema says of schemas, compiling says, too.
#[test]
fn schemas_are_refused_as_the_metaschema_does() {
    let Some(groups) = groups() else { return };
    let about_schemas = [REMOTE[0], REMOTE[7]];
    let mut checked = 0;
    for group in groups
        .iter()
        .filter(|group| about_schemas.contains(&&*name(group)))
    {
        for test in tests(group) {
            let data = test.get("data").unwrap();
            let compiles = Schema::compile(data, SchemaLimits::default()).is_ok();
            assert_eq!(
                Some(compiles),
                test.get("valid").unwrap().as_bool(),
                "{data:?}"
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 4);
}

/// No schema of the suite makes another's check panic, or take long.
#[test]
fn all_schemas_meet_all_documents() {
    let Some(groups) = groups() else { return };
    let documents: Vec<&Json> = groups
        .iter()
        .flat_map(|group| tests(group).iter().take(1))
        .map(|test| test.get("data").unwrap())
        .collect();
    let schemas = groups.iter().map(|group| group.get("schema").unwrap());
    for schema in schemas.filter_map(|s| Schema::compile(s, SchemaLimits::default()).ok()) {
        for document in &documents {
            let report = schema.check(document);
            assert!(report.steps < 100_000 && !report.given_up);
        }
    }
}

/// The laws that fuzzing checks hold for every schema and document of the suite, and for texts
/// that are cut short.
#[test]
fn the_suite_is_a_corpus() {
    let Some(groups) = groups() else { return };
    for group in &groups {
        let schema = group.get("schema").unwrap().to_text();
        for test in tests(group) {
            let text = format!("{schema}\n{}", test.get("data").unwrap().to_text());
            fuzz_schema(text.as_bytes());
            for cut in [1, 2, schema.len() / 2] {
                fuzz_schema(&text.as_bytes()[cut..]);
                fuzz_schema(&text.as_bytes()[..text.len() - cut]);
            }
        }
    }
}

/// A schema that holds all others is large, and compiles.
#[test]
fn the_suite_is_one_schema() {
    let Some(groups) = groups() else { return };
    let own = |schema: &&Json| {
        let text = schema.to_text();
        !text.contains("$id") && !text.contains("nchor") && !text.contains("#/")
    };
    let schemas = groups.iter().map(|group| group.get("schema").unwrap());
    let compiles = |schema: &&Json| Schema::compile(schema, SchemaLimits::default()).is_ok();
    let all: Json = schemas.filter(own).filter(compiles).cloned().collect();
    let mut whole = json(r#"{"not":{"anyOf":[]}}"#);
    *whole
        .as_object_mut()
        .unwrap()
        .get_mut("not")
        .unwrap()
        .as_object_mut()
        .unwrap()
        .get_mut("anyOf")
        .unwrap() = all;
    let schema = Schema::compile(&whole, SchemaLimits::default()).unwrap();
    let report = schema.check(&json("1"));
    assert_eq!(report.failures[0].rule, Pointer::from_static("/not"));
}

fn tests(group: &Json) -> &[Json] {
    group.get("tests").unwrap().as_array().unwrap()
}

fn name(group: &Json) -> String {
    let text = |key| group.get(key).unwrap().as_str().unwrap().to_owned();
    format!("{}: {}", text("file"), text("description"))
}

/// The groups of the suite; where they are missing, only a run that must be complete fails.
fn groups() -> Option<Vec<Json>> {
    let given = std::env::var_os("SYNCLINE_TEST_DATA").map(PathBuf::from);
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = given.unwrap_or_else(|| default.into());
    let path = folder.join("standards/json-schema-2020-12.jsonl.zst");
    if !path.is_file() {
        let complete = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!complete, "test data is missing: {}", path.display());
        return None;
    }
    let decoder = zstd::stream::Decoder::new(File::open(path).unwrap()).unwrap();
    let lines = BufReader::new(decoder).split(b'\n');
    let parse = |line: Result<Vec<u8>, _>| Json::parse(&line.unwrap(), &Limits::default()).unwrap();
    Some(lines.map(parse).collect())
}
