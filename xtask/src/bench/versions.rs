//! What a version of a large document costs, and how long it takes to read one: 64 KB, two members
//! changed a version, 2,000 versions, in this process, as the engine stores them.
//!
//! The distance between whole documents is chosen by this: the curve is in the notes.

use syncline_model::json::Json;

use super::merge::notebook;
use super::report::{AimRow, SizeRow};
use crate::histories::stored::History;
use crate::run::Result;

const VERSIONS: usize = 2_000;
const STEPS: usize = 437;
const BYTES_MAX: f64 = 200.0;
const READ_MS_MAX: f64 = 2.0;
/// The distances of the curve, beside the engine's own.
const DISTANCES: [u64; 6] = [16, 32, 64, 128, 256, 512];

/// The figures for one distance.
struct Figures {
    bytes: f64,
    median_ms: f64,
    longest_ms: f64,
}

/// Measures the engine's distance, and the curve around it.
pub fn rows() -> Result<Vec<SizeRow>> {
    let own = figures(History::default())?;
    let mut curve = Vec::new();
    for distance in DISTANCES {
        let at = figures(History::with_distance(distance))?;
        curve.push(format!(
            "{distance}: {:.0} bytes, {:.2} ms, longest {:.2}",
            at.bytes, at.median_ms, at.longest_ms
        ));
    }
    let curve = curve.join("; ");
    let aim =
        |what: &str, value, max| vec![AimRow::below(format!("below {max} {what}"), value, max)];
    Ok(vec![
        SizeRow {
            name: "versions-bytes".to_owned(),
            value: own.bytes,
            unit: "bytes",
            note: format!("of documents a version; a whole one every {curve}"),
            aims: aim("bytes", own.bytes, BYTES_MAX),
        },
        SizeRow {
            name: "versions-read".to_owned(),
            value: own.longest_ms,
            unit: "ms",
            note: format!(
                "to rebuild one and check it, the longest; median {:.2}",
                own.median_ms
            ),
            aims: aim("ms", own.longest_ms, READ_MS_MAX),
        },
    ])
}

fn figures(mut history: History) -> Result<Figures> {
    let mut document = notebook(STEPS);
    for version in 0..VERSIONS {
        edit(&mut document, version);
        history.push(document.clone());
    }
    let times = history.rebuild()?;
    let ms = |at: usize| times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    Ok(Figures {
        bytes: history.sizes().documents() as f64 / VERSIONS as f64,
        median_ms: ms(times.len() / 2),
        longest_ms: ms(times.len().saturating_sub(1)),
    })
}

/// Changes two members, those of two steps.
fn edit(document: &mut Json, version: usize) {
    let steps = document
        .as_object_mut()
        .and_then(|document| document.get_mut("steps"));
    let steps = steps
        .and_then(Json::as_array_mut)
        .expect("a notebook has steps");
    for (name, at) in [("status", version * 7), ("owner", version * 11 + 3)] {
        let step = steps[at % STEPS]
            .as_object_mut()
            .expect("a step has members");
        step.insert(name, Json::from(format!("{name} at {version}")));
    }
}
