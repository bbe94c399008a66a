//! Contexts, whole and in part.

use proptest::prelude::*;
use syncline_api::{ContextView, project, shorten, strip_server_members};
use syncline_model::json::{Json, Object, Pointer};

use crate::samples::{head, json};

#[test]
fn a_context_shows_its_document_and_what_the_server_knows() {
    let head = head();
    let view = ContextView::from_head(&head, true);
    let etag = head.etag().to_string().replace('"', "\\\"");
    let expected = format!(
        r#"{{"context":"task/auth-42","collaborators":[],"data":{{"log":["a","b"],"n":1.0}},"labels":{{"k":"v"}},"level":"private","metadata":{{}},"owner":"person/owner","parent":"global/main","permissions":{{}},"state":"active","title":"T","version":8,"seq":42,"etag":"{etag}","hash":"{}","actor":{{"id":"person/owner"}},"created_at":"1970-01-01T00:00:00.000Z","updated_at":"1970-01-01T00:00:01.000Z","conflicts":[],"pending":0}}"#,
        head.hash
    );
    assert_eq!(view.to_text(), expected);
    assert_eq!(view.to_json(), json(&expected));
    let read = ContextView::read(&json(&expected), &Pointer::root()).unwrap();
    assert_eq!(read, view);
    assert_eq!(ContextView::from_head(&head, false).seq, None);
}

#[test]
fn what_the_server_added_is_ignored_when_it_comes_back() {
    let shown = ContextView::from_head(&head(), true).to_json();
    assert_eq!(strip_server_members(&shown), head().document.to_json());
    let patch = json(r#"{"data":{"version":3}}"#);
    assert_eq!(strip_server_members(&patch), patch, "only at the top");
}

#[test]
fn a_projection_has_the_fields_asked_for() {
    let view = ContextView::from_head(&head(), true).to_json();
    let fields = [
        "/data/n",
        "/data/log/1",
        "/title",
        "/nothing",
        "/title/deeper",
    ];
    let fields: Vec<Pointer> = fields
        .into_iter()
        .map(|f| Pointer::parse(f).unwrap())
        .collect();
    let part = project(&view, &fields);
    assert_eq!(
        part.get("data"),
        Some(&json(r#"{"n":1.0,"log":["a","b"]}"#))
    );
    assert_eq!(part.get("title"), Some(&Json::from("T")));
    assert_eq!(part.get("labels"), None);
    assert_eq!(part.get("context"), view.get("context"));
    assert_eq!(
        part.get("partial"),
        Some(&json(
            r#"{"fields":["/data/n","/data/log/1","/title","/nothing","/title/deeper"]}"#
        ))
    );
}

#[test]
fn a_long_context_is_shortened_and_says_where() {
    let mut view = ContextView::from_head(&head(), true).to_json();
    let object = view.as_object_mut().unwrap();
    let mut data = Object::new();
    data.insert("status", Json::from("open"));
    data.insert("text", Json::from("é".repeat(50_000)));
    data.insert("log", (0..5_000).map(Json::from).collect());
    object.insert("data", Json::from(data));
    let (part, shortened) = shorten(&view, 1_000);
    assert!(shortened);
    assert!(part.weight() <= 2_700, "{}", part.weight());
    assert!(part.weight() >= 1_900, "{}", part.weight());
    assert_eq!(
        part.pointer(&Pointer::from_static("/data/status")),
        Some(&Json::from("open"))
    );
    assert_eq!(
        part.pointer(&Pointer::from_static("/data/log/3")),
        Some(&Json::from(3))
    );
    assert_eq!(
        part.pointer(&Pointer::from_static("/partial/left_out")),
        Some(&json(r#"["/data/log","/data/text"]"#))
    );
    assert_eq!(shorten(&view, 1_000_000), (view, false));
}

proptest! {
    #[test]
    fn shortening_is_bounded_and_never_panics(
        texts in prop::collection::vec(".{0,200}", 0..20),
        depth in 0usize..20,
        max_tokens in 0usize..2_000,
    ) {
        let mut value: Json = texts.iter().map(|t| Json::from(t.as_str())).collect();
        for n in 0..depth {
            let mut object = Object::new();
            object.insert(format!("k{n}"), value);
            value = object.into();
        }
        let mut view = ContextView::from_head(&head(), true).to_json();
        view.as_object_mut().unwrap().insert("data", value);
        let (part, shortened) = shorten(&view, max_tokens);
        prop_assert!(part.get("context").is_some());
        if shortened {
            // What says which context it is always stays.
            prop_assert!(part.weight() <= (max_tokens * 27 / 10).max(500) + 400, "{}", part.weight());
            prop_assert!(part.get("partial").is_some());
        } else {
            prop_assert_eq!(part, view);
        }
    }
}
