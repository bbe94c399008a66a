//! How long the pure work on documents takes: the three-way merge and the diff, of parsed
//! documents in memory, in this process.

use std::hint::black_box;
use std::time::{Duration, Instant};

use syncline_merge::{MergeLimits, MergeRules, Side, Sides, diff, merge};
use syncline_model::json::{Json, Object};

use super::peers::{Peer, Peers};
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
    /// How many members each side changes.
    edits: usize,
}

/// The sizes that are measured.
const SIZES: [Size; 3] = [
    size("1k", 10.0, 7, 1),
    size("8k", 80.0, 55, 10),
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

/// Measures all sizes that are wanted by their rows' names, beside the peers if that is asked for.
pub fn rows(wants: impl Fn(&str) -> bool, beside: bool) -> Result<Vec<SizeRow>> {
    let mut rows = Vec::new();
    let mut built = None;
    for size in &SIZES {
        let names = ["merge", "merge-diff"].map(|work| format!("{work}-{}", size.name));
        if !names.iter().any(|name| wants(name)) {
            continue;
        }
        rows.extend(own_rows(size, names));
        if beside {
            let peers = match &built {
                Some(peers) => peers,
                None => built.insert(Peers::build()?),
            };
            rows.extend(peer_rows(size, peers)?);
        }
    }
    Ok(rows)
}

fn own_rows(size: &Size, names: [String; 2]) -> Vec<SizeRow> {
    let times = times(size);
    let apart = format!(
        "{} bytes, {} + {} edits, parsed apart",
        times.bytes, size.edits, size.edits
    );
    let shared = format!(
        "{apart}; {:.1} µs where sides share what they left alone",
        times.shared_merge_us
    );
    let one_side = format!("{} bytes, {} edits, parsed apart", times.bytes, size.edits);
    let measured = [(times.merge_us, shared), (times.diff_us, one_side)];
    let row = |(name, (value, note))| {
        let text = format!("below {} µs", size.us_max);
        let aims = vec![AimRow::below(text, value, size.us_max)];
        row(name, value, note, aims)
    };
    names.into_iter().zip(measured).map(row).collect()
}

/// What the peers do with the same documents and edits.
fn peer_rows(size: &Size, peers: &Peers) -> Result<Vec<SizeRow>> {
    let base = notebook(size.steps);
    let [ours, theirs] = [0, 1].map(|side| edited(&base, size, side));
    let medians = peers.medians([&base, &ours, &theirs])?;
    let row = |(peer, value): (&'static Peer, f64)| {
        let name = format!("merge-{} {}", size.name, peer.name);
        row(name, value, peer.does.to_owned(), Vec::new())
    };
    Ok(medians.into_iter().map(row).collect())
}

fn row(name: String, value: f64, note: String, aims: Vec<AimRow>) -> SizeRow {
    SizeRow {
        name,
        value,
        unit: "µs",
        note,
        aims,
    }
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
