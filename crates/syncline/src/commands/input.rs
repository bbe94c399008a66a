//! What a write's body is made of: assignments, a file, or stdin.

use std::io::Read as _;
use std::path::Path;

use syncline_model::json::{Json, Limits, Object, Pointer};

use crate::failure::{Failure, Result};

/// Bounds a file or stdin: the largest document that any node may be set to take.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Builds an object of `title=…` and `data.status=…`, or reads it from a file.
pub fn body(assignments: &[String], file: Option<&Path>) -> Result<Json> {
    match (assignments, file) {
        ([], None) => Ok(Json::Object(Object::new())),
        ([], Some(path)) => read_json(path),
        ([only], None) if only == "-" => read_json(Path::new("-")),
        (assignments, None) => assigned(assignments),
        (_, Some(_)) => Err(Failure::usage_hint(
            "a body comes from a file or from assignments, not from both",
            "put all into the file, or leave -f out",
        )),
    }
}

/// Reads one JSON document from a file, or from stdin where the path is `-`.
pub fn read_json(path: &Path) -> Result<Json> {
    let bytes = read_bytes(path)?;
    let limits = Limits {
        bytes_max: bytes.len().max(1),
        depth_max: 128,
    };
    Json::parse(&bytes, &limits)
        .map_err(|error| Failure::usage(format!("{}: {error}", name_of(path))))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(INPUT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file("read", path, &error))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(Failure::usage(format!(
            "{} is larger than 64 MiB",
            name_of(path)
        )));
    }
    Ok(bytes)
}

fn name_of(path: &Path) -> String {
    if path == Path::new("-") {
        "stdin".to_owned()
    } else {
        path.display().to_string()
    }
}

fn assigned(assignments: &[String]) -> Result<Json> {
    let mut body = Json::Object(Object::new());
    for text in assignments {
        let (path, value) = assignment(text)?;
        insert(&mut body, &path, value).map_err(|why| bad_assignment(text, why))?;
    }
    Ok(body)
}

/// Reads `a.b=value` or `/a/b=value`; a value that is JSON is taken as that, else as a text.
fn assignment(text: &str) -> Result<(Vec<String>, Json)> {
    let (path, value) = text
        .split_once('=')
        .ok_or_else(|| bad_assignment(text, "it has no ="))?;
    let path = if path.starts_with('/') {
        let pointer =
            Pointer::parse(path).map_err(|_| bad_assignment(text, "its path is no pointer"))?;
        pointer
            .tokens()
            .iter()
            .map(|token| token.to_string())
            .collect()
    } else {
        path.split('.').map(str::to_owned).collect::<Vec<_>>()
    };
    if path.iter().any(String::is_empty) {
        return Err(bad_assignment(text, "a part of its path is empty"));
    }
    Ok((path, value_of(value)))
}

/// Takes a text that is JSON as that, and any other as itself.
pub fn value_of(text: &str) -> Json {
    let limits = Limits {
        bytes_max: text.len().max(1),
        depth_max: 64,
    };
    Json::parse(text.as_bytes(), &limits).unwrap_or_else(|_| Json::from(text))
}

fn insert(into: &mut Json, path: &[String], value: Json) -> Result<(), &'static str> {
    const BELOW: &str = "another assignment sets a value above it";
    let (first, rest) = path.split_first().ok_or("its path is empty")?;
    let object = into.as_object_mut().ok_or(BELOW)?;
    if rest.is_empty() {
        return match object.insert(first.as_str(), value) {
            None => Ok(()),
            Some(_) => Err("another assignment sets the same"),
        };
    }
    if !object.contains_key(first) {
        object.insert(first.as_str(), Json::Object(Object::new()));
    }
    insert(object.get_mut(first).ok_or(BELOW)?, rest, value)
}

fn bad_assignment(text: &str, why: &str) -> Failure {
    Failure::usage_hint(
        format!("{text:?} cannot be assigned: {why}"),
        "write data.status=done, data.count=3 or /data/a.b=\"x\"",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(assignments: &[&str], expected: &str) {
        let assignments: Vec<_> = assignments.iter().map(|text| (*text).to_owned()).collect();
        let shown = match body(&assignments, None) {
            Ok(json) => json.to_text(),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn assignments_build_an_object() {
        check(&["data.status=done"], r#"{"data":{"status":"done"}}"#);
        check(
            &["data.n=3", "data.s=3a", "title=Two words"],
            r#"{"data":{"n":3,"s":"3a"},"title":"Two words"}"#,
        );
        check(
            &["data.x=null", "data.l=[1,2]", "data.e="],
            r#"{"data":{"e":"","l":[1,2],"x":null}}"#,
        );
        check(
            &["/data/a.b=1", "/data/c~1d=x=y"],
            r#"{"data":{"a.b":1,"c/d":"x=y"}}"#,
        );
        check(
            &["data=1", "data.a=2"],
            "\"data.a=2\" cannot be assigned: another assignment sets a value above it",
        );
        check(
            &["a=1", "a=2"],
            "\"a=2\" cannot be assigned: another assignment sets the same",
        );
        check(&["a"], "\"a\" cannot be assigned: it has no =");
        check(
            &["a..b=1"],
            "\"a..b=1\" cannot be assigned: a part of its path is empty",
        );
        check(
            &["data.big=123456789012345678901234567890"],
            r#"{"data":{"big":123456789012345678901234567890}}"#,
        );
    }
}
