//! Laws about decisions: what they must hold, and where they lead.

use super::{Case, ensure};
use crate::{Action, Choice, Decision, KeyedPath, KeyedStep, Merged, Rule, Side};
use std::collections::HashSet;
use syncline_model::json::{Json, Pointer};

/// Every scalar of the merged value stands at the same members of one side, or was combined.
pub(super) fn nothing_invented(case: &Case) -> Result<(), String> {
    let merged = case.merged();
    let mut known = HashSet::new();
    for side in [&case.ours, &case.theirs].into_iter().flatten() {
        for_each_leaf(side, &mut Pointer::root(), &mut |_, shape, leaf| {
            known.insert((shape, leaf.clone()));
        });
    }
    let mut broken = Ok(());
    if let Some(value) = &merged.value {
        for_each_leaf(value, &mut Pointer::root(), &mut |path, shape, leaf| {
            let is_text = |decision: &Decision| {
                matches!(decision.rule, Rule::Lines | Rule::Words) && decision.path == *path
            };
            match merged.decisions.iter().find(|decision| is_text(decision)) {
                Some(decision) if has_words_of(leaf, decision) => {}
                None if known.contains(&(shape.clone(), leaf.clone())) => {}
                _ => broken = Err(format!("{leaf:?} at {path}")),
            }
        });
    }
    broken
}

/// Calls `each` with the place, the members on the way, and the value of each leaf.
fn for_each_leaf(
    value: &Json,
    path: &mut Pointer,
    each: &mut impl FnMut(&Pointer, Vec<String>, &Json),
) {
    match value {
        Json::Object(object) if !object.is_empty() => {
            for (key, value) in object.iter() {
                path.push(key);
                for_each_leaf(value, path, each);
                path.pop();
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                for_each_leaf(item, path, each);
                path.pop();
            }
        }
        leaf => {
            let shape = path
                .tokens()
                .iter()
                .filter(|token| Pointer::array_index(token).is_none());
            let shape = shape.map(|token| token.to_string()).collect();
            // What is empty may have been emptied by both.
            let is_empty = matches!(leaf, Json::Object(_) | Json::Array(_));
            if !is_empty {
                each(path, shape, leaf);
            }
        }
    }
}

fn has_words_of(text: &Json, decision: &Decision) -> bool {
    let words = |value: &Option<Json>| -> Vec<String> {
        let text = value.as_ref().and_then(Json::as_str).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let known: HashSet<String> = [words(&decision.ours), words(&decision.theirs)]
        .concat()
        .into_iter()
        .collect();
    words(&Some(text.clone()))
        .iter()
        .all(|word| known.contains(word))
}

/// Whatever a side changed is in the value, or in a decision there or above.
pub(super) fn discarded_edits(case: &Case) -> Result<(), String> {
    let merged = case.merged();
    for side in [&case.ours, &case.theirs] {
        kept(
            case.base.as_ref(),
            side.as_ref(),
            merged.value.as_ref(),
            &merged,
            &mut Place::default(),
        )?;
    }
    Ok(())
}

/// A place as people know it: items by what names them.
#[derive(Default)]
pub(super) struct Place(Vec<String>);

impl Place {
    fn below<T>(&mut self, step: String, walk: impl FnOnce(&mut Place) -> T) -> T {
        self.0.push(step);
        let result = walk(self);
        self.0.pop();
        result
    }

    fn is_decided(&self, merged: &Merged) -> bool {
        let here = self.0.concat();
        merged.decisions.iter().any(|decision| {
            let there = decision.keyed.to_string();
            let below = here.strip_prefix(&there);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']))
        })
    }
}

fn kept(
    base: Option<&Json>,
    side: Option<&Json>,
    value: Option<&Json>,
    merged: &Merged,
    place: &mut Place,
) -> Result<(), String> {
    if side == base || side == value || place.is_decided(merged) {
        return Ok(());
    }
    let (Some(side), Some(value)) = (side, value) else {
        return Err(format!("an edit at {} is nowhere", place.0.concat()));
    };
    match (side, value) {
        (Json::Object(own), Json::Object(there)) => {
            let old = base.and_then(Json::as_object);
            let keys: HashSet<&str> = own
                .keys()
                .chain(old.into_iter().flat_map(|old| old.keys()))
                .collect();
            keys.into_iter().try_for_each(|key| {
                let (base, side) = (base.and_then(|base| base.get(key)), own.get(key));
                let step = KeyedPath::from_members([key]).to_string();
                place.below(step, |place| {
                    kept(base, side, there.get(key), merged, place)
                })
            })
        }
        // What becomes of items is the matter of other laws.
        (Json::Array(_), Json::Array(_)) => Ok(()),
        _ => Err(format!("an edit at {} is nowhere", place.0.concat())),
    }
}

/// Where both sides made one edit, a decision says so.
pub(super) fn agreements(case: &Case) -> Result<(), String> {
    let same = Case {
        theirs: case.ours.clone(),
        ..case.clone()
    };
    let merged = same.merged();
    let is_changed = case.ours != case.base;
    ensure(merged.decisions.is_empty() != is_changed, || {
        format!("{:?}", merged.decisions)
    })
}

pub(super) fn clash_shows(case: &Case) -> Result<(), String> {
    let merged = case.merged();
    for clash in merged.clashes() {
        let (earlier, later) = match case.earlier {
            Side::Ours => (&clash.ours, &clash.theirs),
            Side::Theirs => (&clash.theirs, &clash.ours),
        };
        let shown = earlier.as_ref().or(later.as_ref());
        let there = merged
            .value
            .as_ref()
            .and_then(|value| value.pointer(&clash.path));
        ensure(shown.is_some() && there == shown, || {
            format!("{} shows {there:?}", clash.path)
        })?;
        let is_two_edits = clash.ours != clash.base && clash.theirs != clash.base;
        ensure(is_two_edits && clash.ours != clash.theirs, || {
            format!("{clash:?} is none")
        })?;
    }
    Ok(())
}

/// What a decision says of base and sides is found there.
pub(super) fn quotes(case: &Case) -> Result<(), String> {
    for decision in &case.merged().decisions {
        let sides = [
            (&case.base, &decision.base),
            (&case.ours, &decision.ours),
            (&case.theirs, &decision.theirs),
        ];
        for (doc, quoted) in sides {
            let found = doc.as_ref().and_then(|doc| at(doc, &decision.keyed));
            ensure(
                has_index(&decision.keyed) || found == quoted.as_ref(),
                || format!("{} is {found:?}, not {quoted:?}", decision.keyed),
            )?;
        }
    }
    Ok(())
}

/// What is at a place whose steps lead through objects and keyed arrays alone.
fn at<'d>(doc: &'d Json, path: &KeyedPath) -> Option<&'d Json> {
    path.steps().iter().try_fold(doc, |here, step| match step {
        KeyedStep::Member(key) => here.get(key),
        KeyedStep::Keyed(member, value) => {
            let is_it = |item: &&Json| item.get(member) == Some(value);
            here.as_array()?.iter().find(is_it)
        }
        KeyedStep::Index(_) => None,
    })
}

fn has_index(path: &KeyedPath) -> bool {
    path.steps()
        .iter()
        .any(|step| matches!(step, KeyedStep::Index(_)))
}

pub(super) fn keyed_paths(case: &Case) -> Result<(), String> {
    let merged = case.merged();
    for decision in &merged.decisions {
        let text = decision.keyed.to_string();
        let read = KeyedPath::parse(&text).map_err(|error| format!("{text}: {error}"))?;
        ensure(read.to_string() == text, || {
            format!("{text} reads as {read}")
        })?;
        let Some(value) = &merged.value else { continue };
        if value.pointer(&decision.path).is_none() {
            continue;
        }
        let found = read.resolve(value);
        ensure(found.as_ref() == Some(&decision.path), || {
            format!("{text} leads to {found:?}")
        })?;
        let is_clash = decision.action == Action::Clash;
        ensure(!is_clash || !has_index(&decision.keyed), || {
            format!("{text} is by index")
        })?;
    }
    Ok(())
}

pub(super) fn settling(case: &Case) -> Result<(), String> {
    let merged = case.merged();
    let clashes: Vec<&Decision> = merged.clashes().collect();
    let left = merged.settle(&vec![Choice::Leave; clashes.len()]);
    ensure(left.as_ref() == Ok(&merged.value), || {
        "leaving changes".to_owned()
    })?;
    let mark = Json::from("settled");
    for choice in [
        Choice::Ours,
        Choice::Theirs,
        Choice::Value(Some(mark.clone())),
    ] {
        let settled = merged
            .settle(&vec![choice.clone(); clashes.len()])
            .map_err(|error| error.to_string())?;
        for clash in &clashes {
            let chosen = match &choice {
                Choice::Ours => clash.ours.as_ref(),
                Choice::Theirs => clash.theirs.as_ref(),
                _ => Some(&mark),
            };
            // A chosen value may hold another key than its place.
            let Some(doc) = &settled else { continue };
            let Some(path) = clash.keyed.resolve(doc) else {
                continue;
            };
            ensure(
                chosen.is_none_or(|chosen| doc.pointer(&path) == Some(chosen)),
                || {
                    format!(
                        "{} holds {:?}, not {chosen:?}",
                        clash.keyed,
                        doc.pointer(&path)
                    )
                },
            )?;
            ensure(chosen.is_some(), || {
                format!("{} is still there", clash.keyed)
            })?;
        }
    }
    Ok(())
}
