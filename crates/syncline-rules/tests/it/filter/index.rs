//! The index against a plain scan: it may find too much, and never too little.

use proptest::prelude::*;
use syncline_api::{Filter, Filters, Scope, ScopeTerm};
use syncline_model::change::{Change, ChangeType, Place};
use syncline_model::document::{Document, Level};
use syncline_model::ids::{Address, Name, PrincipalId};
use syncline_model::json::Pointer;
use syncline_model::proposal::{Actor, Priority};
use syncline_rules::{Facts, Index, Matcher, Verdict, judge};

use super::{address, branch, change, document, place};
use crate::json;

/// A subscription.
#[derive(Clone, Debug)]
struct Sub {
    scope: Scope,
    inherited: Vec<Vec<Address>>,
    filters: Filters,
}

const ADDRESSES: [&str; 7] = [
    "task/a",
    "task/b",
    "note/c",
    "branch/login",
    "project/web",
    "project/app",
    "global/main",
];

fn addresses() -> impl Strategy<Value = Address> {
    prop::sample::select(ADDRESSES.to_vec()).prop_map(address)
}

fn places() -> impl Strategy<Value = Place> {
    let lines = prop::sample::select(vec![
        vec![],
        vec!["global/main"],
        vec!["project/web", "global/main"],
        vec!["branch/login", "project/web", "global/main"],
        vec!["project/app", "global/main"],
    ]);
    let labels = prop::sample::select(vec![
        "{}",
        r#"{"area":"auth"}"#,
        r#"{"area":"auth","team":"x"}"#,
        r#"{"area":"ui","team":"x"}"#,
    ]);
    let levels = prop::sample::select(vec![Level::Public, Level::Private]);
    (lines, labels, levels).prop_map(|(line, labels, level)| place(&line, labels, level))
}

fn changes() -> impl Strategy<Value = Change> {
    let kinds = prop::sample::select(vec![
        ChangeType::Create,
        ChangeType::Update,
        ChangeType::Delete,
        ChangeType::Restore,
    ]);
    let agents = prop::option::of(prop::sample::select(vec!["claude", "codex"]));
    let changed = prop::sample::select(vec![
        "/data/status",
        "/data/steps/1/owner",
        "/data/steps",
        "/data",
        "/title",
        "",
    ]);
    let befores = prop::option::of(places());
    (
        (addresses(), places(), befores, kinds, agents),
        (changed, 1..5_u64, any::<bool>(), any::<bool>()),
    )
        .prop_map(|((context, place, before, kind, agent), rest)| {
            let (changed, priority, on_branch, ana) = rest;
            let actor = match ana {
                true => PrincipalId::parse("person/ana").unwrap(),
                false => PrincipalId::owner(),
            };
            Change {
                context,
                kind,
                before: before.filter(|before| *before != place),
                place,
                actor: Actor {
                    agent: agent.map(|agent| Name::parse(agent).unwrap()),
                    ..Actor::from_principal(actor)
                },
                changed: vec![Pointer::from_static(changed)],
                priority: Priority::new(priority).unwrap(),
                branch: on_branch.then(|| branch("try-b")),
                ..change()
            }
        })
}

fn terms() -> impl Strategy<Value = ScopeTerm> {
    let labels = prop::sample::select(vec![
        vec![("area", "auth")],
        vec![("area", "auth"), ("team", "x")],
        vec![("team", "y")],
    ]);
    prop_oneof![
        1 => Just(ScopeTerm::Workspace),
        2 => addresses().prop_map(ScopeTerm::Context),
        2 => addresses().prop_map(ScopeTerm::Subtree),
        1 => addresses().prop_map(ScopeTerm::Inherited),
        2 => labels.prop_map(|labels| {
            let owned = labels.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
            ScopeTerm::Label(owned.collect())
        }),
    ]
}

fn leaves() -> impl Strategy<Value = Filter> {
    prop::sample::select(vec![
        r#"{"exact":{"kind":"task"}}"#,
        r#"{"exact":{"context":"task/a"}}"#,
        r#"{"exact":{"agent":"claude"}}"#,
        r#"{"exact":{"actor":"person/ana","type":"update"}}"#,
        r#"{"exact":{"labels.area":"auth"}}"#,
        r#"{"exact":{"parent":"project/web"}}"#,
        r#"{"exact":{"project":"project/app"}}"#,
        r#"{"exact":{"level":"public"}}"#,
        r#"{"exact":{"branch":"try-b"}}"#,
        r#"{"exact":{"state":"active"}}"#,
        r#"{"in":{"kind":["note","project"]}}"#,
        r#"{"in":{"labels.team":["x","y"]}}"#,
        r#"{"prefix":{"context":"task/"}}"#,
        r#"{"exists":{"agent":false}}"#,
        r#"{"changed":"/data/*"}"#,
        r#"{"changed":"/data/status"}"#,
        r#"{"changed":"/data/steps/*/owner"}"#,
        r#"{"changed":"/*/status"}"#,
        r#"{"min_priority":2}"#,
        "{}",
    ])
    .prop_map(|text| super::filters(text).0.remove(0))
}

fn trees() -> impl Strategy<Value = Filter> {
    leaves().prop_recursive(3, 12, 3, |inner| {
        let some = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            some.clone().prop_map(Filter::All),
            some.prop_map(Filter::Any),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

fn subs() -> impl Strategy<Value = Sub> {
    let lines = prop::collection::vec(addresses(), 0..3);
    let scopes = prop_oneof![
        1 => Just(vec![ScopeTerm::Workspace]),
        2 => prop::collection::vec(terms(), 1..3),
    ];
    let filters = prop::collection::vec(trees(), 0..3);
    (scopes, lines, filters).prop_map(|(scope, line, filters)| {
        let of_inherited = |term: &&ScopeTerm| matches!(term, ScopeTerm::Inherited(_));
        let inherited = scope.iter().filter(of_inherited).count();
        Sub {
            scope: Scope(scope),
            inherited: vec![line; inherited],
            filters: Filters(filters),
        }
    })
}

/// Says whether a subscriber must hear of a change, asking it alone.
fn wants(sub: &Sub, matcher: &Matcher, change: &Change, document: &Document) -> bool {
    match judge(&sub.scope, &sub.inherited, change) {
        Verdict::Outside => false,
        // Who is in or out now is told whatever the filter says.
        Verdict::Enters | Verdict::Leaves => true,
        Verdict::Inside => matcher.matches(&Facts::with_document(change, Some(document))),
    }
}

fn index_of(subs: &[Sub]) -> (Index<usize>, Vec<Matcher>) {
    let mut index = Index::new();
    let mut matchers = Vec::new();
    for (key, sub) in subs.iter().enumerate() {
        let matcher = Matcher::compile(&sub.filters, None).unwrap();
        index.insert(key, &sub.scope, &sub.inherited, &matcher);
        matchers.push(matcher);
    }
    (index, matchers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn p5_the_index_finds_all_that_a_scan_finds(
        subs in prop::collection::vec(subs(), 1..12),
        changes in prop::collection::vec(changes(), 1..6),
        gone in prop::collection::vec(any::<bool>(), 12),
    ) {
        let (mut index, matchers) = index_of(&subs);
        let document = document();
        for round in 0..2 {
            for change in &changes {
                let mut found = Vec::new();
                index.find(change, &mut found);
                let mut once = found.clone();
                once.dedup();
                prop_assert_eq!(&once, &found, "each once");
                for (key, sub) in subs.iter().enumerate() {
                    let there = round == 0 || !gone[key];
                    let wanted = there && wants(sub, &matchers[key], change, &document);
                    prop_assert!(!wanted || found.contains(&key), "{:?} misses {:?}", sub, change);
                    prop_assert!(there || !found.contains(&key), "it was taken out");
                }
            }
            for key in (0..subs.len()).filter(|key| gone[*key]) {
                prop_assert_eq!(index.remove(&key), round == 0);
            }
        }
    }
}

/// What names a term is not asked for changes without it: else the index is a scan.
#[test]
fn what_names_a_term_is_found_by_it_alone() {
    let sub = |scope: &str, filters: &str| Sub {
        scope: Scope::read(&json(scope), &Pointer::root()).unwrap(),
        inherited: vec![vec![address("global/main")]],
        filters: super::filters(filters),
    };
    let anything = r#"[{"workspace":true}]"#;
    let found = |sub: Sub| {
        let (index, _) = index_of(&[sub]);
        let mut found = Vec::new();
        index.find(&change(), &mut found);
        !found.is_empty()
    };
    for (scope, filters, expected) in [
        (anything, "[]", true),
        (anything, r#"{"exact":{"agent":"claude-1"}}"#, true),
        (anything, r#"{"exact":{"agent":"codex"}}"#, false),
        (
            anything,
            r#"{"exact":{"kind":"task","agent":"codex"}}"#,
            false,
        ),
        (
            anything,
            r#"{"all":[{"changed":"/x"},{"exact":{"kind":"note"}}]}"#,
            false,
        ),
        (
            anything,
            r#"[{"exact":{"kind":"note"}},{"exact":{"agent":"codex"}}]"#,
            false,
        ),
        (
            anything,
            r#"{"any":[{"exact":{"kind":"note"}},{"changed":"/x"}]}"#,
            false,
        ),
        (
            anything,
            r#"{"any":[{"exact":{"kind":"note"}},{"min_priority":1}]}"#,
            true,
        ),
        (anything, r#"{"changed":"/data/status/deep"}"#, true),
        (anything, r#"{"changed":"/data/other"}"#, false),
        (
            anything,
            r#"{"in":{"labels.feature_area":["ui","db"]}}"#,
            false,
        ),
        (r#"[{"context":"task/b"}]"#, "[]", false),
        (r#"[{"subtree":"project/web"}]"#, "[]", true),
        (r#"[{"subtree":"project/app"}]"#, "[]", false),
        (
            r#"[{"subtree":"project/web"}]"#,
            r#"{"exact":{"agent":"codex"}}"#,
            false,
        ),
        (
            r#"[{"subtree":"project/web"}]"#,
            r#"{"exact":{"kind":"note"}}"#,
            true,
        ),
        (r#"[{"inherited":"task/b"}]"#, "[]", false),
        (r#"[{"label":{"feature_area":"ui"}}]"#, "[]", false),
    ] {
        assert_eq!(found(sub(scope, filters)), expected, "{scope} {filters}");
    }
}

/// A context that leaves a scope is told of there, whatever the filter names.
#[test]
fn p5_leaving_is_found_whatever_the_filter_names() {
    let sub = Sub {
        scope: Scope(vec![ScopeTerm::Subtree(address("project/app"))]),
        inherited: Vec::new(),
        filters: super::filters(r#"{"exact":{"agent":"codex"}}"#),
    };
    let (index, _) = index_of(std::slice::from_ref(&sub));
    let mut moved = change();
    moved.before = Some(place(&["project/app", "global/main"], "{}", Level::Private));
    assert_eq!(judge(&sub.scope, &[], &moved), Verdict::Leaves);
    let mut found = Vec::new();
    index.find(&moved, &mut found);
    assert_eq!(found, [0]);
}
