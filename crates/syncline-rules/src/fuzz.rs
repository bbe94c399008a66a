//! The laws of filters and `where`, for any bytes.

use syncline_api::{Filter, Filters, Scope};
use syncline_model::change::Change;
use syncline_model::document::Document;
use syncline_model::json::{Json, JsonWriter, Limits, Pointer};
use syncline_model::time::Timestamp;

use crate::{Answer, Facts, Index, Matcher, Verdict, judge};

const CHANGE: &str = r#"{"id":"01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f","type":"update","context":"task/a","version":8,
    "from":7,"actor":{"id":"person/ana","agent":"claude"},"priority":2,"message":"done",
    "place":{"ancestors":["project/web","global/main"],"project":"project/web",
        "labels":{"area":"auth"},"level":"private"},
    "changed":["/data/status"],"intent":{"op":"merge"},"patch":[],
    "hash":"0000000000000000000000000000000000000000000000000000000000000000"}"#;

const DOCUMENT: &str = r#"{"title":"T","owner":"person/ana","metadata":{"n":5,"big":123456789012345678901},
    "data":{"status":"done","tags":["x","y"],"steps":[{"id":1,"open":true}],"n":7}}"#;

/// Reads the first line of `data` as filters and the rest as an expression, and asks both of a
/// change.
///
/// # Panics
/// If a law is broken.
pub fn fuzz_filter(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let line = parts.next().unwrap_or_default();
    let filters = Json::parse(line, &Limits::default()).ok();
    let filters = filters.and_then(|value| Filters::read(&value, &Pointer::root()).ok());
    // A line that is no filter may be an expression.
    let expression = parts.next().or(filters.is_none().then_some(line));
    let expression = expression.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let filters = filters.unwrap_or_default();
    check_written(&filters);
    let change = Change::from_stored(&read(CHANGE), Timestamp(1)).expect("it is a change of ours");
    let document = Document::from_json(&read(DOCUMENT), &Pointer::root());
    let document = document.expect("it is a document of ours");
    let all = [
        Facts::of_change(&change),
        Facts::with_document(&change, Some(&document)),
    ];
    let matcher = Matcher::compile(&filters, None).expect("filters that were read compile");
    check_answers(&matcher, all);
    check_not(&filters, all[1]);
    check_index(&matcher, &change, all[1]);
    if let Ok(matcher) = Matcher::compile(&filters, expression) {
        check_answers(&matcher, all);
        check_index(&matcher, &change, all[1]);
    }
}

fn read(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default()).expect("it is JSON")
}

fn check_written(filters: &Filters) {
    let mut w = JsonWriter::new();
    filters.write(&mut w);
    let written = read(&w.into_string());
    let again = Filters::read(&written, &Pointer::root());
    assert_eq!(
        again.as_ref(),
        Ok(filters),
        "filters read back as they were"
    );
}

fn check_answers(matcher: &Matcher, [bare, full]: [Facts<'_>; 2]) {
    let (early, late) = (matcher.answer(&bare), matcher.answer(&full));
    assert_ne!(
        late,
        Answer::NeedsDocument,
        "with the document all is known"
    );
    match early {
        Answer::NeedsDocument => assert!(matcher.needs_document()),
        early => assert_eq!(early, late, "what is known early stays"),
    }
    let clauses = matcher.explain(&full);
    let no = clauses.iter().all(|clause| clause.answer == Answer::No);
    assert!(
        clauses.is_empty() || !no || late == Answer::No,
        "an answer has its reason"
    );
}

fn check_not(filters: &Filters, facts: Facts<'_>) {
    for filter in &filters.0 {
        let answer = |filter: Filter| {
            let matcher = Matcher::compile(&Filters(vec![filter]), None);
            matcher.expect("filters compile").matches(&facts)
        };
        let not = Filter::Not(Box::new(filter.clone()));
        assert_ne!(answer(filter.clone()), answer(not), "one of them matches");
    }
}

fn check_index(matcher: &Matcher, change: &Change, facts: Facts<'_>) {
    let scope = Scope::workspace();
    assert_eq!(judge(&scope, &[], change), Verdict::Inside);
    let mut index = Index::new();
    index.insert((), &scope, &[], matcher);
    let mut found = Vec::new();
    index.find(change, &mut found);
    assert!(
        !found.is_empty() || !matcher.matches(&facts),
        "what matches is found"
    );
}

#[cfg(test)]
mod tests {
    use super::fuzz_filter;

    #[test]
    fn corpus() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "{\"exact\":{\"kind\":\"task\"}}\nchange.version > 7 && data.n == 7",
            "[{\"in\":{\"labels.area\":[\"auth\",\"ui\"]}},{\"changed\":\"/data/*\"}]",
            "{\"not\":{\"all\":[{\"exists\":\"metadata.n\"},{\"min_priority\":1}]}}\ndata.tags.exists(t, t == \"x\")",
            "{\"exact\":{\"metadata.big\":123456789012345678901.0}}",
            "has(data.x) ? data.x : 'a' + r\"\\\" == b",
            "data.status.matches(\"^d(o|n)+e$\")",
            "1e999999999 == 1",
            "0x == 1",
            "\"\\",
            "'''",
            "r",
            "-",
            "[[[[",
            "\u{e9}",
        ] {
            fuzz_filter(text.as_bytes());
        }
    }
}
