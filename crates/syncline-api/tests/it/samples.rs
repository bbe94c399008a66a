//! Values that the tests share.

use std::sync::Arc;

use syncline_model::change::{Change, ChangeType, Effect, Intent, Outcome, Place};
use syncline_model::document::{Document, DocumentHash, Level};
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Name, PrincipalId, Seq, Version};
use syncline_model::json::{Json, JsonWriter, Limits, Pointer};
use syncline_model::proposal::{Actor, Operation, Priority};
use syncline_model::time::{Hlc, Timestamp};

pub fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default()).unwrap()
}

pub fn text(write: impl FnOnce(&mut JsonWriter)) -> String {
    let mut w = JsonWriter::new();
    write(&mut w);
    w.into_string()
}

pub fn id(n: u8) -> ChangeId {
    ChangeId::from_parts(1_763_668_800_000, &[n; 10])
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn actor() -> Actor {
    Actor {
        id: PrincipalId::owner(),
        agent: Some(Name::parse("claude-1").unwrap()),
        session: Some(Name::parse("s-9").unwrap()),
        tool_call: Some(Name::parse("t-3").unwrap()),
        provider: None,
    }
}

/// PROTOCOL's example of a change.
pub fn change() -> Change {
    Change {
        id: id(1),
        kind: ChangeType::Update,
        context: address("task/auth-42"),
        branch: None,
        version: Version(8),
        from: Version(7),
        base: Some(Version(5)),
        bulk: None,
        actor: actor(),
        hlc: Hlc(0x0123_4567_89ab_cdef),
        committed_at: Timestamp::parse("2026-11-20T20:00:00.123Z").unwrap(),
        priority: Priority::new(2).unwrap(),
        message: Some(Arc::from("done at last")),
        place: Place {
            ancestors: Arc::from(vec![address("branch/login"), address("project/web")]),
            project: Some(address("project/web")),
            labels: json(r#"{"feature_area":"auth"}"#)
                .as_object()
                .unwrap()
                .clone(),
            level: Level::Private,
        },
        before: None,
        changed: vec![Pointer::from_static("/data/status")],
        intent: Intent {
            operation: Operation::Merge,
            body: Some(json(r#"{"data":{"status":"done"}}"#)),
            old: vec![(
                Pointer::from_static("/data/status"),
                Some(Json::from("open")),
            )],
        },
        effect: Effect::Patch(json(
            r#"[{"op":"replace","path":"/data/status","value":"done"}]"#,
        )),
        outcome: Outcome::Merged,
        decisions: None,
        merges: None,
        conflicts: Vec::new(),
        detected: Vec::new(),
        blind: false,
        hash: DocumentHash([0xab; 32]),
    }
}

pub fn head() -> Head {
    let document = json(
        r#"{"title":"T","parent":"global/main","owner":"person/owner","data":{"n":1.0,"log":["a","b"]},"labels":{"k":"v"}}"#,
    );
    let document = Document::from_json(&document, &Pointer::root()).unwrap();
    Head {
        address: address("task/auth-42"),
        version: Version(8),
        seq: Seq(42),
        change: id(1),
        hash: document.hash(),
        deleted: false,
        document,
        actor: Actor::from_principal(PrincipalId::owner()),
        created_at: Timestamp(0),
        updated_at: Timestamp(1_000),
        conflicts: Arc::from([]),
    }
}
