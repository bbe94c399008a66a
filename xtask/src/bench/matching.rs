//! How long it takes to find who wants to hear of a change, among thousands who asked: by the
//! index, beside a plain scan of all, and beside a `where` for each.

use std::hint::black_box;
use std::time::Instant;

use syncline_api::{Filters, Scope};
use syncline_model::change::Change;
use syncline_model::document::Document;
use syncline_model::json::{Json, Pointer};
use syncline_model::time::Timestamp;
use syncline_rules::{Facts, Index, Matcher, Verdict, judge};

use super::report::{AimRow, SizeRow};

/// How many subscriptions there are.
const SUBSCRIPTIONS: usize = 10_000;
/// How many different changes they are asked about.
const CHANGES: usize = 200;
/// How often all changes are asked about; the median counts.
const REPEATS: usize = 15;
/// The greatest time for one change that is aimed at, in microseconds.
const INDEX_US_MAX: f64 = 10.0;

struct Subscription {
    scope: Scope,
    matcher: Matcher,
}

/// Measures the rows that are wanted.
pub fn rows(wants: impl Fn(&str) -> bool) -> Vec<SizeRow> {
    let names = ["match-index", "match-scan", "match-where"];
    if !names.iter().any(|name| wants(name)) {
        return Vec::new();
    }
    let subscriptions: Vec<Subscription> = (0..SUBSCRIPTIONS).map(subscription).collect();
    let conditions: Vec<Subscription> = (0..SUBSCRIPTIONS).map(condition).collect();
    let changes: Vec<Change> = (0..CHANGES).map(change).collect();
    let document = document();
    let mut index = Index::new();
    for (key, one) in subscriptions.iter().enumerate() {
        index.insert(key, &one.scope, &[], &one.matcher);
    }
    let scan = |all: &[Subscription], change: &Change| {
        all.iter()
            .filter(|one| wanted(one, change, &document))
            .count()
    };
    let mut matched = 0;
    let mut found = Vec::new();
    let times = [
        median_us(&changes, |change| {
            found.clear();
            index.find(change, &mut found);
            let asked = found.iter().map(|key| &subscriptions[*key]);
            matched += asked.filter(|one| wanted(one, change, &document)).count();
        }),
        median_us(&changes, |change| {
            black_box(scan(&subscriptions, change));
        }),
        median_us(&changes[..20], |change| {
            black_box(scan(&conditions, change));
        }),
    ];
    let each = matched as f64 / (REPEATS * CHANGES) as f64;
    let notes = [
        format!("{SUBSCRIPTIONS} subscriptions of mixed shapes, {each:.1} match a change"),
        "the same, each asked".to_owned(),
        "as many expressions, each evaluated".to_owned(),
    ];
    let rows = names.into_iter().zip(times).zip(notes);
    rows.map(|((name, value), note)| SizeRow {
        name: name.to_owned(),
        value,
        unit: "µs",
        note,
        aims: match name {
            "match-index" => {
                let text = format!("below {INDEX_US_MAX} µs");
                vec![AimRow::below(text, value, INDEX_US_MAX)]
            }
            _ => Vec::new(),
        },
    })
    .collect()
}

fn wanted(one: &Subscription, change: &Change, document: &Document) -> bool {
    judge(&one.scope, &[], change) == Verdict::Inside
        && one
            .matcher
            .matches(&Facts::with_document(change, Some(document)))
}

/// Returns the median time for one change, in microseconds.
fn median_us(changes: &[Change], mut work: impl FnMut(&Change)) -> f64 {
    let mut once = |_| {
        let begun = Instant::now();
        changes.iter().for_each(&mut work);
        begun.elapsed().as_secs_f64() * 1e6 / changes.len() as f64
    };
    let mut times: Vec<f64> = (0..REPEATS).map(&mut once).collect();
    times.sort_unstable_by(f64::total_cmp);
    times[REPEATS / 2]
}

/// One of ten shapes: contexts, subtrees, labels, agents, a few that nothing can be named of.
fn subscription(n: usize) -> Subscription {
    let anything = r#"[{"workspace":true}]"#;
    let (scope, filter) = match n % 10 {
        0 | 1 => (format!(r#"[{{"context":"task/t{n}"}}]"#), "[]".to_owned()),
        2 => (
            format!(r#"[{{"subtree":"project/p{}"}}]"#, n % 500),
            "[]".to_owned(),
        ),
        3 => (
            format!(r#"[{{"subtree":"project/p{}"}}]"#, n % 200),
            format!(r#"{{"exact":{{"agent":"agent-{}"}}}}"#, n % 1_000),
        ),
        4 => (
            anything.to_owned(),
            format!(
                r#"{{"exact":{{"kind":"task","labels.area":"area-{}"}}}}"#,
                n % 2_000
            ),
        ),
        5 => (
            anything.to_owned(),
            format!(
                r#"{{"exact":{{"agent":"agent-{}"}},"changed":"/data/status"}}"#,
                n % 2_000
            ),
        ),
        6 => (
            format!(r#"[{{"label":{{"area":"area-{}"}}}}]"#, n % 2_000),
            "[]".to_owned(),
        ),
        7 => (
            anything.to_owned(),
            format!(
                r#"[{{"exact":{{"parent":"project/p{}"}}}},{{"exact":{{"session":"s{n}"}}}}]"#,
                n % 1_000
            ),
        ),
        8 => (
            anything.to_owned(),
            format!(r#"{{"in":{{"context":["task/t{n}","task/t{}"]}}}}"#, n + 1),
        ),
        // One of a hundred names nothing that is indexed.
        _ if n % 100 == 99 => (
            anything.to_owned(),
            r#"{"not":{"exact":{"type":"update"}}}"#.to_owned(),
        ),
        _ => (
            anything.to_owned(),
            format!(
                r#"{{"exact":{{"project":"project/p{}","type":"update"}}}}"#,
                n % 5_000
            ),
        ),
    };
    made(&scope, &filter, None)
}

fn condition(n: usize) -> Subscription {
    let text = format!(r#"change.agent == "agent-{n}" && data.n > {n} && labels.area == "x""#);
    made(r#"[{"workspace":true}]"#, "[]", Some(&text))
}

fn made(scope: &str, filter: &str, condition: Option<&str>) -> Subscription {
    let scope = Scope::read(&json(scope), &Pointer::root()).expect("it is a scope");
    let filters: Filters = filter.parse().expect("it is a filter");
    let matcher = Matcher::compile(&filters, condition).expect("it compiles");
    Subscription { scope, matcher }
}

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Default::default()).expect("it is JSON")
}

fn change(n: usize) -> Change {
    let n = n * 37;
    let text = format!(
        r#"{{"id":"01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f","type":"update","context":"task/t{n}",
        "version":8,"from":7,"actor":{{"id":"person/ana","agent":"agent-{}","session":"s{n}"}},
        "place":{{"ancestors":["branch/b{n}","project/p{}","global/main"],
            "project":"project/p{}","labels":{{"area":"area-{}","team":"x"}},"level":"private"}},
        "changed":["/data/status","/data/n"],"intent":{{"op":"merge"}},"patch":[],
        "hash":"{}"}}"#,
        n % 2_000,
        n % 500,
        n % 500,
        n % 2_000,
        "0".repeat(64)
    );
    Change::from_stored(&json(&text), Timestamp(1)).expect("it is a change")
}

fn document() -> Document {
    let text = r#"{"title":"T","owner":"person/ana","data":{"status":"open","n":7}}"#;
    Document::from_json(&json(text), &Pointer::root()).expect("it is a document")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is measured finds the same, and the index leaves out nearly all.
    #[test]
    fn the_index_finds_what_a_scan_finds() {
        let subscriptions: Vec<Subscription> = (0..2_000).map(subscription).collect();
        let mut index = Index::new();
        for (key, one) in subscriptions.iter().enumerate() {
            index.insert(key, &one.scope, &[], &one.matcher);
        }
        let document = document();
        for change in (0..20).map(change) {
            let mut found = Vec::new();
            index.find(&change, &mut found);
            let scanned = (0..subscriptions.len())
                .filter(|key| wanted(&subscriptions[*key], &change, &document));
            assert!(scanned.into_iter().all(|key| found.contains(&key)));
            assert!(found.len() < 60, "{} of 2,000 are asked", found.len());
        }
    }
}
