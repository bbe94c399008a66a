//! Each declared policy's own law, on values drawn from the case.

use super::arrays::check_each_key;
use super::{Case, ensure};
use crate::{Action, MergePolicy, MergeRules, Merged, Rule};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use syncline_model::json::{Json, Number, Object};

/// Numbers that look random and are the same for the same case.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn of(case: &Case) -> Dice {
        let mut hasher = DefaultHasher::new();
        (&case.base, &case.ours, &case.theirs).hash(&mut hasher);
        Dice(hasher.finish() | 1)
    }

    pub(super) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap_or(0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Merges three values of a member `a` for which `policy` is declared.
fn merged_member(policy: MergePolicy, sides: [Option<Json>; 3]) -> Result<Merged, String> {
    let mut rules = MergeRules::default();
    rules
        .declare("/a", policy)
        .map_err(|error| error.to_string())?;
    let read = MergeRules::from_json(&rules.to_json()).map_err(|error| error.to_string())?;
    ensure(read == rules, || "rules do not read back".to_owned())?;
    let [base, earlier, later] = sides.map(|side| {
        let member = side.map(|value| ("a", value));
        Json::from(member.into_iter().collect::<Object>())
    });
    Ok(Case::of(base, earlier, later).merged_by(&read))
}

fn member(merged: &Merged) -> Option<&Json> {
    merged.value.as_ref()?.get("a")
}

fn expect(merged: &Merged, expected: Option<&Json>) -> Result<(), String> {
    ensure(member(merged) == expected, || {
        format!("{:?}, not {expected:?}", member(merged))
    })
}

pub(super) fn counter(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    // Hundredths, large enough that a float would round them.
    let mut cents =
        || i128::from(dice.below(1 << 31)) * 10_i128.pow(15) + i128::from(dice.below(1000));
    let (base, one, two) = (cents(), cents(), cents());
    let number = |cents: i128| {
        let text = format!("{}.{:02}", cents / 100, cents % 100);
        Number::parse(&text).map(Json::from)
    };
    for (base, earlier, later) in [
        (base, base + one, base + two),
        (base, base + one, base + one),
        (0, one, two),
    ] {
        let old = if base == 0 { None } else { number(base) };
        let merged = merged_member(MergePolicy::Counter, [old, number(earlier), number(later)])?;
        expect(&merged, number(earlier + later - base).as_ref())?;
        ensure(merged.is_clean(), || "it clashes".to_owned())?;
    }
    let far = ["1e-9000", "1e9000", "2"].map(|text| Number::parse(text).map(Json::from));
    let merged = merged_member(MergePolicy::Counter, far)?;
    ensure(!merged.is_clean(), || {
        "what cannot be written down is added".to_owned()
    })
}

fn letters(dice: &mut Dice) -> BTreeSet<u8> {
    (b'a'..=b'h').filter(|_| dice.below(2) == 0).collect()
}

fn list(letters: impl IntoIterator<Item = u8>) -> Json {
    letters
        .into_iter()
        .map(|letter| Json::from(char::from(letter).to_string()))
        .collect()
}

fn texts(value: Option<&Json>) -> Option<Vec<&str>> {
    value?.as_array()?.iter().map(Json::as_str).collect()
}

pub(super) fn set(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let (base, earlier, later) = (letters(&mut dice), letters(&mut dice), letters(&mut dice));
    let expected: BTreeSet<u8> = (b'a'..=b'h')
        .filter(|letter| {
            let sides = [&earlier, &later].map(|side| side.contains(letter));
            match base.contains(letter) {
                true => sides == [true, true],
                false => sides.contains(&true),
            }
        })
        .collect();
    let expected: BTreeSet<String> = expected
        .into_iter()
        .map(|letter| char::from(letter).to_string())
        .collect();
    // The later side keeps its letters in another order: a set has none.
    let sides = [list(base), list(earlier), list(later.into_iter().rev())].map(Some);
    let [base, earlier, later] = sides.clone();
    for sides in [sides, [base, later, earlier]] {
        let merged = merged_member(MergePolicy::Set, sides)?;
        let found = texts(member(&merged)).unwrap_or_default();
        let once: BTreeSet<String> = found.iter().map(|&text| text.to_owned()).collect();
        ensure(once.len() == found.len() && once == expected, || {
            format!("{found:?}, not {expected:?}")
        })?;
        ensure(merged.is_clean(), || "it clashes".to_owned())?;
    }
    Ok(())
}

pub(super) fn append(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let (base, one, two) = (letters(&mut dice), letters(&mut dice), letters(&mut dice));
    let joined =
        |parts: &[&BTreeSet<u8>]| -> Vec<u8> { parts.iter().copied().flatten().copied().collect() };
    for (one, two) in [(&one, &two), (&one, &one)] {
        if one.is_empty() || two.is_empty() {
            continue;
        }
        let sides = [
            joined(&[&base]),
            joined(&[&base, one]),
            joined(&[&base, two]),
        ];
        let all = joined(&[&base, one, two]);
        let merged = merged_member(
            MergePolicy::Append,
            sides.clone().map(|side| Some(list(side))),
        )?;
        expect(&merged, Some(&list(all.clone())))?;
        let text = |letters: Vec<u8>| String::from_utf8(letters).ok().map(Json::from);
        let merged = merged_member(MergePolicy::Append, sides.map(text))?;
        expect(&merged, text(all).as_ref())?;
    }
    Ok(())
}

pub(super) fn keyed(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let items = |dice: &mut Dice| -> Json {
        let letters = letters(dice);
        let item = |letter: u8| {
            let members = [
                ("k", Json::from(u32::from(letter))),
                ("v", Json::from(u32::from(letter % 2))),
            ];
            let mut item: Object = members.into_iter().collect();
            if dice.below(3) == 0 {
                item.insert("v", Json::from("edited"));
            }
            Json::from(item)
        };
        letters.into_iter().map(item).collect()
    };
    let sides = [items(&mut dice), items(&mut dice), items(&mut dice)];
    let merged = merged_member(MergePolicy::Keyed("k".into()), sides.clone().map(Some))?;
    let [base, earlier, later] = sides
        .each_ref()
        .map(|side| side.as_array().unwrap_or_default());
    let value = member(&merged).and_then(Json::as_array).unwrap_or_default();
    check_each_key([base, earlier, later, value], "k")
}

pub(super) fn extremes(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let mut number = || u32::try_from(dice.below(3)).unwrap_or(0) + 9;
    let sides = [number(), number(), number()];
    let [base, earlier, later] = sides;
    // An unchanged side yields, whatever it is.
    let expected = |wins: u32| match (earlier == base, later == base) {
        (true, _) => later,
        (_, true) => earlier,
        _ => wins,
    };
    for (policy, wins) in [
        (MergePolicy::Max, earlier.max(later)),
        (MergePolicy::Min, earlier.min(later)),
    ] {
        let merged = merged_member(policy.clone(), sides.map(|side| Some(Json::from(side))))?;
        expect(&merged, Some(&Json::from(expected(wins))))?;
        // 9, 10 and 11 as texts that sort alike.
        let text = |number: u32| Json::from(format!("{number:03}"));
        let merged = merged_member(policy, sides.map(|side| Some(text(side))))?;
        expect(&merged, Some(&text(expected(wins))))?;
    }
    Ok(())
}

pub(super) fn first_and_last(_: &Case) -> Result<(), String> {
    let [base, one, two] = [Some(Json::from(0)), Some(Json::from(1)), None];
    for (earlier, later) in [
        (one.clone(), two.clone()),
        (two, one.clone()),
        (one, Some(Json::from(2))),
    ] {
        for (policy, rule) in [
            (MergePolicy::First, Rule::First),
            (MergePolicy::Last, Rule::Last),
        ] {
            let (winner, action) = match policy {
                MergePolicy::First => (&earlier, Action::Theirs),
                _ => (&later, Action::Ours),
            };
            let merged = merged_member(
                policy.clone(),
                [base.clone(), earlier.clone(), later.clone()],
            )?;
            expect(&merged, winner.as_ref())?;
            let said = merged
                .decisions
                .iter()
                .map(|decision| (decision.action, decision.rule));
            ensure(said.eq([(action, rule)]), || {
                format!("{:?}", merged.decisions)
            })?;
        }
    }
    Ok(())
}

pub(super) fn atomic(case: &Case) -> Result<(), String> {
    let [earlier, later] = case.earlier_and_later().map(Clone::clone);
    let merged = merged_member(
        MergePolicy::Atomic,
        [case.base.clone(), earlier.clone(), later.clone()],
    )?;
    let whole = [&earlier, &later]
        .iter()
        .any(|side| member(&merged) == side.as_ref());
    ensure(whole, || format!("{:?}", member(&merged)))?;
    let is_contested = earlier != later && earlier != case.base && later != case.base;
    ensure(merged.is_clean() != is_contested, || {
        format!("{:?}", merged.decisions)
    })
}

pub(super) fn text(case: &Case) -> Result<(), String> {
    let mut dice = Dice::of(case);
    let words = ["one", "two", "three", "four", "five", "six", "seven"];
    let changed = |at: usize| {
        let mut words = words;
        words[at] = "other";
        words
    };
    let (a, b) = (dice.index(7), dice.index(7));
    let text = |words: [&str; 7]| Some(Json::from(words.join(" ")));
    let mut later = changed(b);
    later[b] = "another";
    let merged = merged_member(
        MergePolicy::Text,
        [text(words), text(changed(a)), text(later)],
    )?;
    // Words that touch were changed together.
    ensure(merged.is_clean() == (a.abs_diff(b) > 1), || {
        format!("{a} and {b}: {:?}", merged.value)
    })?;
    let mut expected = changed(a);
    expected[b] = "another";
    let shown = if merged.is_clean() {
        expected
    } else {
        changed(a)
    };
    expect(&merged, text(shown).as_ref())
}

pub(super) fn patterns(_: &Case) -> Result<(), String> {
    let mut rules = MergeRules::default();
    for (pattern, policy) in [
        ("/*/b", MergePolicy::First),
        ("/a/*", MergePolicy::Last),
        ("/c/*", MergePolicy::Last),
        ("/c/b", MergePolicy::First),
        ("/list/*/n", MergePolicy::Last),
    ] {
        rules
            .declare(pattern, policy)
            .map_err(|error| error.to_string())?;
    }
    let doc = |n: u32| {
        let b = Json::from(Object::from_iter([
            ("b", Json::from(n)),
            ("n", Json::from(n)),
        ]));
        let item = Object::from_iter([("id", Json::from("i")), ("n", Json::from(n))]);
        let list = Json::from(vec![Json::from(item)]);
        Json::from(Object::from_iter([
            ("a", b.clone()),
            ("c", b),
            ("list", list),
        ]))
    };
    let merged = Case::of(doc(0), doc(1), doc(2)).merged_by(&rules);
    let rule_at = |path: &str| {
        let at = |decision: &&crate::Decision| decision.path.to_string() == path;
        merged
            .decisions
            .iter()
            .find(at)
            .map(|decision| decision.rule)
    };
    for (path, rule) in [
        ("/a/b", Rule::Last),
        ("/a/n", Rule::Last),
        ("/c/b", Rule::First),
        ("/c/n", Rule::Last),
        ("/list/0/n", Rule::Last),
    ] {
        ensure(rule_at(path) == Some(rule), || {
            format!("{path}: {:?}", rule_at(path))
        })?;
    }
    Ok(())
}
