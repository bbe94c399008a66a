//! The three sides of a write that was refused, as a person reads them: the places that clash.

use syncline_api::{Problem, Sides};
use syncline_merge::{Decision, MergeLimits, MergeRules, Side, merge};
use syncline_model::json::Json;

use crate::clean;

/// Bounds the places that are shown.
const PLACES_MAX: usize = 10;
/// Bounds how much is shown of each side.
const SIDE_CHARS_MAX: usize = 60;

/// Returns the lines that show where a refused write clashes; none where no sides are told.
pub fn lines(problem: &Problem) -> Vec<String> {
    let Some(sides) = &problem.sides else {
        return Vec::new();
    };
    let clashes = clashes(sides);
    let mut lines: Vec<_> = clashes.iter().take(PLACES_MAX).flat_map(place).collect();
    if clashes.len() > PLACES_MAX {
        lines.push(format!("  and {} more places", clashes.len() - PLACES_MAX));
    }
    lines
}

fn clashes(sides: &Sides) -> Vec<Decision> {
    let [base, ours, theirs] = [&sides.base, &sides.ours, &sides.theirs].map(document);
    let (Some(base), Some(ours), Some(theirs)) = (base, ours, theirs) else {
        return Vec::new();
    };
    let sides = syncline_merge::Sides {
        base: Some(&base),
        ours: Some(&ours),
        theirs: Some(&theirs),
        earlier: Side::Theirs,
    };
    let merged = merge(sides, &MergeRules::default(), &MergeLimits::default());
    merged.clashes().cloned().collect()
}

/// Returns a side without what stands beside its document.
fn document(side: &Option<Json>) -> Option<Json> {
    let mut document = side.as_ref()?.as_object()?.clone();
    for beside in ["version", "etag"] {
        document.remove(beside);
    }
    Some(Json::Object(document))
}

fn place(clash: &Decision) -> Vec<String> {
    let sides = [
        ("base", &clash.base),
        ("theirs", &clash.theirs),
        ("ours", &clash.ours),
    ];
    let head = format!("  × {}", clean::shorten(&clash.keyed.to_string(), 100));
    let side = |(name, value): (&str, &Option<Json>)| {
        let value = value
            .as_ref()
            .map_or_else(|| "nothing".to_owned(), Json::to_text);
        format!("    {name:<7} {}", clean::shorten(&value, SIDE_CHARS_MAX))
    };
    std::iter::once(head).chain(sides.map(side)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use syncline_api::Code;

    #[test]
    fn each_clash_is_shown_with_its_sides() {
        let parse = |text: &str| Json::parse(text.as_bytes(), &Default::default()).ok();
        let mut problem = Problem::new(Code::StaleBase, "it moved");
        assert!(lines(&problem).is_empty());
        problem.sides = Some(Box::new(Sides {
            base: parse(r#"{"data":{"a":1,"s":"open"},"version":1}"#),
            ours: parse(r#"{"data":{"a":2,"s":"stuck"}}"#),
            theirs: parse(r#"{"data":{"a":1,"b":3},"version":2,"etag":"x"}"#),
        }));
        let shown = [
            "  × /data/s",
            "    base    \"open\"",
            "    theirs  nothing",
            "    ours    \"stuck\"",
        ];
        assert_eq!(lines(&problem), shown);
    }
}
