//! P1, P3: whatever is accepted can be read back. Each version of random histories is rebuilt from
//! effects, and has the hash and the very text that its writer was shown.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use syncline_engine::{Engine, ManualClock, Principal, Settings, When};
use syncline_model::ids::{ChangeId, PrincipalId, WorkspaceId};
use syncline_model::json::{Json, Object, Pointer};
use syncline_model::proposal::{Actor, Operation, Precondition, Proposal};
use syncline_model::time::Timestamp;
use syncline_store::{MemoryStore, Store};
use syncline_store_sqlite::{SqliteOptions, SqliteStore};

use crate::{address, json};

/// What a writer does next; the numbers choose places of the document that it finds.
#[derive(Clone, Debug)]
enum Step {
    Members(Operation, Vec<(String, Json)>),
    Patch(Vec<(u8, u32, u32, bool, Json)>),
    Delete,
    Restore,
}

const MEMBERS: [&str; 11] = [
    "title",
    "description",
    "labels",
    "level",
    "state",
    "collaborators",
    "permissions",
    "data",
    "metadata",
    "owner",
    "data",
];

fn value() -> impl Strategy<Value = Json> {
    let texts = [
        "1",
        "1.0",
        "10e-1",
        "0",
        "-0",
        "-0.0",
        "1e400",
        "10e399",
        "1e-400",
        "100",
        "1E2",
        "0.1",
        "18446744073709551616",
        "9007199254740993",
        "null",
        "true",
        "\"\"",
        "\"a\"",
        "\"\u{e9}\"",
        "\"e\u{301}\"",
        "\"\\u0000\\u2028\"",
        "\"restricted\"",
        "\"person/a\"",
        "{}",
        "[]",
        "[null]",
        "[[]]",
        "{\"\":null}",
        "[\"person/a\",\"agent/b\"]",
    ];
    let scalar = proptest::sample::select(texts.to_vec()).prop_map(json);
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec((key(), inner.clone()), 0..4)
                .prop_map(|members| Json::from(members.into_iter().collect::<Object>())),
            vec(inner, 0..4).prop_map(Json::from),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let keys = [
        "",
        "a",
        "b",
        "0",
        "-",
        "~",
        "/",
        "~1",
        "id",
        "\u{e9}",
        "e\u{301}",
        "\u{ffff}",
        "\u{10000}",
        "__proto__",
        "version",
    ];
    proptest::sample::select(keys.to_vec()).prop_map(str::to_owned)
}

fn member() -> impl Strategy<Value = (String, Json)> {
    (proptest::sample::select(MEMBERS.to_vec()), value())
        .prop_map(|(name, value)| (name.to_owned(), value))
}

fn step() -> impl Strategy<Value = Step> {
    let members = || vec(member(), 0..4);
    let op = || (0..6u8, any::<u32>(), any::<u32>(), any::<bool>(), value());
    prop_oneof![
        2 => members().prop_map(|m| Step::Members(Operation::Replace, m)),
        3 => members().prop_map(|m| Step::Members(Operation::Merge, m)),
        6 => vec(op(), 1..5).prop_map(Step::Patch),
        1 => Just(Step::Delete),
        1 => Just(Step::Restore),
    ]
}

fn places(value: &Json, at: &Pointer, found: &mut Vec<Pointer>) {
    found.push(at.clone());
    if let Some(object) = value.as_object() {
        for (key, value) in object.iter() {
            places(value, &at.child(key), found);
        }
    }
    for (index, item) in value.as_array().unwrap_or_default().iter().enumerate() {
        places(item, &at.index(index), found);
    }
}

fn patch_on(head: &Json, ops: &[(u8, u32, u32, bool, Json)]) -> Json {
    let mut found = Vec::new();
    places(head, &Pointer::root(), &mut found);
    let path = |n: u32, below: bool| {
        let place = &found[n as usize % found.len()];
        match below {
            true => place
                .child(["-", "0", "a", "~"][(n >> 16) as usize % 4])
                .to_string(),
            false => place.to_string(),
        }
    };
    let ops = ops.iter().map(|(op, to, from, below, value)| {
        let path_to = path(*to, *below);
        // A test that holds: equal to what is there, though perhaps spelt otherwise.
        let here = Pointer::parse(&path_to).unwrap();
        let value = match (*op, head.pointer(&here)) {
            (5, Some(found)) => found.clone(),
            _ => value.clone(),
        };
        let members = [
            (
                "op",
                Json::from(["add", "remove", "replace", "move", "copy", "test"][*op as usize]),
            ),
            ("path", Json::from(path_to)),
            ("from", Json::from(path(*from, false))),
            ("value", value),
            ("note", json("[[[1.0]]]")),
        ];
        Json::from(members.into_iter().collect::<Object>())
    });
    ops.collect()
}

/// What the writer was shown of a version.
struct Shown {
    text: String,
    etag: String,
}

async fn check_history(store: Arc<dyn Store>, filler: bool, steps: &[Step]) {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
    // Nothing fits the cache or the tail, so that everything is rebuilt from the store.
    let nothing_kept = Settings {
        cache_bytes_max: 1,
        recent_bytes_max: 1,
        ..Settings::default()
    };
    // A cache that holds it all: then a writer sees what the decision left.
    let engine = Engine::open(store.clone(), clock.clone(), Settings::default())
        .await
        .unwrap();
    let owner = Principal::owner();
    let (workspace, context) = (
        engine.workspace(&WorkspaceId::default_workspace()).unwrap(),
        address("note/a"),
    );
    let actor = Actor::from_principal(PrincipalId::owner());
    let first = match filler {
        // Past the size up to which a head is written whole with each change.
        true => format!(r#"{{"metadata":{{"filler":"{}"}}}}"#, "x".repeat(9_000)),
        false => "{}".to_owned(),
    };
    let mut proposal = Proposal::new(
        ChangeId::from_parts(1, &[0; 10]),
        context.clone(),
        Operation::Create,
        json(&first),
        actor.clone(),
    );
    let mut shown: Vec<(u64, Option<Shown>)> = Vec::new();
    let mut sent = Vec::new();
    let mut next = steps.iter().enumerate();
    loop {
        let deletes = proposal.operation == Operation::Delete;
        let answer = workspace.submit(&owner, proposal.clone()).await;
        sent.push((proposal, answer.clone()));
        if let Ok(receipt) = answer
            && receipt.seq.is_some()
        {
            let head = match deletes {
                true => None,
                false => {
                    let head = workspace.get(&owner, &context, When::Head).await.unwrap();
                    assert_eq!(head.etag(), receipt.etag.unwrap());
                    Some(Shown {
                        text: head.document.to_json().to_text(),
                        etag: head.etag().to_string(),
                    })
                }
            };
            shown.push((receipt.version.unwrap().0, head));
        }
        let Some((number, step)) = next.next() else {
            break;
        };
        let head = workspace.get(&owner, &context, When::Head).await;
        let head = head.map_or_else(|_| json("{}"), |head| head.document.to_json());
        let (operation, body) = match step {
            Step::Members(operation, members) => {
                let object: Object = members.iter().cloned().collect();
                (*operation, Json::from(object))
            }
            Step::Patch(ops) => (Operation::Patch, patch_on(&head, ops)),
            Step::Delete => (Operation::Delete, Json::Null),
            Step::Restore => (Operation::Restore, Json::Null),
        };
        let id = ChangeId::from_parts(2 + number as u64, &[1; 10]);
        proposal = Proposal::new(id, context.clone(), operation, body, actor.clone());
        proposal.create = matches!(operation, Operation::Merge | Operation::Patch);
        if matches!(operation, Operation::Replace | Operation::Delete) {
            proposal.precondition = Precondition::MatchAny;
        }
    }

    let again = Engine::open(store, clock, nothing_kept).await.unwrap();
    let workspace = again.workspace(&WorkspaceId::default_workspace()).unwrap();
    for (version, shown) in &shown {
        let when = When::Version(syncline_model::ids::Version(*version));
        let found = workspace.get(&owner, &context, when).await;
        let Some(shown) = shown else {
            assert_eq!(found.unwrap_err().code, syncline_api::Code::Deleted);
            continue;
        };
        let found = found.unwrap();
        assert_eq!(
            found.document.to_json().to_text(),
            shown.text,
            "version {version}"
        );
        assert_eq!(found.etag().to_string(), shown.etag, "version {version}");
    }
    if let Some((_, Some(last))) = shown.last() {
        let head = workspace.get(&owner, &context, When::Head).await.unwrap();
        assert_eq!(head.document.to_json().to_text(), last.text, "the head");
    }
    for (proposal, answer) in sent {
        let decided = match &answer {
            Ok(_) => true,
            Err(problem) => problem.code.decided(),
        };
        if decided {
            assert_eq!(workspace.submit(&owner, proposal).await, answer);
        }
    }
    let report = again.verify(&|_| {}).await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p1_what_is_accepted_can_be_rebuilt(filler: bool, steps in vec(step(), 1..24)) {
        run(check_history(Arc::new(MemoryStore::new()), filler, &steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p1_what_is_accepted_can_be_rebuilt_from_disk(filler: bool, steps in vec(step(), 60..90)) {
        run(async move {
            let dir = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(SqliteOptions::new(dir.path())).unwrap();
            check_history(Arc::new(store), filler, &steps).await;
        });
    }
}

#[test]
fn p1_a_patch_that_removes_the_parent_can_be_rebuilt() {
    let patch = r#"[{"op":"remove","path":"/parent"},{"op":"add","path":"/title","value":"T"}]"#;
    run(async move {
        let bench = crate::Bench::new().await;
        bench.create("project/p", "{}").await;
        bench.create("task/a", r#"{"parent":"project/p"}"#).await;
        let proposal = bench.proposal("task/a", Operation::Patch, patch);
        bench.submit(proposal).await.unwrap();
        let owner = Principal::owner();
        let when = When::Version(syncline_model::ids::Version(2));
        let found = bench.workspace.get(&owner, &address("task/a"), when).await;
        let document = found.unwrap().document.clone();
        assert_eq!(document.parent(), Some(address("global/main")));
        assert_eq!(document, bench.head("task/a").await.document);
    });
}

#[test]
fn p6_a_number_keeps_its_text_in_the_head_as_in_history() {
    run(async move {
        let bench = crate::Bench::new().await;
        bench.create("note/a", r#"{"data":{"n":1,"m":1}}"#).await;
        let body = r#"{"data":{"n":1.0,"m":2}}"#;
        let proposal = crate::based(bench.proposal("note/a", Operation::Replace, body), "1");
        bench.submit(proposal).await.unwrap();
        let owner = Principal::owner();
        let when = When::Version(syncline_model::ids::Version(2));
        let found = bench.workspace.get(&owner, &address("note/a"), when).await;
        let text = |head: &syncline_model::head::Head| head.document.to_json().to_text();
        assert_eq!(text(&found.unwrap()), text(&*bench.head("note/a").await));
    });
}
