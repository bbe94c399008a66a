//! What would mend a failure, where that is obvious: nothing that loses what somebody wrote.

use syncline_merge::Op;
use syncline_model::json::{Json, Number, Object, Pointer};

use crate::node::{Listed, Node, Nodes, Rule, Types};
use crate::report::Correction;
use crate::shown::shown;

/// Names longer than this are not compared: a comparison takes the product of both lengths.
const NAME_BYTES_MAX: usize = 32;

/// So many names are looked at for one failure.
const NAMES_MAX: usize = 100;

/// A value of a wrong type, case or spelling.
pub(crate) fn of_value(rule: &Rule, value: &Json, place: &Pointer) -> Option<Correction> {
    let better = match rule {
        Rule::Type(types) => of_type(*types, value)?,
        Rule::Enum(listed) | Rule::Const(listed) => of_case(listed, value)?,
        _ => return None,
    };
    let path = place.clone();
    Some(Correction::Patch(Op::Replace {
        path,
        value: better,
    }))
}

/// A number or boolean that was given as text, or the other way round.
fn of_type(types: Types, value: &Json) -> Option<Json> {
    let better = match value {
        Json::String(text) => match text.trim() {
            "true" => Json::from(true),
            "false" => Json::from(false),
            number => Json::from(Number::parse(number)?),
        },
        Json::Number(number) => Json::from(number.text().into_owned()),
        Json::Bool(value) => Json::from(value.to_string()),
        _ => return None,
    };
    types.fits(&better).then_some(better)
}

/// The one value that differs in case or surrounding space only.
fn of_case(listed: &Listed, value: &Json) -> Option<Json> {
    let text = value.as_str()?.trim();
    if text.len() > NAME_BYTES_MAX {
        return None;
    }
    let folded = text.to_lowercase();
    // The same word in another case may be somewhat longer, never three times as long.
    let same = |known: &&Json| {
        let known = known
            .as_str()
            .filter(|known| known.len() <= 3 * NAME_BYTES_MAX);
        known.is_some_and(|known| known.to_lowercase() == folded)
    };
    let mut fitting = listed.values.iter().filter(same);
    let only = fitting.next()?;
    fitting.next().is_none().then(|| only.clone())
}

/// A member that is needed: its default, or the member that looks like it.
pub(crate) fn missing_member(
    nodes: &Nodes,
    node: &Node,
    object: &Object,
    place: &Pointer,
    name: &str,
) -> Option<Correction> {
    let members = node.members()?;
    let path = place.child(name);
    let unknown = object
        .keys()
        .take(NAMES_MAX)
        .filter(|key| !members.named.contains_key(*key));
    if let Some(from) = most_similar(name, unknown) {
        let from = place.child(from);
        return Some(Correction::Patch(Op::Move { from, path }));
    }
    let value = nodes.get(*members.named.get(name)?).default.clone()?;
    Some(Correction::Patch(Op::Add { path, value }))
}

/// A member that nobody knows, at `place`: the known one that looks like it.
pub(crate) fn unknown_member(
    node: &Node,
    object: &Object,
    place: &Pointer,
    name: &str,
) -> Option<Correction> {
    let named = &node.members()?.named;
    let known = most_similar(name, named.keys().map(|known| &**known))?;
    if object.contains_key(known) {
        return Some(Correction::Hint(format!(
            "is {} meant, which is there too?",
            shown(known)
        )));
    }
    let path = place.parent()?.child(known);
    let from = place.clone();
    Some(Correction::Patch(Op::Move { from, path }))
}

/// The candidate that differs least, if at most a third of it differs; the first by name of two
/// that differ as much.
fn most_similar<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let short = candidates.filter(|candidate| candidate.len() <= NAME_BYTES_MAX);
    short
        .take(NAMES_MAX)
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= candidate.len() / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many bytes must be inserted, removed, replaced or swapped with their neighbour; case counts
/// for nothing.
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
