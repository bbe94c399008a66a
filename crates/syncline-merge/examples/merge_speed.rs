//! How long merges take, with parsed sides in memory: `cargo run --release -p syncline-merge
//! --example merge_speed`.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};
use syncline_merge::{MergeLimits, MergeRules, Side, Sides, merge};
use syncline_model::json::{Json, Object};

/// Repetitions of one measurement; the median counts.
const ROUNDS: usize = 2_001;

fn main() {
    println!(
        "{:>8} {:>6} {:>12} {:>12}",
        "bytes", "edits", "shared µs", "parsed µs"
    );
    for (steps, edits) in [(4, 1), (38, 10), (320, 10), (3_200, 10)] {
        let base = notebook(steps);
        let ours = edited(&base, steps, edits, 0);
        let theirs = edited(&base, steps, edits, 1);
        let apart = |doc: &Json| {
            let text = doc.to_text();
            Json::parse(text.as_bytes(), &Default::default()).expect("a text of ours reads back")
        };
        let shared = median(&base, &ours, &theirs);
        let parsed = median(&apart(&base), &apart(&ours), &apart(&theirs));
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let bytes = base.to_text().len();
        println!(
            "{bytes:>8} {edits:>6} {:>12.1} {:>12.1}",
            micros(shared),
            micros(parsed)
        );
    }
}

fn median(base: &Json, ours: &Json, theirs: &Json) -> Duration {
    let (rules, limits) = (MergeRules::default(), MergeLimits::default());
    let once = || {
        let sides = Sides {
            base: Some(base),
            ours: Some(ours),
            theirs: Some(theirs),
            earlier: Side::Theirs,
        };
        let begun = Instant::now();
        black_box(merge(black_box(sides), &rules, &limits));
        begun.elapsed()
    };
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| once()).collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

/// A context of some keyed steps of 200 bytes each, a few texts and lists.
fn notebook(steps: usize) -> Json {
    let step = |n: usize| {
        let members = [
            ("id", Json::from(format!("step-{n}"))),
            (
                "title",
                Json::from(format!(
                    "Look at part {n} of the work and write down what it does"
                )),
            ),
            ("status", Json::from("open")),
            ("owner", Json::from(format!("agent/{}", n % 7))),
            (
                "tags",
                ["a", "b", "c"].map(Json::from).into_iter().collect(),
            ),
            ("tries", Json::from(n)),
        ];
        Json::from(members.into_iter().collect::<Object>())
    };
    let members = [
        ("title", Json::from("What we know")),
        ("summary", Json::from("one line\nanother line\n")),
        ("steps", (0..steps).map(step).collect()),
    ];
    Json::from(members.into_iter().collect::<Object>())
}

/// Edits steps of the document in place; an odd side edits others than an even one.
fn edited(base: &Json, steps: usize, edits: usize, side: usize) -> Json {
    let mut doc = base.clone();
    let items = doc
        .as_object_mut()
        .and_then(|doc| doc.get_mut("steps"))
        .and_then(Json::as_array_mut);
    let items = items.expect("a notebook has steps");
    for edit in 0..edits {
        let step = (edit * 2 + side) * steps / (2 * edits + 1);
        if let Some(step) = items[step].as_object_mut() {
            step.insert("status", Json::from(format!("done by {side}")));
        }
    }
    doc
}
