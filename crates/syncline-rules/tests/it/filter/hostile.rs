//! Expressions that bring other evaluators down: each is refused, or fails, quickly.

use std::time::{Duration, Instant};

use syncline_api::Filters;
use syncline_model::document::Document;
use syncline_model::json::{Json, Pointer};
use syncline_rules::{Facts, Matcher};

use super::{change, document};
use crate::json;

fn compile(text: &str) -> Result<Matcher, String> {
    Matcher::compile(&Filters::default(), Some(text)).map_err(|error| error.to_string())
}

/// Runs on a small stack, where what nests too deep would overflow.
fn quickly(run: impl FnOnce() + Send + 'static) {
    let started = Instant::now();
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    thread.spawn(run).unwrap().join().unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "it took too long"
    );
}

fn refused(text: String, why: &'static str) {
    quickly(move || {
        let error = compile(&text).unwrap_err();
        assert!(error.contains(why), "{error}");
    });
}

/// It compiles, and then spends what an evaluation may.
fn spent(text: String, document: Document) {
    quickly(move || {
        let matcher = compile(&text).unwrap();
        let change = change();
        for _ in 0..10 {
            assert!(!matcher.matches(&Facts::with_document(&change, Some(&document))));
        }
        assert_eq!(matcher.failed(), 10, "{text}");
    });
}

#[test]
fn long_and_deep_expressions_are_refused() {
    refused(
        vec!["1"; 1_500].join("+") + " == 1",
        "bytes and may have 1024",
    );
    refused(vec!["1"; 300].join("+") + " == 1", "at most 200 operators");
    refused(vec!["true"; 150].join("&&"), "at most 200 operators");
    refused("(".repeat(500) + "true" + &")".repeat(500), "nests at most");
    refused("!".repeat(900) + "true", "nests at most");
    refused("-".repeat(900) + "1 == 1", "nests at most");
    refused("[".repeat(500) + &"]".repeat(500), "nests at most");
    refused("true ? true : ".repeat(60) + "true", "nests at most");
    refused(
        "data".to_owned() + &"[0]".repeat(250),
        "at most 200 operators",
    );
    refused(
        "data".to_owned() + &".a".repeat(400),
        "at most 200 operators",
    );
    refused("[".repeat(1_000), "nests at most");
    refused(
        format!("data.x.matches(\"{}\")", "(".repeat(900)),
        "pattern",
    );
    refused(
        r#"data.x.matches("(((\\p{L}{100}){100}){100}){100}")"#.to_owned(),
        "pattern",
    );
}

/// What fits the bounds fits the stack as well.
#[test]
fn the_longest_chain_is_evaluated() {
    quickly(|| {
        let sum = vec!["1"; 99].join("+") + " == 99";
        let matcher = compile(&sum).unwrap();
        assert!(matcher.matches(&Facts::of_change(&change())));
        let nested = "(".repeat(22) + "true" + &")".repeat(22);
        assert!(
            compile(&nested)
                .unwrap()
                .matches(&Facts::of_change(&change()))
        );
    });
}

/// Five loops within one another over 10 items are 100,000 rounds.
#[test]
fn nested_loops_are_paid_for() {
    let list = "[1,2,3,4,5,6,7,8,9,10]";
    let mut text = "true".to_owned();
    for level in 0..5 {
        text = format!("{list}.all(v{level}, {text})");
    }
    spent(text, document());
    let many = Json::from(vec![Json::from("x"); 100_000]);
    let many = document().with("data", json_with("list", many));
    spent("data.list.all(a, a == \"x\")".to_owned(), many.clone());
    spent("\"y\" in data.list".to_owned(), many.clone());
    spent("data.list + data.list == []".to_owned(), many.clone());
    spent("data.list.map(a, data.list).size() > 0".to_owned(), many);
}

/// A text that is joined with itself again and again doubles each time.
#[test]
fn doubling_texts_are_stopped() {
    let long = document().with("data", json_with("s", Json::from("x".repeat(10_000))));
    let mut text = "data.s".to_owned();
    for level in 0..14 {
        text = format!("[{text}].map(v{level}, v{level} + v{level})[0]");
    }
    spent(format!("{text} == \"\""), long.clone());
    spent(vec!["data.s"; 60].join("+") + " == \"\"", long);
    let mut lists = "[1,2,3,4]".to_owned();
    for level in 0..20 {
        lists = format!("[{lists}].map(v{level}, v{level}+v{level})[0]");
    }
    let deep = compile(&format!("{lists} == []"));
    if let Ok(matcher) = deep {
        assert!(!matcher.matches(&Facts::of_change(&change())));
    }
}

/// Comparing large values is paid for by what is compared.
#[test]
fn large_values_are_paid_for() {
    let value = |end: &str| {
        let items = (0..50_000).map(|n| format!("{{\"n\":{n}}}"));
        let items: Vec<_> = items.collect();
        format!("[{},{end}]", items.join(","))
    };
    let text = format!("{{\"data\":{{\"a\":{},\"b\":{}}}}}", value("1"), value("2"));
    let document = Document::from_json(&json(&text), &Pointer::root()).unwrap();
    spent("data.a == data.b".to_owned(), document.clone());
    spent("data.a in [data.b]".to_owned(), document);
    let text = "a".repeat(2_000_000);
    let long = document_with(&text);
    spent("data.s.contains(\"b\")".to_owned(), long.clone());
    spent("data.s.matches(\"(a|aa)*b\")".to_owned(), long.clone());
    spent("size(data.s) == 1".to_owned(), long.clone());
    spent("data.s.lowerAscii() == data.s".to_owned(), long);
}

fn document_with(text: &str) -> Document {
    document().with("data", json_with("s", Json::from(text)))
}

fn json_with(key: &str, value: Json) -> Json {
    let object = [(key, value)].into_iter().collect();
    Json::Object(object)
}
