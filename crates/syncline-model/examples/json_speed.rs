//! Measures what a write pays for its document: reading, writing, hashing, and the two walks.
//!
//! `cargo run --release -p syncline-model --example json_speed [FILE…]` prints the best of many
//! runs in microseconds, for invented documents and for each JSON file that is named.
#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::unwrap_used, reason = "a bad file may end the measurement")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use syncline_model::document::Document;
use syncline_model::json::{Json, JsonWriter, Limits, Object};

/// How long each number is measured; the best run counts, since others share the machine.
const MEASURED_MS: u64 = 150;

fn main() {
    println!(
        "{:<24}{:>9}{:>10}{:>10}{:>10}{:>10}{:>9}{:>9}",
        "document", "bytes", "parse", "to_text", "canonical", "hash", "weight", "depth"
    );
    for size in [1_000, 11_000, 64_000, 650_000] {
        measure("tasks", &tasks(size));
    }
    measure("prose", &prose(64_000));
    measure("numbers", &numbers(64_000));
    for path in std::env::args().skip(1) {
        measure(&path, &std::fs::read_to_string(&path).unwrap());
    }
}

fn measure(name: &str, text: &str) {
    let limits = Limits::wire();
    let json = Json::parse(text.as_bytes(), &limits).unwrap();
    let data = Object::from_iter([("value", json.clone())]);
    let document = Document::from_stored(Object::from_iter([("data", data.into())]));
    let columns = [
        best_us(|| Json::parse(black_box(text.as_bytes()), &limits)),
        best_us(|| black_box(&json).to_text()),
        best_us(|| black_box(&json).canonical()),
        best_us(|| black_box(&document).hash()),
        best_us(|| black_box(&json).weight()),
        best_us(|| black_box(&json).depth()),
    ];
    let [parse, to_text, canonical, hash, weight, depth] = columns;
    println!(
        "{name:<24}{:>9}{parse:>10.2}{to_text:>10.2}{canonical:>10.2}{hash:>10.2}{weight:>9.2}{depth:>9.2}",
        text.len()
    );
}

fn best_us<T>(run: impl Fn() -> T) -> f64 {
    let end = Instant::now() + Duration::from_millis(MEASURED_MS);
    let mut best = Duration::MAX;
    while Instant::now() < end {
        let start = Instant::now();
        black_box(run());
        best = best.min(start.elapsed());
    }
    best.as_secs_f64() * 1e6
}

/// A list of tasks as agents keep them: repeated keys, short strings, some numbers.
fn tasks(bytes: usize) -> String {
    let mut w = JsonWriter::new();
    w.begin_object();
    w.key("tasks");
    w.begin_array();
    for n in 0_usize.. {
        if w.len() + 250 > bytes {
            break;
        }
        w.begin_object();
        w.key("id");
        w.number(1_000 + n);
        w.field_str("title", "Read the log of the failing run and \"quote\" it");
        w.field_str("status", ["open", "blocked", "done"][n % 3]);
        w.field_str("assignee", "person/ana");
        w.field_bool("urgent", n.is_multiple_of(5));
        w.field_raw("score", ["0.25", "17", "3.75", "0.1"][n % 4]);
        w.key("tags");
        w.begin_array();
        w.string("ci");
        w.string("flaky");
        w.end_array();
        w.field_str("note", "seen twice\nsince the upgrade, naïve fix reverted");
        w.end_object();
    }
    w.end_array();
    w.end_object();
    w.into_string()
}

fn prose(bytes: usize) -> String {
    let line =
        "The committer appends what was decided, in order, and answers. \"Then\" it waits.\n";
    let text = line.repeat(bytes / 4 / line.len());
    Json::from(vec![Json::from(text); 4]).to_text()
}

fn numbers(bytes: usize) -> String {
    let item = |n: usize| match n % 3 {
        0 => n.to_string(),
        1 => format!("-{}.{:02}", n * 31 % 1_000, 1 + n % 9),
        _ => (n as f64 * 0.001_37).sqrt().to_string(),
    };
    let items: Vec<String> = (0..bytes / 9).map(item).collect();
    format!("[{}]", items.join(","))
}
