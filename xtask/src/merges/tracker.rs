//! Whether a merge of two trackers lost what a side wrote.

use super::row::Row;
use syncline_merge::Merged;
use syncline_model::json::{Json, Pointer};

/// How many entries a side added or edited, that neither side deleted, and that the merge has
/// neither with the edit nor in a decision.
pub fn lost(row: &Row, merged: &Merged) -> usize {
    let sides = [(&row.ours, &row.theirs), (&row.theirs, &row.ours)];
    let lost = sides.iter().map(|(side, other)| {
        let entries = side
            .as_object()
            .into_iter()
            .flat_map(|entries| entries.iter());
        entries
            .filter(|(id, entry)| {
                let base = row.base.get(id);
                let is_deleted = base.is_some() && other.get(id).is_none();
                base != Some(entry) && !is_deleted && is_lost(id, entry, base, merged)
            })
            .count()
    });
    lost.sum()
}

fn is_lost(id: &str, entry: &Json, base: Option<&Json>, merged: &Merged) -> bool {
    let place = Pointer::root().child(id);
    let result = merged.value.as_ref().and_then(|value| value.get(id));
    let (Some(result), Some(members)) = (result, entry.as_object()) else {
        return !is_decided(&place, merged);
    };
    // An entry that is there must have each member that the side set, or say what beat it.
    members.iter().any(|(name, value)| {
        let is_edit = base.and_then(|base| base.get(name)) != Some(value);
        let is_there = result.get(name) == Some(value);
        is_edit && !is_there && !is_decided(&place.child(name), merged)
    })
}

fn is_decided(place: &Pointer, merged: &Merged) -> bool {
    let covers = |path: &Pointer| path.starts_with(place) || place.starts_with(path);
    merged
        .decisions
        .iter()
        .any(|decision| covers(&decision.path))
}
