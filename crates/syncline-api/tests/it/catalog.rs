//! The table of messages says what is read and written.

use syncline_api::catalog::{Kind, MESSAGES, Member, MessageType, Sender};
use syncline_api::{
    ClientMessage, Code, ContextView, ErrorMessage, Mode, Problem, ReceiptOrProblem, ResetReason,
    Welcome, change_opening, write_begin, write_change, write_change_message, write_end,
    write_enter, write_error, write_heartbeat, write_lagging, write_leave, write_receipts,
    write_reset, write_snapshot, write_subscribed, write_welcome,
};
use syncline_model::ids::BranchName;
use syncline_model::json::{Json, JsonWriter, Object, Pointer};

use crate::samples::{address, change, head, id, json, text};

fn messages(sender: Sender) -> impl Iterator<Item = &'static MessageType> {
    MESSAGES
        .iter()
        .filter(move |message| message.sender == sender)
}

fn sample(member: &Member) -> Json {
    match (member.kind, member.name) {
        (Kind::Text, "context") => Json::from("task/a"),
        (Kind::Text, "version") => Json::from("1"),
        (Kind::Text, "bulk") => Json::from(id(1).to_string()),
        (Kind::Text, _) => Json::from("x"),
        (Kind::Count, _) => Json::from(1),
        (Kind::Flag, _) => Json::from(true),
        (Kind::Is("Mode"), _) => Json::from("thin"),
        (Kind::Is("BulkMode"), _) => Json::from("atomic"),
        (Kind::Is("Scope"), _) => json(r#"[{"workspace":true}]"#),
        (Kind::Is(_) | Kind::Any | Kind::TextsByName, _) => json("{}"),
        (Kind::ListOf(_) | Kind::Texts, _) => json("[]"),
    }
}

/// A client's message is read with its required members and one of those of which one is there, is
/// refused without any of them, and knows the members of the table and no others.
#[test]
fn clients_messages_are_read_as_the_table_says() {
    for message in messages(Sender::Client) {
        let first = message.one_of.first();
        let required = || {
            let must = |member: &&Member| member.required || Some(&member.name) == first;
            message.members.iter().filter(must)
        };
        let with = |left_out: &str, more: Option<&str>| {
            let members = required().filter(|member| member.name != left_out);
            let members = members.map(|member| (member.name, sample(member)));
            let kind = ("type", Json::from(message.name));
            let known = |name| message.members.iter().find(|member| member.name == name);
            let more = more.map(|name| (name, known(name).map_or(Json::from(1), sample)));
            let object: Object = members.chain([kind]).chain(more).collect();
            ClientMessage::read(&Json::Object(object), &Pointer::root())
        };
        if !message.built {
            assert!(
                matches!(with("", None), Ok(ClientMessage::Other { .. })),
                "{} is built by now",
                message.name
            );
            continue;
        }
        assert!(
            with("", None).is_ok(),
            "{}: {:?}",
            message.name,
            with("", None)
        );
        for member in required() {
            assert!(
                with(member.name, None).is_err(),
                "{} without {}",
                message.name,
                member.name
            );
        }
        for (first, other) in first.iter().zip(message.one_of.iter().skip(1)) {
            assert!(with("", Some(other)).is_err(), "{other} beside {first}");
            assert!(with(first, Some(other)).is_ok(), "{other} for {first}");
        }
        // What a client tells of an error is read leniently.
        if message.name == "error" {
            continue;
        }
        let hint = with("", Some("zzzzzzzzzzzz")).unwrap_err().hint.unwrap();
        let known = hint.strip_prefix("known fields: ").unwrap_or_default();
        let mut known: Vec<&str> = known.split(", ").filter(|name| *name != "type").collect();
        known.sort_unstable();
        let mut listed: Vec<&str> = message.members.iter().map(|member| member.name).collect();
        listed.sort_unstable();
        assert_eq!(listed, known, "{}", message.name);
    }
}

type Write = Box<dyn Fn(&mut JsonWriter)>;

/// Each of the node's messages, with all that it may hold and with the least.
fn written() -> Vec<(&'static str, Write)> {
    let welcome = |full: bool| Welcome {
        connection: "c".into(),
        epoch: "e".into(),
        cursor: "c".into(),
        heartbeat_s: 25,
        limits: json("{}"),
        token_expires_at: full.then(|| "t".into()),
    };
    let error = |full: bool| {
        let mut problem = Problem::new(Code::Invalid, "x");
        if full {
            problem = problem
                .at(Pointer::from_static("/a"))
                .hint("h")
                .limit(1, "s");
            problem.retry_after_ms = Some(5);
        }
        ErrorMessage {
            ended: full,
            ..ErrorMessage::from_problem(full.then_some("r"), &problem)
        }
    };
    let mut all: Vec<(&'static str, Write)> = Vec::new();
    for full in [false, true] {
        let maybe = move |text: &'static str| full.then_some(text);
        let more: Vec<(&'static str, Write)> = vec![
            (
                "welcome",
                Box::new(move |w| write_welcome(w, &welcome(full))),
            ),
            (
                "subscribed",
                Box::new(move |w| {
                    write_subscribed(w, "s", "c", !full, full.then_some(ResetReason::Epoch));
                }),
            ),
            (
                "change",
                Box::new(move |w| {
                    let change =
                        text(|w| write_change(w, &change(), None, None, Mode::Thin, false, false));
                    write_change_message(w, &change_opening("s"), 1, &change, maybe("c"));
                }),
            ),
            (
                "snapshot",
                Box::new(move |w| {
                    write_snapshot(w, maybe("s"), maybe("r"), |_| {}, true, maybe("c"));
                }),
            ),
            (
                "enter",
                Box::new(move |w| {
                    let view = ContextView::from_head(&head(), false);
                    write_enter(w, "s", 1, |w| view.write(w), maybe("c"));
                }),
            ),
            (
                "leave",
                Box::new(move |w| {
                    let branch = full.then(|| BranchName::parse("try").unwrap());
                    let line = address("task/a").line(branch.as_ref());
                    write_leave(w, "s", 1, &line, maybe("c"));
                }),
            ),
            ("begin", Box::new(|w| write_begin(w, "s", id(1)))),
            ("end", Box::new(|w| write_end(w, "s", id(1), "c"))),
            (
                "heartbeat",
                Box::new(|w| write_heartbeat(w, [("s", "c".to_owned())].into_iter())),
            ),
            (
                "receipt",
                Box::new(move |w| {
                    let none: [ReceiptOrProblem; 0] = [];
                    write_receipts(w, "r", full.then(|| id(1)), &none);
                }),
            ),
            ("lagging", Box::new(|w| write_lagging(w, "s"))),
            (
                "reset",
                Box::new(|w| write_reset(w, "s", ResetReason::Epoch)),
            ),
            ("error", Box::new(move |w| write_error(w, &error(full)))),
        ];
        all.extend(more);
    }
    all
}

/// What the messages of durable subscriptions alone hold is written where those are, and the doors
/// test it there.
fn of_durable(message: &MessageType, member: &Member) -> bool {
    member.name == "delivery" || (message.name, member.name) == ("reset", "cursor")
}

/// The least holds what is required, the most all that is listed, and nothing else is written.
#[test]
fn the_nodes_messages_are_written_as_the_table_says() {
    let all = written();
    for message in messages(Sender::Node) {
        let forms: Vec<Json> = all
            .iter()
            .filter(|(name, _)| *name == message.name)
            .map(|(_, write)| json(&text(write)))
            .collect();
        assert_eq!(forms.len(), 2, "{} is written here", message.name);
        let has = |form: &Json, member: &Member| form.get(member.name).is_some();
        for member in message
            .members
            .iter()
            .filter(|member| !of_durable(message, member))
        {
            let (least, most) = (has(&forms[0], member), has(&forms[1], member));
            assert!(most, "{} has {}", message.name, member.name);
            assert!(
                least || !member.required,
                "{} requires {}",
                message.name,
                member.name
            );
        }
        for form in &forms {
            let unlisted = form.as_object().unwrap().keys().find(|key| {
                *key != "type" && !message.members.iter().any(|member| member.name == *key)
            });
            assert_eq!(unlisted, None, "{}", message.name);
            assert_eq!(form.get("type"), Some(&Json::from(message.name)));
        }
    }
}
