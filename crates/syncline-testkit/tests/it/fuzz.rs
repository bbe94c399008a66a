//! The fuzz targets on stable: over the parsing corpus, and over random changes of it.

use syncline_testkit::rng::Rng;

use crate::bad_input::corpus::corpus;

#[path = "../../../../fuzz/src/names.rs"]
mod names;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 10] = [
    ("json", syncline_model::json::fuzz::fuzz_json),
    ("patch", syncline_merge::fuzz::fuzz_patch),
    ("merge_patch", syncline_merge::fuzz::fuzz_merge_patch),
    ("merge", syncline_merge::fuzz::fuzz_merge),
    ("schema", syncline_schema::fuzz::fuzz_schema),
    ("wire", syncline_api::fuzz::fuzz_wire),
    ("filter", syncline_rules::fuzz::fuzz_filter),
    ("request", syncline_http::fuzz::fuzz_request),
    ("names", names::fuzz_names),
    ("url", syncline_delivery::webhook::fuzz::fuzz_url),
];

/// Texts that are close to something good.
const SEEDS: &[&str] = &[
    r#"{"type":"hello","token":"x","workspace":"default","agent":"a"}"#,
    r#"{"type":"subscribe","id":"s","scope":[{"workspace":true},{"label":{"a":"b"}}],"from":{"cursor":"x"}}"#,
    r#"{"type":"submit","id":"r","proposals":[{"context":"task/a","op":"merge","base":7,"body":{"data":{"n":1}}}]}"#,
    r#"{"a":[1,{"b":null}]}"#,
    "{\"a\":[1,2,3]}\n[{\"op\":\"move\",\"from\":\"/a/0\",\"path\":\"/a/2\"}]",
    "{\"a\":{\"b\":1}}\n{\"a\":{\"b\":null,\"c\":[]}}",
    r#"{"any":[{"exact":{"labels.a":"b","type":"update"}},{"in":{"kind":["task"]}},{"changed":"/data/*"}]}"#,
    "{\"not\":{\"min_priority\":2}}\ndata.tags.exists(t, t == 'x') && change.version > 1 || has(data.n)",
    "size(data.status + \"x\") in [5, 6.0] ? labels.area.matches(r'^a.*') : -data.n * 2 < 3",
    "{\"a\":[{\"id\":1},2]}\n{\"a\":[{\"id\":1,\"b\":3}]}\n{\"a\":[4,{\"id\":1}],\"c\":\"x\\ny\"}",
    "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"x-merge\":\"counter\"}},\"required\":[\"n\"]}\n{\"n\":1.5}",
    "task/auth-42",
    "\"v8-0123456789abcdef\"",
    "01a1fdf8-1e70-79b8-b4c4-202c2c946ac9",
    "2026-11-21T12:00:00.123Z",
    "/data/a~1b/~0",
    "https://hooks.example:8443/a?b=c",
    "http://[::ffff:127.0.0.1]/",
    "0x7f.1:80/",
    "a=1&label=x%3Dy&q=%F0%9F%8C%8D",
];

#[test]
fn fuzz_targets_hold_over_the_corpus_and_its_neighbours() {
    let texts = corpus()
        .unwrap_or_default()
        .into_iter()
        .map(|text| text.bytes);
    let texts: Vec<Vec<u8>> = texts
        .chain(SEEDS.iter().map(|seed| seed.as_bytes().to_vec()))
        .collect();
    let seed = std::env::var("SYNCLINE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(1);
    let mut rng = Rng::new(seed);
    for (name, target) in TARGETS {
        for text in texts.iter().filter(|text| text.len() < 20_000) {
            for round in 0..6 {
                let text = if round == 0 {
                    text.clone()
                } else {
                    neighbour(text, &texts, &mut rng)
                };
                let held = std::panic::catch_unwind(|| target(&text));
                let shown = String::from_utf8_lossy(&text).into_owned();
                assert!(held.is_ok(), "{name}, seed {seed}: {shown:?}");
            }
        }
    }
}

/// A few bytes changed, cut or doubled, or two texts joined by a line break.
fn neighbour(text: &[u8], all: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..rng.between(1, 4) {
        let at = usize::try_from(rng.below(text.len() as u64 + 1)).unwrap();
        match rng.below(5) {
            0 if at < text.len() => text[at] ^= 1 << rng.below(8),
            1 if at < text.len() => drop(text.remove(at)),
            2 => text.insert(at, *rng.choose(&b"{}[],:\"\\/0-1eE.~%&= \n\xff\xc3"[..])),
            3 => text.extend_from_within(..at),
            _ => {
                text.push(b'\n');
                let other: &Vec<u8> = rng.choose(all);
                text.extend_from_slice(other);
            }
        }
        text.truncate(20_000);
    }
    text
}
