//! How long the pure work on documents takes: the three-way merge and the diff, of parsed
//! documents in memory, in this process.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use syncline_merge::{MergeLimits, MergeRules, Side, Sides, diff, merge};
use syncline_model::json::{Json, Object};

use super::peers;
use super::report::{AimRow, SizeRow};
use crate::run::Result;

/// How often each is repeated; the median counts.
const REPEATS: usize = 2_001;

/// Documents of a size.
struct Size {
    /// The part of a row's name.
    name: &'static str,
    /// The greatest median that is aimed at.
    us_max: f64,
    steps: usize,
    edits: usize,
}

/// The sizes that are measured.
const SIZES: [Size; 3] = [
    size("1k", 10.0, 7, 1),
    size("8k", 80.0, 55, 4),
    size("64k", 500.0, 437, 10),
];

const fn size(name: &'static str, us_max: f64, steps: usize, edits: usize) -> Size {
    Size {
        name,
        us_max,
        steps,
        edits,
    }
}

/// Measures all sizes that are wanted by their rows' names.
pub fn rows(wants: impl Fn(&str) -> bool) -> Result<Vec<SizeRow>> {
    let mut rows = Vec::new();
    let mut program = None;
    for size in &SIZES {
        let names = ["merge", "merge-diff"].map(|work| format!("{work}-{}", size.name));
        if !names.iter().any(|name| wants(name)) {
            continue;
        }
        let program = match &program {
            Some(program) => program,
            None => program.insert(peers::build()?),
        };
        let times = times(size);
        let beside = beside(size, program, times.merge_us)?;
        let apart = format!("{} bytes, {} edits, parsed apart", times.bytes, times.edits);
        let shared = format!(
            "{apart}; {:.1} µs where sides share what they left alone; {beside}",
            times.shared_merge_us
        );
        let measured = [(times.merge_us, shared), (times.diff_us, apart)];
        for (name, (value, note)) in names.into_iter().zip(measured) {
            let text = format!("below {} µs", size.us_max);
            let aims = vec![AimRow::below(text, value, size.us_max)];
            rows.push(SizeRow {
                name,
                value,
                unit: "µs",
                note,
                aims,
            });
        }
    }
    Ok(rows)
}

/// Says what the peers do with the same documents and edits.
fn beside(size: &Size, program: &PathBuf, merge_us: f64) -> Result<String> {
    let base = notebook(size.steps);
    let [ours, theirs] = [0, 1].map(|side| edited(&base, size, side));
    let medians = peers::medians(program, [&base, &ours, &theirs])?;
    let told = medians.into_iter().map(|(name, us)| {
        let ratio = us / merge_us;
        format!("{name} {us:.1} ({ratio:.2} times ours)")
    });
    Ok(told.collect::<Vec<_>>().join(", "))
}

/// The medians for documents of a size, in microseconds.
struct Times {
    /// A merge of sides that share nothing: all three were parsed.
    merge_us: f64,
    /// A merge of sides that share what they did not edit, as a node's do.
    shared_merge_us: f64,
    /// A diff of two documents that share nothing.
    diff_us: f64,
    /// The document's text.
    bytes: usize,
    /// How many members each side changed.
    edits: usize,
}

fn times(size: &Size) -> Times {
    let base = notebook(size.steps);
    let [ours, theirs] = [0, 1].map(|side| edited(&base, size, side));
    let [base_apart, ours_apart, theirs_apart] = [&base, &ours, &theirs].map(apart);
    Times {
        merge_us: merge_us(&base_apart, &ours_apart, &theirs_apart),
        shared_merge_us: merge_us(&base, &ours, &theirs),
        diff_us: median_us(|| {
            black_box(diff(black_box(&base_apart), &ours_apart));
        }),
        bytes: base.to_text().len(),
        edits: size.edits,
    }
}

fn merge_us(base: &Json, ours: &Json, theirs: &Json) -> f64 {
    let (rules, limits) = (MergeRules::default(), MergeLimits::default());
    let sides = Sides {
        base: Some(base),
        ours: Some(ours),
        theirs: Some(theirs),
        earlier: Side::Theirs,
    };
    median_us(|| {
        black_box(merge(black_box(sides), &rules, &limits));
    })
}

fn median_us(mut work: impl FnMut()) -> f64 {
    let mut once = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    let mut times: Vec<Duration> = (0..REPEATS).map(&mut once).collect();
    times.sort_unstable();
    times[REPEATS / 2].as_secs_f64() * 1e6
}

/// Returns the document as a reader makes it, sharing nothing.
fn apart(document: &Json) -> Json {
    let text = document.to_text();
    Json::parse(text.as_bytes(), &Default::default()).expect("a text of ours reads back")
}

/// A context of some keyed steps of 150 bytes each, a few texts and lists.
pub fn notebook(steps: usize) -> Json {
    let step = |n: usize| {
        let title = format!("Look at part {n} of the work and write down what it does");
        let members = [
            ("id", Json::from(format!("step-{n}"))),
            ("title", Json::from(title)),
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

/// Edits steps of the document in place; side 1 edits others than side 0.
fn edited(base: &Json, size: &Size, side: usize) -> Json {
    let mut document = base.clone();
    let items = document
        .as_object_mut()
        .and_then(|document| document.get_mut("steps"))
        .and_then(Json::as_array_mut);
    let items = items.expect("a notebook has steps");
    for edit in 0..size.edits {
        let step = (edit * 2 + side) * size.steps / (2 * size.edits + 1);
        let step = items[step].as_object_mut().expect("a step has members");
        step.insert("status", Json::from(format!("done by {side}")));
    }
    document
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn documents_have_their_size_and_merge_cleanly() {
        for (size, bytes) in SIZES.iter().zip([1_024, 8_192, 65_536]) {
            let base = notebook(size.steps);
            let length = base.to_text().len();
            assert!(
                length.abs_diff(bytes) < bytes / 10,
                "{length} is not {bytes}"
            );
            let [ours, theirs] = [0, 1].map(|side| edited(&base, size, side));
            let sides = Sides {
                base: Some(&base),
                ours: Some(&ours),
                theirs: Some(&theirs),
                earlier: Side::Theirs,
            };
            let merged = merge(sides, &MergeRules::default(), &MergeLimits::default());
            assert!(merged.is_clean());
            // Each edit is one operation, on either side.
            let all = diff(&base, merged.value.as_ref().unwrap());
            assert_eq!(all.0.len(), 2 * size.edits);
        }
    }
}
