//! The laws of the merge, as functions that tests, the fuzzer and the mutants share.
//!
//! Each takes a [`Case`] and says what is broken. They are stated without the merge's own parts,
//! so that a fault there cannot hide itself.

mod arrays;
mod decided;
mod declared;
mod texts;

use crate::{Decision, MergeLimits, MergeRules, Merged, Rule, Side, Sides, merge};
use syncline_model::json::Json;

/// What a law is tried on.
#[derive(Clone, Debug)]
pub struct Case {
    /// What both sides started from.
    pub base: Option<Json>,
    /// The proposal.
    pub ours: Option<Json>,
    /// The head.
    pub theirs: Option<Json>,
    /// Which side is earlier.
    pub earlier: Side,
}

/// A law by its name.
#[derive(Clone, Copy)]
pub struct Law {
    /// What must hold, in a few words.
    pub name: &'static str,
    /// Says what is broken.
    pub check: fn(&Case) -> Result<(), String>,
}

/// All laws.
pub const LAWS: &[Law] = &[
    law("an unchanged side yields", unchanged_yields),
    law("equal sides agree", equal_sides_agree),
    law("merging again changes nothing", idempotence),
    law("names of sides do not matter", names_do_not_matter),
    law("sharing does not matter", sharing_does_not_matter),
    law("edits of different members never clash", different_members),
    law(
        "a number that did not change keeps the head's text",
        text_of_numbers,
    ),
    law("nothing is invented", decided::nothing_invented),
    law(
        "each discarded edit is in a decision",
        decided::discarded_edits,
    ),
    law("each agreement is in a decision", decided::agreements),
    law(
        "a clash shows the earlier side, or the edit",
        decided::clash_shows,
    ),
    law("a decision quotes the sides", decided::quotes),
    law("keyed paths read back and lead there", decided::keyed_paths),
    law("settling puts the choice in place", decided::settling),
    law("no item is lost or doubled", arrays::counts),
    law("what both added is there once", arrays::once),
    law("each key is there once, unless deleted", arrays::keys),
    law("items keep their order", arrays::order),
    law(
        "what the earlier side added comes first",
        arrays::earlier_first,
    ),
    law("sorted stays sorted", arrays::sorted),
    law("edits at different places are all there", arrays::places),
    law(
        "replacements of different items are both there",
        arrays::replacements,
    ),
    law("two replacements of one item clash", arrays::overlaps),
    law("what passes a bound clashes whole", arrays::bounds),
    law("edits of different lines are both kept", texts::lines),
    law("edits of different words are both kept", texts::words),
    law("a counter adds both deltas", declared::counter),
    law("a set is what sets are", declared::set),
    law("appended tails stand in order", declared::append),
    law("declared keys match items", declared::keyed),
    law("the extreme wins", declared::extremes),
    law("first and last go by the log", declared::first_and_last),
    law("atomic values are never combined", declared::atomic),
    law("declared text is merged by words", declared::text),
    law("the most exact pattern counts", declared::patterns),
];

const fn law(name: &'static str, check: fn(&Case) -> Result<(), String>) -> Law {
    Law { name, check }
}

/// Tries all laws.
pub fn check_all(case: &Case) -> Result<(), String> {
    LAWS.iter().try_for_each(|law| {
        (law.check)(case).map_err(|broken| format!("{}: {broken}\n{case:#?}", law.name))
    })
}

impl Case {
    /// Merges without declared rules.
    fn merged(&self) -> Merged {
        self.merged_by(&MergeRules::default())
    }

    fn merged_by(&self, rules: &MergeRules) -> Merged {
        merge(self.sides(), rules, &MergeLimits::default())
    }

    fn sides(&self) -> Sides<'_> {
        Sides {
            base: self.base.as_ref(),
            ours: self.ours.as_ref(),
            theirs: self.theirs.as_ref(),
            earlier: self.earlier,
        }
    }

    fn earlier_and_later(&self) -> [&Option<Json>; 2] {
        match self.earlier {
            Side::Ours => [&self.ours, &self.theirs],
            Side::Theirs => [&self.theirs, &self.ours],
        }
    }

    /// The three as objects, if they are.
    fn of(base: Json, earlier: Json, later: Json) -> Case {
        Case {
            base: Some(base),
            ours: Some(later),
            theirs: Some(earlier),
            earlier: Side::Theirs,
        }
    }
}

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

fn unchanged_yields(case: &Case) -> Result<(), String> {
    for side in [&case.ours, &case.theirs] {
        for earlier in [Side::Ours, Side::Theirs] {
            let same = case.base.clone();
            let pairs = [(side.clone(), same.clone()), (same, side.clone())];
            for (ours, theirs) in pairs {
                let merged = Case {
                    base: case.base.clone(),
                    ours,
                    theirs,
                    earlier,
                }
                .merged();
                ensure(merged.value == *side, || format!("{:?}", merged.value))?;
                ensure(merged.decisions.is_empty(), || {
                    format!("{:?}", merged.decisions)
                })?;
            }
        }
    }
    Ok(())
}

fn equal_sides_agree(case: &Case) -> Result<(), String> {
    let same = Case {
        theirs: case.ours.clone(),
        ..case.clone()
    };
    let merged = same.merged();
    ensure(merged.value == case.ours, || format!("{:?}", merged.value))?;
    ensure(merged.is_clean(), || format!("{:?}", merged.decisions))
}

/// What was merged holds both edits, so neither side has anything to add to it.
fn idempotence(case: &Case) -> Result<(), String> {
    let merged = case.merged();
    let again = case.merged();
    ensure(merged == again, || "not the same twice".to_owned())?;
    if !merged.is_clean() {
        return Ok(());
    }
    let same = Case {
        ours: merged.value.clone(),
        theirs: merged.value.clone(),
        ..case.clone()
    };
    let again = same.merged();
    ensure(again.value == merged.value && again.is_clean(), || {
        format!("{:?}", again.value)
    })?;
    let woven = |decision: &Decision| matches!(decision.rule, Rule::Lines | Rule::Words);
    let sides = [&case.base, &case.ours, &case.theirs];
    if merged.decisions.iter().any(woven) || sides.into_iter().flatten().any(has_array) {
        return Ok(());
    }
    for side in [&case.ours, &case.theirs] {
        merging_in_again(case, &merged, side)?;
    }
    Ok(())
}

/// A side that was merged in already has nothing to add, whichever it is and whichever is earlier.
///
/// Lines and items are left out: beside others they are not always known again.
fn merging_in_again(case: &Case, merged: &Merged, side: &Option<Json>) -> Result<(), String> {
    for earlier in [Side::Ours, Side::Theirs] {
        let again = Case {
            base: case.base.clone(),
            ours: merged.value.clone(),
            theirs: side.clone(),
            earlier,
        };
        let again = again.merged();
        ensure(again.value == merged.value && again.is_clean(), || {
            format!("{side:?} makes {:?} of {:?}", again.value, merged.value)
        })?;
    }
    Ok(())
}

fn has_array(value: &Json) -> bool {
    match value {
        Json::Array(_) => true,
        Json::Object(object) => object.iter().any(|(_, value)| has_array(value)),
        _ => false,
    }
}

fn names_do_not_matter(case: &Case) -> Result<(), String> {
    let swapped = Case {
        base: case.base.clone(),
        ours: case.theirs.clone(),
        theirs: case.ours.clone(),
        earlier: match case.earlier {
            Side::Ours => Side::Theirs,
            Side::Theirs => Side::Ours,
        },
    };
    let (merged, other) = (case.merged(), swapped.merged());
    ensure(text_of(&merged.value) == text_of(&other.value), || {
        format!("{:?} or {:?}", merged.value, other.value)
    })?;
    let swapped_back = other.decisions.into_iter().map(|mut decision| {
        use crate::Action::{Both, Clash, Ours, Theirs};
        std::mem::swap(&mut decision.ours, &mut decision.theirs);
        decision.action = match decision.action {
            Ours => Theirs,
            Theirs => Ours,
            same @ (Both | Clash) => same,
        };
        decision
    });
    ensure(swapped_back.eq(merged.decisions), || {
        "other decisions".to_owned()
    })
}

fn text_of(value: &Option<Json>) -> Option<String> {
    value.as_ref().map(Json::to_text)
}

/// Documents that share nothing merge as those that share what is equal.
fn sharing_does_not_matter(case: &Case) -> Result<(), String> {
    let apart = |side: &Option<Json>| side.as_ref().map(copied);
    let copy = Case {
        base: apart(&case.base),
        ours: apart(&case.ours),
        theirs: apart(&case.theirs),
        earlier: case.earlier,
    };
    let (merged, other) = (case.merged(), copy.merged());
    ensure(text_of(&merged.value) == text_of(&other.value), || {
        format!("{:?} or {:?}", merged.value, other.value)
    })?;
    ensure(merged.decisions == other.decisions, || {
        "other decisions".to_owned()
    })
}

/// A copy that shares no container.
fn copied(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(copied).collect(),
        Json::Object(object) => {
            let members = object
                .entries()
                .map(|(key, value)| (key.clone(), copied(value)));
            Json::from(members.collect::<syncline_model::json::Object>())
        }
        scalar => scalar.clone(),
    }
}

/// Both sides' documents side by side, under a member each: nothing can clash, and nothing is
/// lost. A member that both add is an object, and grows from an empty one.
fn different_members(case: &Case) -> Result<(), String> {
    let [Some(earlier), Some(later)] = case.earlier_and_later() else {
        return Ok(());
    };
    let object = |members: &[(&str, &Json)]| -> Json {
        let members = members.iter().map(|(key, value)| (*key, (*value).clone()));
        Json::from(members.collect::<syncline_model::json::Object>())
    };
    let base = case.base.clone().unwrap_or_default();
    let inner = |members: &[(&str, &Json)]| {
        object(&[("new", &object(members)), ("x", &base), ("y", &base)])
    };
    let sides = Case::of(
        object(&[("x", &base), ("y", &base)]),
        inner(&[("a", earlier)]).replaced("x", earlier),
        inner(&[("b", later)]).replaced("y", later),
    );
    let merged = sides.merged();
    let expected = inner(&[("a", earlier), ("b", later)])
        .replaced("x", earlier)
        .replaced("y", later);
    ensure(merged.is_clean(), || format!("{:?}", merged.decisions))?;
    ensure(merged.value.as_ref() == Some(&expected), || {
        format!("{:?}", merged.value)
    })
}

trait Replaced {
    fn replaced(self, key: &str, value: &Json) -> Json;
}

impl Replaced for Json {
    fn replaced(mut self, key: &str, value: &Json) -> Json {
        if let Some(object) = self.as_object_mut() {
            object.insert(key, value.clone());
        }
        self
    }
}

fn text_of_numbers(_: &Case) -> Result<(), String> {
    let doc =
        |text: &str| Json::parse(text.as_bytes(), &Default::default()).map_err(|e| e.to_string());
    let case = Case::of(
        doc(r#"{"a":1,"b":1,"c":{"d":1e0},"e":2}"#)?,
        doc(r#"{"a":1.0,"b":1,"c":{"d":1},"e":3.0}"#)?,
        doc(r#"{"a":1,"b":10e-1,"c":{"d":1.00},"e":3,"f":1}"#)?,
    );
    let value = text_of(&case.merged().value);
    let expected = r#"{"a":1.0,"b":1,"c":{"d":1},"e":3.0,"f":1}"#;
    ensure(value.as_deref() == Some(expected), || format!("{value:?}"))
}
