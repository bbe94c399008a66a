//! Three documents that grew apart, as agents' notebooks do.

use crate::arbitrary::{document, edited, edits};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use syncline_merge::Side;
use syncline_merge::laws::Case;
use syncline_model::json::{Json, Object};

/// Any case: notebooks mostly, and anything at all.
pub fn case() -> impl Strategy<Value = Case> {
    prop_oneof![4 => notebooks(), 2 => anything(), 1 => unrelated()]
}

/// A document, and two later versions of it.
fn anything() -> impl Strategy<Value = Case> {
    let side = || vec((any::<u32>(), edits()), 0..6);
    (document(), side(), side(), side_name()).prop_map(|(base, ours, theirs, earlier)| {
        let after = |edits: Vec<_>| {
            let edit = |doc, (place, edit)| edited(doc, place, edit);
            Some(edits.into_iter().fold(base.clone(), edit))
        };
        let (ours, theirs) = (after(ours), after(theirs));
        Case {
            base: Some(base),
            ours,
            theirs,
            earlier,
        }
    })
}

fn unrelated() -> impl Strategy<Value = Case> {
    let doc = || proptest::option::weighted(0.8, document());
    (doc(), doc(), doc(), side_name()).prop_map(|(base, ours, theirs, earlier)| Case {
        base,
        ours,
        theirs,
        earlier,
    })
}

fn side_name() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Ours), Just(Side::Theirs)]
}

/// Three notebooks drawn from the same few values, so that they differ in places and meet in
/// others.
fn notebooks() -> impl Strategy<Value = Case> {
    let whole = (notebook(), notebook(), notebook(), side_name());
    let member_of = |n: usize, sides: [&Object; 3], key: &str| sides[n].get(key).cloned();
    (whole, vec((0..6u8, 0..6u8), 12)).prop_map(move |((a, b, c, earlier), picks)| {
        // Each member of a side is often the base's, so that edits stand alone too.
        let side = |own: usize, pick: &dyn Fn(&(u8, u8)) -> u8| {
            let mut object = Object::new();
            let keys: std::collections::BTreeSet<&str> =
                a.keys().chain(b.keys()).chain(c.keys()).collect();
            for (key, picks) in keys.into_iter().zip(picks.iter().cycle()) {
                let from = match pick(picks) {
                    0..=3 => own,
                    _ => 0,
                };
                if let Some(value) = member_of(from, [&a, &b, &c], key) {
                    object.insert(key, value);
                }
            }
            Some(Json::from(object))
        };
        let (ours, theirs) = (side(1, &|picks| picks.0), side(2, &|picks| picks.1));
        Case {
            base: Some(Json::from(a)),
            ours,
            theirs,
            earlier,
        }
    })
}

fn notebook() -> impl Strategy<Value = Object> {
    let members = (
        (scalar(), scalar(), nested()),
        (steps(), tags(), sorted(), repeated()),
        (unnamed(), texts(), matrix()),
    );
    members.prop_map(
        |((status, title, meta), (steps, tags, sorted, log), (notes, text, matrix))| {
            let members = [
                ("status", status),
                ("ti[t]le", title),
                ("meta", Some(meta)),
                ("steps", steps),
                ("tags", tags),
                ("sorted", sorted),
                ("log", log),
                ("notes", notes),
                ("text", text),
                ("matrix", matrix),
            ];
            let there = members
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)));
            there.collect()
        },
    )
}

fn scalar() -> impl Strategy<Value = Option<Json>> {
    let values = [
        Json::from("open"),
        Json::from("done"),
        Json::from(1),
        Json::Null,
    ];
    proptest::option::weighted(0.9, select(values.to_vec()))
}

fn nested() -> impl Strategy<Value = Json> {
    vec(("[a-c]", "[ab]", scalar()), 0..5).prop_map(|members| {
        let mut meta = Object::new();
        for (outer, inner, value) in members {
            let mut below = meta
                .get(&outer)
                .and_then(Json::as_object)
                .cloned()
                .unwrap_or_default();
            if let Some(value) = value {
                below.insert(inner, value);
            }
            meta.insert(outer, Json::from(below));
        }
        Json::from(meta)
    })
}

/// An array most often; else nothing, or another type.
fn list(items: impl Strategy<Value = Vec<Json>> + 'static) -> impl Strategy<Value = Option<Json>> {
    let items = items.prop_map(|items| Some(Json::from(items)));
    prop_oneof![15 => items, 1 => Just(None), 1 => Just(Some(Json::from("none")))]
}

fn steps() -> impl Strategy<Value = Option<Json>> {
    let ids = vec!["s1", "s2", "s3", "s4", "s 5", "6"];
    let ids =
        subsequence(ids, 0..=6).prop_flat_map(|ids| (Just(ids).prop_shuffle(), any::<bool>()));
    let details = vec((scalar(), scalar(), tags()), 6);
    list(
        (ids, details, any::<bool>()).prop_map(|((ids, in_order), details, _)| {
            let mut ids = ids;
            if in_order {
                ids.sort_unstable();
            }
            type Details = (Option<Json>, Option<Json>, Option<Json>);
            let step = |(id, (status, owner, tags)): (&str, Details)| {
                let members = [
                    ("id", Some(Json::from(id))),
                    ("status", status),
                    ("owner", owner),
                    ("tags", tags),
                ];
                let there = members
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value?)));
                Json::from(there.collect::<Object>())
            };
            ids.into_iter().zip(details).map(step).collect()
        }),
    )
}

fn tags() -> impl Strategy<Value = Option<Json>> {
    let tags: Vec<Json> = ["q", "b", "x", "d", "z", "f", "c"].map(Json::from).to_vec();
    let some = subsequence(tags, 0..=7);
    let shuffled = some.clone().prop_shuffle();
    list(prop_oneof![3 => some, 1 => shuffled])
}

fn sorted() -> impl Strategy<Value = Option<Json>> {
    list(subsequence(
        (0..9).map(Json::from).collect::<Vec<_>>(),
        2..=9,
    ))
}

fn repeated() -> impl Strategy<Value = Option<Json>> {
    list(vec((0..3u32).prop_map(Json::from), 0..7))
}

/// Items that nothing names; some are edits of others.
fn unnamed() -> impl Strategy<Value = Option<Json>> {
    let item = (0..4u32, 0..2u32, 0..2u32).prop_map(|(what, a, b)| {
        let members = [
            ("what", Json::from(what)),
            ("much", Json::from(what)),
            ("a", Json::from(a)),
            ("b", Json::from(b)),
        ];
        Json::from(members.into_iter().collect::<Object>())
    });
    list(vec(item, 0..5))
}

fn texts() -> impl Strategy<Value = Option<Json>> {
    let line = select(vec![
        "one two three four",
        "one six three four",
        "one two three nine",
        "other",
        "more",
    ]);
    let text = vec(line, 0..6).prop_map(|lines| Json::from(lines.join("\n")));
    proptest::option::weighted(0.9, text)
}

fn matrix() -> impl Strategy<Value = Option<Json>> {
    let row = vec((0..3u32).prop_map(Json::from), 0..4).prop_map(Json::from);
    list(vec(row, 0..4))
}
