//! Changes and receipts, byte by byte as PROTOCOL shows them.

use syncline_api::{
    ChangeView, Code, Mode, Problem, ReceiptOrProblem, ReceiptView, WireBody, WireChange,
    write_change,
};
use syncline_model::change::{Change, ChangeType, Effect, Outcome, Receipt};
use syncline_model::conflict::ConflictKind;
use syncline_model::etag::Etag;
use syncline_model::ids::{BranchName, Seq, Version};
use syncline_model::json::{Json, Pointer};

use crate::samples::{change, head, id, json, text};

fn written(change: &Change, mode: Mode) -> String {
    text(|w| write_change(w, change, None, None, mode, false, false))
}

fn read(text: &str) -> WireChange {
    WireChange::read(&json(text), &Pointer::root()).unwrap()
}

#[test]
fn a_change_has_the_members_of_the_protocol_in_their_order() {
    let text = text(|w| {
        write_change(
            w,
            &change(),
            Some(Seq(42)),
            Some("CURSOR"),
            Mode::Delta,
            true,
            false,
        )
    });
    let expected = concat!(
        r#"{"id":"019aa2f7-5000-7101-8101-010101010101","seq":42,"cursor":"CURSOR","type":"update","#,
        r#""context":"task/auth-42","parent":"branch/login","project":"project/web","#,
        r#""labels":{"feature_area":"auth"},"version":8,"from":7,"base":5,"#,
        r#""actor":{"id":"person/owner","agent":"claude-1","session":"s-9","tool_call":"t-3"},"#,
        r#""hlc":"0123456789abcdef","committed_at":"2026-11-20T20:00:00.123Z","priority":2,"#,
        r#""message":"done at last","changed":["/data/status"],"enc":"patch","#,
        r#""patch":[{"op":"replace","path":"/data/status","value":"done"}],"outcome":"merged","hash":"HASH"}"#,
    );
    let id = change().id.to_string();
    let expected = expected
        .replace("019aa2f7-5000-7101-8101-010101010101", &id)
        .replace("HASH", &"ab".repeat(32));
    assert_eq!(text, expected);
}

#[test]
fn defaults_and_empty_members_are_left_out() {
    let mut plain = change();
    plain.actor = syncline_model::proposal::Actor::from_principal(plain.actor.id);
    plain.place = syncline_model::change::Place::default();
    plain.priority = syncline_model::proposal::Priority::default();
    plain.outcome = Outcome::Applied;
    plain.message = Some("".into());
    plain.base = None;
    plain.from = Version::ZERO;
    plain.changed.clear();
    plain.kind = ChangeType::Delete;
    plain.effect = Effect::Gone;
    let id = plain.id;
    let expected = format!(
        r#"{{"id":"{id}","type":"delete","context":"task/auth-42","version":8,"actor":{{"id":"person/owner"}},"hlc":"0123456789abcdef","committed_at":"2026-11-20T20:00:00.123Z","enc":"thin"}}"#
    );
    assert_eq!(written(&plain, Mode::Delta), expected);
}

#[test]
fn a_client_reads_what_was_written() {
    let mut change = change();
    change.branch = Some(BranchName::parse("try").unwrap());
    change.bulk = Some(id(9));
    change.blind = true;
    let text = text(|w| {
        write_change(
            w,
            &change,
            Some(Seq(42)),
            Some("C"),
            Mode::Delta,
            true,
            true,
        )
    });
    let read = read(&text);
    assert_eq!(read.id, change.id);
    assert_eq!(
        (read.seq, read.cursor.as_deref()),
        (Some(Seq(42)), Some("C"))
    );
    assert_eq!(
        (read.kind, &read.context, &read.branch),
        (change.kind, &change.context, &change.branch)
    );
    assert_eq!(read.parent.as_ref(), change.place.parent());
    assert_eq!(
        (&read.project, &read.labels),
        (&change.place.project, &change.place.labels)
    );
    assert_eq!(
        (read.version, read.from, read.base),
        (change.version, change.from, change.base)
    );
    assert_eq!(
        (read.bulk, &read.actor, read.hlc),
        (change.bulk, &change.actor, change.hlc)
    );
    assert_eq!(
        (read.committed_at, read.priority),
        (change.committed_at, change.priority)
    );
    assert_eq!(
        (&read.message, &read.changed),
        (&change.message, &change.changed)
    );
    assert_eq!(
        (read.outcome, read.blind, read.hash),
        (change.outcome, true, Some(change.hash))
    );
    assert_eq!(
        Effect::Patch(match read.body {
            WireBody::Patch(patch) => patch,
            other => panic!("{other:?}"),
        }),
        change.effect
    );
    assert_eq!(read.old.get("/data/status"), Some(&Json::from("open")));
}

#[test]
fn modes_choose_the_body() {
    let document = head().document.to_json();
    let change = change();
    let view = ChangeView {
        change: &change,
        seq: None,
        cursor: None,
        mode: Mode::Snapshot,
        document: Some(&document),
        show_hash: true,
        old: false,
    };
    let snapshot = read(&text(|w| view.write(w)));
    assert_eq!(snapshot.body, WireBody::Snapshot(document.clone()));
    assert_eq!(snapshot.hash, Some(change.hash));
    assert_eq!(read(&written(&change, Mode::Thin)).body, WireBody::Thin);
    let created = Change {
        effect: Effect::Snapshot(document.clone()),
        ..change
    };
    assert_eq!(
        read(&written(&created, Mode::Delta)).body,
        WireBody::Snapshot(document)
    );
    assert_eq!(read(&written(&created, Mode::Thin)).body, WireBody::Thin);
}

#[test]
fn receipts_leave_out_what_is_false_or_empty() {
    let etag = Etag::new(Version(8), id(1), &[], head().hash);
    let receipt = Receipt {
        id: id(1),
        outcome: Outcome::Applied,
        seq: Some(Seq(42)),
        version: Some(Version(8)),
        etag: Some(etag),
        conflicts: Vec::new(),
        detected: Vec::new(),
        branch: None,
        blind: false,
        bulk: None,
    };
    let id = receipt.id;
    let shown = ReceiptView::from_receipt(&receipt, Some("C".into()), true).to_text();
    let quoted = etag.to_string().replace('"', "\\\"");
    let expected = format!(
        r#"{{"change_id":"{id}","seq":42,"version":8,"outcome":"applied","cursor":"C","etag":"{quoted}"}}"#
    );
    assert_eq!(shown, expected);
    let hidden = ReceiptView::from_receipt(&receipt, None, false);
    assert_eq!(hidden.seq, None);
    let pending = ReceiptView {
        outcome: Outcome::Pending,
        version: None,
        etag: None,
        ..hidden
    };
    assert_eq!(
        pending.to_text(),
        format!(r#"{{"change_id":"{id}","version":null,"outcome":"pending"}}"#)
    );
}

#[test]
fn receipts_and_refusals_round_trip() {
    let full = ReceiptView {
        id: id(1),
        outcome: Outcome::Conflict,
        seq: Some(Seq(4)),
        version: Some(Version(2)),
        etag: Some(Etag::new(Version(2), id(1), &[], head().hash)),
        cursor: Some("C".into()),
        conflicts: vec!["a.b".into()],
        detected: vec![ConflictKind::Data, ConflictKind::Timestamp],
        branch: Some(BranchName::parse("conflict/x").unwrap()),
        blind: true,
        bulk: Some(id(2)),
    };
    let refused = ReceiptOrProblem::Refused {
        change_id: Some(id(3)),
        problem: Problem::new(Code::StaleBase, "the head is 9"),
    };
    for answer in [ReceiptOrProblem::Receipt(full), refused] {
        let text = text(|w| answer.write(w));
        assert_eq!(
            ReceiptOrProblem::read(&json(&text), &Pointer::root()).unwrap(),
            answer
        );
    }
}
