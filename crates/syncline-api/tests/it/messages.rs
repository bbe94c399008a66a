//! The WebSocket's messages.

use std::collections::BTreeMap;

use proptest::prelude::*;
use syncline_api::{
    BulkMode, ClientMessage, Code, Condition, ContextView, ErrorMessage, From, Hello, Mode,
    Problem, ReceiptOrProblem, ResetReason, Resync, Scope, ScopeTerm, ServerMessage, Submit,
    Subscribe, Welcome, change_opening, write_begin, write_change, write_change_message, write_end,
    write_enter, write_error, write_heartbeat, write_lagging, write_leave, write_receipts,
    write_reset, write_snapshot, write_subscribed, write_welcome,
};
use syncline_model::document::DocumentHash;
use syncline_model::ids::{BranchName, Name, Version, WorkspaceId};
use syncline_model::json::{Json, JsonWriter, Pointer};

use crate::samples::{address, change, head, id, json, text};

fn read(text: &str) -> Result<ClientMessage, Problem> {
    ClientMessage::read(&json(text), &Pointer::root())
}

#[test]
fn the_protocols_exchange_is_read() {
    assert_eq!(
        read(r#"{"type":"hello","token":"k","client":"demo/1"}"#).unwrap(),
        ClientMessage::Hello(Hello {
            token: Some("k".into()),
            client: Some("demo/1".into()),
            ..Hello::default()
        })
    );
    assert_eq!(
        read(r#"{"type":"subscribe","id":"s1","scope":[{"context":"task/a"},{"subtree":"project/web"}],"from":"now"}"#).unwrap(),
        ClientMessage::Subscribe(Subscribe::new(
            "s1",
            Scope(vec![
                ScopeTerm::Context(address("task/a")),
                ScopeTerm::Subtree(address("project/web")),
            ])
        ))
    );
    let submit = r#"{"type":"submit","id":"r1","proposals":[{"context":"task/a","op":"merge","base":7,"body":{"data":{"n":1}}}]}"#;
    assert!(
        matches!(read(submit).unwrap(), ClientMessage::Submit(s) if s.proposals.len() == 1 && s.mode.is_none())
    );
    assert_eq!(
        read(r#"{"type":"ack","sub":"s1","cursor":"c"}"#).unwrap(),
        ClientMessage::Ack {
            sub: "s1".into(),
            cursor: "c".into()
        }
    );
    assert_eq!(
        read(r#"{"type":"presence","id":"p1","what":1}"#).unwrap(),
        ClientMessage::Other {
            kind: "presence".into(),
            id: Some("p1".into())
        }
    );
}

#[test]
fn each_wrong_field_is_named() {
    for (text, code, pointer) in [
        (r#"3"#, Code::Invalid, ""),
        (r#"{}"#, Code::Invalid, "/type"),
        (r#"{"type":1}"#, Code::Invalid, "/type"),
        (r#"{"type":"hello","tokn":"x"}"#, Code::Invalid, "/tokn"),
        (
            r#"{"type":"hello","workspace":"A B"}"#,
            Code::Invalid,
            "/workspace",
        ),
        (r#"{"type":"hello","agent":""}"#, Code::Invalid, "/agent"),
        (r#"{"type":"subscribe","id":"s"}"#, Code::Invalid, "/scope"),
        (
            r#"{"type":"subscribe","scope":[{"workspace":true}]}"#,
            Code::Invalid,
            "/id",
        ),
        (
            r#"{"type":"subscribe","id":"","scope":[{"workspace":true}]}"#,
            Code::Invalid,
            "/id",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[]}"#,
            Code::Invalid,
            "/scope",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":{}}"#,
            Code::Invalid,
            "/scope",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":false}]}"#,
            Code::Invalid,
            "/scope/0/workspace",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true},{}]}"#,
            Code::Invalid,
            "/scope/1",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true,"context":"task/a"}]}"#,
            Code::Invalid,
            "/scope/0",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"subtree":"x"}]}"#,
            Code::Invalid,
            "/scope/0/subtree",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"label":{}}]}"#,
            Code::Invalid,
            "/scope/0/label",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"label":{"a":1}}]}"#,
            Code::Invalid,
            "/scope/0/label/a",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"from":"then"}"#,
            Code::Invalid,
            "/from",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"from":{}}"#,
            Code::Invalid,
            "/from",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"mode":"all"}"#,
            Code::Invalid,
            "/mode",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"mode":"replica"}"#,
            Code::NotBuilt,
            "/mode",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"filter":{"exact":{"knd":"x"}}}"#,
            Code::Invalid,
            "/filter/exact/knd",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"where":""}"#,
            Code::Invalid,
            "/where",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"fields":["/a","b"]}"#,
            Code::Invalid,
            "/fields/1",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"coalesce_ms":60001}"#,
            Code::Invalid,
            "/coalesce_ms",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"durable":"x"}"#,
            Code::Invalid,
            "/scope",
        ),
        (
            r#"{"type":"subscribe","id":"s","durable":"x","ack":false}"#,
            Code::Invalid,
            "/ack",
        ),
        (
            r#"{"type":"subscribe","id":"s","scope":[{"workspace":true}],"ack":true}"#,
            Code::Invalid,
            "/ack",
        ),
        (r#"{"type":"submit","id":"r"}"#, Code::Invalid, "/proposals"),
        (
            r#"{"type":"submit","id":"r","proposals":{}}"#,
            Code::Invalid,
            "/proposals",
        ),
        (
            r#"{"type":"submit","id":"r","proposals":[],"mode":"some"}"#,
            Code::Invalid,
            "/mode",
        ),
        (r#"{"type":"resync"}"#, Code::Invalid, "/context"),
        (r#"{"type":"ack","sub":"s"}"#, Code::Invalid, "/cursor"),
        (r#"{"type":"heartbeat","x":1}"#, Code::Invalid, "/x"),
    ] {
        let problem = read(text).unwrap_err();
        assert_eq!(problem.code, code, "{text}");
        assert_eq!(problem.pointer.unwrap().to_string(), pointer, "{text}");
    }
}

#[test]
fn a_durable_subscription_may_say_that_it_acknowledges() {
    for text in [
        r#"{"type":"subscribe","id":"s","durable":"x"}"#,
        r#"{"type":"subscribe","id":"s","durable":"x","ack":true}"#,
    ] {
        let Ok(ClientMessage::Subscribe(subscribe)) = read(text) else {
            panic!("{text}");
        };
        assert_eq!(subscribe.durable.as_deref(), Some("x"));
    }
}

#[test]
fn clients_messages_round_trip() {
    let labels: BTreeMap<_, _> = [("team".to_owned(), "auth".to_owned())].into();
    for message in [
        ClientMessage::Hello(Hello {
            token: Some("t".into()),
            client: Some("c".into()),
            workspace: Some(WorkspaceId::parse("w").unwrap()),
            agent: Some(Name::parse("a").unwrap()),
            session: Some(Name::parse("s").unwrap()),
            provider: Some(Name::parse("openai").unwrap()),
            capabilities: json(r#"{"x":1}"#),
        }),
        ClientMessage::Subscribe(Subscribe {
            id: "s".into(),
            scope: Scope(vec![
                ScopeTerm::Workspace,
                ScopeTerm::Context(address("task/a")),
                ScopeTerm::Subtree(address("task/a")),
                ScopeTerm::Inherited(address("task/a")),
                ScopeTerm::Label(labels),
            ]),
            filter: r#"[{"exact":{"kind":"task"}},{"min_priority":2}]"#.parse().unwrap(),
            condition: Some(Condition::parse("change.version > 1").unwrap()),
            fields: vec![Pointer::from_static("/data/a")],
            coalesce_ms: Some(500),
            mode: Mode::Snapshot,
            from: From::Cursor("c".into()),
            exclude_self: true,
            old: true,
            durable: None,
        }),
        ClientMessage::Subscribe(Subscribe {
            durable: Some("ci".into()),
            ..Subscribe::new("s", Scope::workspace())
        }),
        ClientMessage::Nack {
            sub: "s".into(),
            cursor: "c".into(),
            delay_ms: Some(5),
            reason: Some("later".into()),
        },
        ClientMessage::Extend {
            sub: "s".into(),
            cursor: Some("c".into()),
        },
        ClientMessage::Unsubscribe { id: "s".into() },
        ClientMessage::Submit(Submit {
            id: "r".into(),
            proposals: vec![json(r#"{"op":"delete"}"#)],
            mode: Some(BulkMode::Atomic),
        }),
        ClientMessage::Resync(Resync {
            sub: Some("s".into()),
            context: address("task/a"),
            branch: Some(BranchName::parse("draft").unwrap()),
            version: Some(Version(3)),
            hash: Some(DocumentHash([7; 32])),
            id: Some("q".into()),
        }),
        ClientMessage::Ack {
            sub: "s".into(),
            cursor: "c".into(),
        },
        ClientMessage::Heartbeat,
    ] {
        assert_eq!(read(&message.to_text()).unwrap(), message);
    }
}

fn check(write: impl FnOnce(&mut JsonWriter), expected: &str, message: &ServerMessage) {
    let text = text(write);
    if !expected.is_empty() {
        assert_eq!(text, expected);
    }
    assert_eq!(
        &ServerMessage::read(&json(&text), &Pointer::root()).unwrap(),
        message
    );
}

#[test]
fn a_nodes_messages_are_written_and_read() {
    let welcome = Welcome {
        connection: "c1".into(),
        epoch: "e".into(),
        cursor: "c".into(),
        heartbeat_s: 25,
        limits: json("{}"),
        token_expires_at: None,
    };
    check(
        |w| write_welcome(w, &welcome),
        r#"{"type":"welcome","connection":"c1","epoch":"e","cursor":"c","heartbeat_s":25,"limits":{}}"#,
        &ServerMessage::Welcome(welcome.clone()),
    );
    check(
        |w| write_subscribed(w, "s1", "c", false, Some(ResetReason::Epoch)),
        r#"{"type":"subscribed","id":"s1","cursor":"c","recovered":false,"reason":"epoch"}"#,
        &ServerMessage::Subscribed {
            id: "s1".into(),
            cursor: "c".into(),
            recovered: false,
            reason: Some(ResetReason::Epoch),
        },
    );
    let view = ContextView::from_head(&head(), false);
    check(
        |w| write_snapshot(w, Some("s1"), None, |w| view.write(w), true, Some("c")),
        "",
        &ServerMessage::Snapshot {
            sub: Some("s1".into()),
            reference: None,
            contexts: vec![view.clone()],
            last: true,
            cursor: Some("c".into()),
        },
    );
    check(
        |w| write_enter(w, "s1", 3, |w| view.write(w), None),
        "",
        &ServerMessage::Enter {
            sub: "s1".into(),
            n: 3,
            context: Box::new(view.clone()),
            cursor: None,
        },
    );
    check(
        |w| write_leave(w, "s1", 4, &address("task/a"), Some("c")),
        r#"{"type":"leave","sub":"s1","n":4,"context":"task/a","cursor":"c"}"#,
        &ServerMessage::Leave {
            sub: "s1".into(),
            n: 4,
            address: address("task/a"),
            branch: None,
            cursor: Some("c".into()),
        },
    );
    let bulk = id(3);
    check(
        |w| write_begin(w, "s1", bulk),
        &format!(r#"{{"type":"begin","sub":"s1","bulk":"{bulk}"}}"#),
        &ServerMessage::Begin {
            sub: "s1".into(),
            bulk,
        },
    );
    check(
        |w| write_end(w, "s1", bulk, "c"),
        &format!(r#"{{"type":"end","sub":"s1","bulk":"{bulk}","cursor":"c"}}"#),
        &ServerMessage::End {
            sub: "s1".into(),
            bulk,
            cursor: "c".into(),
        },
    );
    check(
        |w| write_heartbeat(w, [("s1", "c".to_owned())].into_iter()),
        r#"{"type":"heartbeat","subs":{"s1":"c"}}"#,
        &ServerMessage::Heartbeat {
            subs: [("s1".to_owned(), "c".to_owned())].into(),
        },
    );
    let refused = ReceiptOrProblem::Refused {
        change_id: None,
        problem: Problem::new(Code::Invalid, "no"),
    };
    check(
        |w| write_receipts(w, "r1", Some(bulk), std::slice::from_ref(&refused)),
        "",
        &ServerMessage::Receipt {
            reference: "r1".into(),
            bulk: Some(bulk),
            receipts: vec![refused.clone()],
        },
    );
    check(
        |w| write_lagging(w, "s1"),
        r#"{"type":"lagging","sub":"s1"}"#,
        &ServerMessage::Lagging { sub: "s1".into() },
    );
    check(
        |w| write_reset(w, "s1", ResetReason::Access),
        r#"{"type":"reset","sub":"s1","reason":"access"}"#,
        &ServerMessage::Reset {
            sub: "s1".into(),
            reason: Some(ResetReason::Access),
        },
    );
    let problem = Problem::not_built("lease").at(Pointer::from_static("/type"));
    let error = ErrorMessage::from_problem(Some("l1"), &problem);
    check(
        |w| write_error(w, &error),
        r#"{"type":"error","ref":"l1","code":"not_built","text":"lease is not built yet","retry":false,"pointer":"/type"}"#,
        &ServerMessage::Error(error.clone()),
    );
    assert_eq!(error.to_problem().code, Code::NotBuilt);
    let many = Problem::new(Code::TooMany, "no more").limit(100, "max_subscriptions");
    let many = ErrorMessage::from_problem(Some("s1"), &many);
    check(
        |w| write_error(w, &many),
        r#"{"type":"error","ref":"s1","code":"too_many","text":"no more","retry":true,"limit":100,"setting":"max_subscriptions"}"#,
        &ServerMessage::Error(many.clone()),
    );
    let rot = ErrorMessage::ended(Some("s1"), &Problem::new(Code::Rot, "record 3"));
    check(
        |w| write_error(w, &rot),
        r#"{"type":"error","ref":"s1","code":"rot","text":"record 3","retry":false,"ended":true}"#,
        &ServerMessage::Error(rot.clone()),
    );
    let soon = ErrorMessage::ended(None, &Problem::new(Code::Unavailable, "not yet"));
    assert_eq!((soon.retry, soon.after_ms), (true, Some(1_000)));
}

#[test]
fn a_change_is_passed_on_as_it_was_encoded() {
    let encoded = text(|w| write_change(w, &change(), None, Some("c"), Mode::Delta, false, false));
    let message = text(|w| write_change_message(w, &change_opening("s\"1"), 7, &encoded, None));
    assert_eq!(
        message,
        format!(r#"{{"type":"change","sub":"s\"1","n":7,"change":{encoded}}}"#)
    );
    match ServerMessage::read(&json(&message), &Pointer::root()).unwrap() {
        ServerMessage::Change {
            sub,
            n,
            change,
            resume,
        } => {
            assert_eq!((sub.as_str(), n, resume), ("s\"1", 7, None));
            assert_eq!(change.id, id(1));
        }
        other => panic!("{other:?}"),
    }
    let newer = json(r#"{"type":"sparkle","x":1}"#);
    assert_eq!(
        ServerMessage::read(&newer, &Pointer::root()).unwrap(),
        ServerMessage::Other {
            kind: "sparkle".into()
        }
    );
}

/// Small JSON values with the words of our messages in all the wrong places.
fn any_json() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(vec![
        "type",
        "id",
        "hello",
        "subscribe",
        "submit",
        "scope",
        "context",
        "task/a",
        "from",
        "now",
        "cursor",
        "mode",
        "label",
        "workspace",
        "proposals",
        "op",
        "merge",
        "body",
        "base",
        "error",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        word.clone().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_message_panics(value in any_json()) {
        syncline_api::fuzz::fuzz_wire(value.to_text().as_bytes());
    }

    #[test]
    fn no_damaged_message_panics(
        sample in prop::sample::select(SAMPLES.to_vec()),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample.as_bytes().to_vec();
        *at.get_mut(&mut bytes) = byte;
        syncline_api::fuzz::fuzz_wire(&bytes);
        bytes.remove(cut.index(bytes.len()));
        syncline_api::fuzz::fuzz_wire(&bytes);
    }
}

const SAMPLES: [&str; 6] = [
    r#"{"type":"hello","token":"k","workspace":"w","agent":"a","session":"s","capabilities":{"x":[1]}}"#,
    r#"{"type":"subscribe","id":"s","scope":[{"label":{"a":"b"}},{"inherited":"task/a"}],"from":{"cursor":"c"},"mode":"thin","old":true}"#,
    r#"{"type":"submit","id":"r","mode":"atomic","proposals":[{"op":"delete"}]}"#,
    r#"{"context":"task/a","op":"patch","base":7,"body":[{"op":"remove","path":"/a"}],"if_match":"\"v8-0123456789abcdef\", *","hlc":"0123456789abcdef","priority":2}"#,
    r#"{"type":"error","ref":"r","code":"invalid","text":"no","retry":false,"after_ms":5,"pointer":"/a~1b"}"#,
    r#"{"id":"01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f","type":"update","context":"task/a","version":2,"from":1,"actor":{"id":"person/a"},"committed_at":"2026-11-20T20:00:00Z","enc":"patch","patch":[]}"#,
];
