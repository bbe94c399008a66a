//! The public test suite of JSON Schema, draft 2020-12.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use syncline_model::json::{Json, Limits};
use syncline_schema::{Schema, SchemaErrorKind, SchemaLimits};

#[test]
fn the_suite_holds() {
    let Some(groups) = groups() else { return };
    for group in &groups {
        let name = name(group);
        let schema = group.get("schema").unwrap();
        match Schema::compile(schema, SchemaLimits::default()) {
            Err(e) => println!("REFUSED {name}: {e}"),
            Ok(schema) => {
                for test in group.get("tests").unwrap().as_array().unwrap() {
                    let report = schema.check(test.get("data").unwrap());
                    if Some(report.fits()) != test.get("valid").unwrap().as_bool() {
                        println!(
                            "WRONG {name}: {} {:?}",
                            test.get("description").unwrap().to_text(),
                            report.failures
                        );
                    }
                }
            }
        }
    }
    let _ = SchemaErrorKind::Remote(String::new());
    panic!();
}

fn name(group: &Json) -> String {
    let text = |key| group.get(key).unwrap().as_str().unwrap().to_owned();
    format!("{}: {}", text("file"), text("description"))
}

/// The groups of the suite; where they are missing, only a run that must be complete fails.
pub fn groups() -> Option<Vec<Json>> {
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
