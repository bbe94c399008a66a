//! Laws about arrays: nothing is lost, nothing is doubled, order is kept.

use super::declared::Dice;
use super::{Case, ensure};
use crate::{Action, MergeLimits, MergeRules, Merged, Rule, merge};
use std::collections::{HashMap, HashSet};
use syncline_model::json::{Json, Pointer};

/// An array that all sides and the merged value have at one place, where nothing clashes.
struct Arrays<'a> {
    base: &'a [Json],
    earlier: &'a [Json],
    later: &'a [Json],
    value: &'a [Json],
}

fn for_each(
    case: &Case,
    mut check: impl FnMut(&Arrays<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let merged = case.merged();
    let [earlier, later] = case.earlier_and_later();
    let mut docs = vec![(
        Pointer::root(),
        [&case.base, earlier, later, &merged.value].map(Option::as_ref),
    )];
    while let Some((path, sides)) = docs.pop() {
        let clashes = |decision: &crate::Decision| path.starts_with(&decision.path);
        if merged.clashes().any(clashes) {
            continue;
        }
        if let [Some(base), Some(earlier), Some(later), Some(value)] =
            sides.map(|side| side.and_then(Json::as_array))
        {
            let arrays = Arrays {
                base,
                earlier,
                later,
                value,
            };
            check(&arrays).map_err(|broken| format!("{path}: {broken}"))?;
        }
        if let Some(object) = sides[3].and_then(Json::as_object) {
            docs.extend(
                object
                    .keys()
                    .map(|key| (path.child(key), sides.map(|side| side?.get(key)))),
            );
        }
    }
    Ok(())
}

/// A scalar is there as often as the sides' additions and removals say.
pub(super) fn counts(case: &Case) -> Result<(), String> {
    for_each(case, |arrays| {
        let sides = [arrays.base, arrays.earlier, arrays.later, arrays.value].map(scalar_counts);
        let all: HashSet<&Json> = sides.iter().flat_map(|side| side.keys().copied()).collect();
        all.into_iter().try_for_each(|scalar| {
            let [base, earlier, later, value] = sides
                .each_ref()
                .map(|side| side.get(scalar).copied().unwrap_or(0));
            let (a, b) = (earlier - base, later - base);
            let (least, most) = match (a.signum(), b.signum()) {
                // What both added or removed may be the same.
                (1, 1) => (base + a.max(b), base + a + b),
                (-1, -1) => ((base + a + b).max(0), base + a.min(b)),
                _ => (base + a + b, base + a + b),
            };
            ensure((least..=most).contains(&value), || {
                format!("{scalar:?} is there {value} times, not {least} to {most}")
            })
        })
    })
}

fn scalar_counts(items: &[Json]) -> HashMap<&Json, i64> {
    let mut counts = HashMap::new();
    let scalars = items
        .iter()
        .filter(|item| !matches!(item, Json::Object(_) | Json::Array(_)));
    scalars.for_each(|scalar| *counts.entry(scalar).or_insert(0) += 1);
    counts
}

pub(super) fn keys(case: &Case) -> Result<(), String> {
    for_each(case, |arrays| {
        let names = ["id", "key", "name", "slug", "uuid"];
        let sides = [arrays.base, arrays.earlier, arrays.later];
        let fits = |name: &&str| sides.iter().all(|side| by_key(side, name).is_some());
        let fitting: Vec<&str> = names.into_iter().filter(fits).collect();
        match fitting[..] {
            [name] if !sides.iter().all(|side| side.is_empty()) => check_keys(arrays, name),
            _ => Ok(()),
        }
    })
}

pub(super) fn check_each_key(sides: [&[Json]; 4], name: &str) -> Result<(), String> {
    let [base, earlier, later, value] = sides;
    let arrays = Arrays {
        base,
        earlier,
        later,
        value,
    };
    check_keys(&arrays, name)
}

fn check_keys(arrays: &Arrays<'_>, name: &str) -> Result<(), String> {
    let sides = [arrays.base, arrays.earlier, arrays.later, arrays.value];
    let [Some(base), Some(earlier), Some(later), Some(value)] =
        sides.map(|side| by_key(side, name))
    else {
        return Err("a key is doubled or missing".to_owned());
    };
    let all: HashSet<&Json> = [&base, &earlier, &later, &value]
        .into_iter()
        .flat_map(|side| side.keys().copied())
        .collect();
    all.into_iter().try_for_each(|key| {
        let expected = match (base.get(key), earlier.get(key), later.get(key)) {
            (_, Some(_), Some(_)) => true,
            (_, None, None) => false,
            (old, Some(new), None) | (old, None, Some(new)) => old != Some(new),
        };
        ensure(value.contains_key(key) == expected, || {
            format!("{name} {key:?}: {}", !expected)
        })
    })
}

fn by_key<'a>(items: &'a [Json], name: &str) -> Option<HashMap<&'a Json, &'a Json>> {
    let mut found = HashMap::new();
    for item in items {
        let key = item.get(name)?;
        let is_name = matches!(key, Json::String(_) | Json::Number(_));
        if !is_name || found.insert(key, item).is_some() {
            return None;
        }
    }
    Some(found)
}

/// Lists whose items are scalars, each once on each side.
fn for_each_list(
    case: &Case,
    mut check: impl FnMut(&Arrays<'_>) -> Result<(), String>,
) -> Result<(), String> {
    for_each(case, |arrays| {
        let is_list = |items: &&[Json]| {
            let mut seen = HashSet::new();
            let is_new = |item: &Json| {
                !matches!(item, Json::Object(_) | Json::Array(_)) && seen.insert(item.clone())
            };
            items.iter().all(is_new)
        };
        match [arrays.base, arrays.earlier, arrays.later]
            .iter()
            .all(is_list)
        {
            true => check(arrays),
            false => Ok(()),
        }
    })
}

/// Items of `side` that are in `other`, in the order of `side`.
fn shared<'a>(side: &'a [Json], other: &[Json]) -> Vec<&'a Json> {
    side.iter().filter(|item| other.contains(item)).collect()
}

fn adds_the_same(arrays: &Arrays<'_>) -> bool {
    let is_added = |item: &&Json| !arrays.base.contains(item) && arrays.later.contains(item);
    arrays.earlier.iter().any(|item| is_added(&item))
}

/// A side's order stands, as far as the other side moved nothing.
pub(super) fn order(case: &Case) -> Result<(), String> {
    for_each_list(case, |arrays| {
        let moves_nothing = |side: &[Json]| shared(arrays.base, side) == shared(side, arrays.base);
        // What stands there twice, as two replacements may, keeps its order somewhere.
        let keeps = |side: &[Json]| {
            let mut rest = arrays.value.iter();
            let mut kept = shared(side, arrays.value).into_iter();
            kept.all(|item| rest.any(|other| other == item))
        };
        let earlier = !moves_nothing(arrays.later) || keeps(arrays.earlier);
        ensure(earlier, || {
            format!("the earlier order is lost: {:?}", arrays.value)
        })?;
        let is_free = moves_nothing(arrays.earlier) && !adds_the_same(arrays);
        ensure(!is_free || keeps(arrays.later), || {
            format!("the later order is lost: {:?}", arrays.value)
        })
    })
}

/// What both sides added is there once, unless both put it in the place of something.
pub(super) fn once(case: &Case) -> Result<(), String> {
    for_each_list(case, |arrays| {
        let only_adds = |side: &[Json]| arrays.base.iter().all(|item| side.contains(item));
        if !only_adds(arrays.earlier) && !only_adds(arrays.later) {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let twice = arrays.value.iter().find(|item| !seen.insert(*item));
        ensure(twice.is_none(), || format!("{twice:?} is there twice"))
    })
}

/// Two sides that only add: between two old items stand the earlier side's new ones, then the
/// later side's.
pub(super) fn earlier_first(case: &Case) -> Result<(), String> {
    for_each_list(case, |arrays| {
        let only_adds =
            |side: &[Json]| shared(side, arrays.base) == arrays.base.iter().collect::<Vec<_>>();
        let sides = [arrays.base, arrays.earlier, arrays.later];
        let may_be_sorted = sides.iter().all(|side| side.len() > 2);
        let adds_only = only_adds(arrays.earlier) && only_adds(arrays.later);
        if !adds_only || adds_the_same(arrays) || (may_be_sorted && is_sorted_somehow(arrays.base))
        {
            return Ok(());
        }
        let [earlier, later] = [arrays.earlier, arrays.later].map(|side| gaps(side, arrays.base));
        let mut expected = Vec::new();
        for (at, (earlier, later)) in earlier.into_iter().zip(later).enumerate() {
            expected.extend(earlier);
            expected.extend(later);
            expected.extend(arrays.base.get(at));
        }
        let value: Vec<&Json> = arrays.value.iter().collect();
        ensure(value == expected, || format!("{value:?}, not {expected:?}"))
    })
}

fn is_sorted_somehow(items: &[Json]) -> bool {
    let texts: Vec<String> = items
        .iter()
        .map(|item| item.to_text().to_lowercase())
        .collect();
    let all_numbers = items.iter().all(|item| matches!(item, Json::Number(_)));
    all_numbers || texts.is_sorted() || texts.is_sorted_by(|a, b| a >= b)
}

/// What stands before each item of the base, and behind the last.
fn gaps<'a>(side: &'a [Json], base: &[Json]) -> Vec<Vec<&'a Json>> {
    let mut gaps = vec![Vec::new()];
    for item in side {
        match base.contains(item) {
            true => gaps.push(Vec::new()),
            false => gaps.last_mut().into_iter().for_each(|gap| gap.push(item)),
        }
    }
    gaps
}

pub(super) fn sorted(case: &Case) -> Result<(), String> {
    let is_sorted = |items: &[Json]| {
        let numbers: Option<Vec<_>> = items.iter().map(Json::as_number).collect();
        numbers.is_some_and(|numbers| numbers.is_sorted())
    };
    let is_rising =
        |items: &[Json]| is_sorted(items) && items.windows(2).all(|pair| pair[0] != pair[1]);
    for_each(case, |arrays| {
        let sides = [arrays.base, arrays.earlier, arrays.later];
        let all = arrays.base.len() > 2 && sides.iter().all(|side| is_rising(side));
        ensure(!all || is_sorted(arrays.value), || {
            format!("{:?}", arrays.value)
        })
    })
}

/// Two sides that replace one item of a list: other items are both replaced, the same one clashes.
pub(super) fn overlaps(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let items = ["q", "b", "x", "d", "z"];
    let (a, b) = (dice.index(items.len()), dice.index(items.len()));
    let list = |changes: &[(usize, &str)]| -> Json {
        let mut items = items.map(str::to_owned);
        (changes.iter()).for_each(|(at, item)| items[*at] = (*item).to_owned());
        items.into_iter().map(Json::from).collect()
    };
    let (earlier, later) = ((a, "earlier"), (b, "later"));
    let merged = Case::of(list(&[]), list(&[earlier]), list(&[later])).merged();
    let rules: Vec<Rule> = merged.clashes().map(|clash| clash.rule).collect();
    let expected = match a == b {
        true => (list(&[earlier]), vec![Rule::Overlap]),
        false => (list(&[earlier, later]), vec![]),
    };
    ensure(
        (merged.value.as_ref(), &rules) == (Some(&expected.0), &expected.1),
        || format!("{a} and {b}: {:?}", merged.value),
    )
}

/// Two sides that replace different items of a list: both are replaced, be it by the same, or by
/// what is there already.
pub(super) fn replacements(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let values = ["open", "done", "stuck"].map(Json::from);
    let count = 2 + dice.index(5);
    let base: Vec<Json> = (0..count).map(|_| values[dice.index(3)].clone()).collect();
    let replaced = |side: &[Json], at: usize, step: usize| {
        let mut side = side.to_vec();
        let before = values.iter().position(|value| *value == side[at]);
        side[at] = values[(before.unwrap_or(0) + step) % 3].clone();
        side
    };
    let earlier_at = dice.index(count);
    let later_at = (earlier_at + 1 + dice.index(count - 1)) % count;
    let (one, other) = (1 + dice.index(2), 1 + dice.index(2));
    let earlier = replaced(&base, earlier_at, one);
    let later = replaced(&base, later_at, other);
    let expected = Json::from(replaced(&earlier, later_at, other));
    let sides = [&base, &earlier, &later].map(|side| Json::from(side.clone()).to_text());
    let merged = Case::of(base.into(), earlier.into(), later.into()).merged();
    ensure(
        merged.is_clean() && merged.value.as_ref() == Some(&expected),
        || format!("{sides:?}: {:?}, not {expected:?}", merged.value),
    )
}

/// What one side does at a place of a list.
#[derive(Clone, Copy, PartialEq)]
enum Edit {
    Nothing,
    Replace,
    Delete,
    InsertBefore,
}

/// Two sides that edit different places of a list: all edits are there, in their places.
pub(super) fn places(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let items = ["q", "b", "x", "d", "z", "a", "m"];
    let kinds = [
        Edit::Nothing,
        Edit::Replace,
        Edit::Delete,
        Edit::InsertBefore,
    ];
    let mut edits: Vec<(bool, Edit)> = items
        .map(|_| (dice.index(2) == 0, kinds[dice.index(4)]))
        .into();
    let mut is_replaced = false;
    for (is_earlier, edit) in &mut edits {
        // Both stand behind the item that is gone, where the earlier side is first.
        if is_replaced && *is_earlier && *edit == Edit::InsertBefore {
            *edit = Edit::Nothing;
        }
        is_replaced = match edit {
            Edit::Replace => !*is_earlier,
            Edit::Delete => is_replaced && !*is_earlier,
            Edit::Nothing | Edit::InsertBefore => false,
        };
    }
    let list = |sides: &[bool]| -> Json {
        let mut list = Vec::new();
        for (at, &(side, edit)) in edits.iter().enumerate() {
            let is_here = sides.contains(&side);
            let edit = if is_here { edit } else { Edit::Nothing };
            if matches!(edit, Edit::Replace | Edit::InsertBefore) {
                list.push(Json::from(format!("{side} {at}")));
            }
            if matches!(edit, Edit::Nothing | Edit::InsertBefore) {
                list.push(Json::from(items[at]));
            }
        }
        Json::from(list)
    };
    let merged = Case::of(list(&[]), list(&[true]), list(&[false])).merged();
    let expected = list(&[true, false]);
    ensure(merged.is_clean(), || format!("{:?}", merged.decisions))?;
    ensure(merged.value.as_ref() == Some(&expected), || {
        format!("{:?}, not {expected:?}", merged.value)
    })
}

/// Under tight limits, what is large is one side's whole, and says why.
pub(super) fn bounds(case: &Case) -> Result<(), String> {
    let limits = MergeLimits {
        items_max: 2,
        text_bytes_max: 12,
        depth_max: 2,
        array_levels_max: 1,
    };
    let merged = merge(case.sides(), &MergeRules::default(), &limits);
    let [earlier, later] = case.earlier_and_later();
    let mut docs = vec![(
        Pointer::root(),
        [&case.base, earlier, later].map(Option::as_ref),
    )];
    while let Some((path, sides)) = docs.pop() {
        let [base, earlier, later] = sides;
        if base == earlier || base == later || earlier == later {
            continue;
        }
        let is_over = match sides {
            [
                Some(Json::Array(a)),
                Some(Json::Array(b)),
                Some(Json::Array(c)),
            ] => [a, b, c].iter().any(|side| side.len() > 2),
            [
                Some(Json::String(a)),
                Some(Json::String(b)),
                Some(Json::String(c)),
            ] => [a, b, c].iter().any(|text| text.len() > 12) && a.contains('\n'),
            [
                Some(Json::Object(_)),
                Some(Json::Object(_)),
                Some(Json::Object(_)),
            ] => path.tokens().len() >= 2,
            _ => false,
        };
        if is_over {
            ensure(is_bound(&merged, &path, earlier), || {
                format!("{path} is over the bound")
            })?;
        } else if let [
            Some(base),
            Some(Json::Object(earlier)),
            Some(Json::Object(_)),
        ] = sides
            && base.as_object().is_some()
        {
            docs.extend(
                earlier
                    .keys()
                    .map(|key| (path.child(key), sides.map(|side| side?.get(key)))),
            );
        }
    }
    Ok(())
}

fn is_bound(merged: &Merged, path: &Pointer, earlier: Option<&Json>) -> bool {
    let shown = merged.value.as_ref().and_then(|value| value.pointer(path));
    let said = merged.decisions.iter().any(|decision| {
        decision.path == *path && decision.rule == Rule::Bound && decision.action == Action::Clash
    });
    said && shown == earlier
}
