//! The schemas of what is read along the log: changes, what is told beside them, digests, and what
//! a reader asks for.

use syncline_model::change::ChangeType;
use syncline_model::json::{Json, Object};

use super::messages::event_payload;
use super::shapes::{
    Members, Named, about, any_of, by_name, closed, empty, one_of, record, typed, with,
    with_member, words,
};
use super::{object, reference};

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    let parts = [changes(), told(), digests(), choices()];
    parts.into_iter().flatten().collect()
}

fn changes() -> Named {
    vec![
        ("Change", record(CHANGE)),
        (
            "LineVersion",
            record(&[("branch", "string"), ("version", "count")]),
        ),
        ("Versions", super::shapes::page("versions", "[Change]")),
        ("Diff", record(DIFF)),
        ("Blame", record(BLAME)),
    ]
}

/// What a page of the log tells beside changes; the schemas are those of the stream's events.
const BESIDE: [(&str, &str); 5] = [
    ("Enter", "enter"),
    ("Leave", "leave"),
    ("Begin", "begin"),
    ("End", "end"),
    ("Reset", "reset"),
];

fn told() -> Named {
    let beside = BESIDE.map(|(schema, event)| (schema, event_payload(event)));
    // What a durable subscription delivers of a bulk is one delivery, without brackets.
    let delivered = |(schema, _): &&(&str, &str)| !matches!(*schema, "Begin" | "End");
    let delivered: Vec<_> = BESIDE.iter().filter(delivered).copied().collect();
    let of_log = [
        ("Item", item(&BESIDE)),
        ("DeliveredItem", item(&delivered)),
        (
            "Changes",
            record(&[("changes", "[Item]"), ("cursor", "string")]),
        ),
        ("ChangesOrDigest", one_of(&["Changes", "Digest"])),
    ];
    beside.into_iter().chain(of_log).collect()
}

/// Returns the schema of a change or one of these, told apart by `type`.
fn item(beside: &[(&'static str, &'static str)]) -> Json {
    let changes = ChangeType::ALL.iter().map(|kind| (kind.as_str(), "Change"));
    let others = beside.iter().map(|(schema, event)| (*event, *schema));
    let place = |schema| Json::from(format!("#/components/schemas/{schema}"));
    let mapping: Object = changes
        .chain(others)
        .map(|(word, schema)| (word, place(schema)))
        .collect();
    let kinds: Vec<_> = [("Change", "")]
        .iter()
        .chain(beside)
        .map(|(schema, _)| *schema)
        .collect();
    let discriminator = object([
        ("propertyName", Json::from("type")),
        ("mapping", Json::Object(mapping)),
    ]);
    with(one_of(&kinds), "discriminator", discriminator)
}

fn digests() -> Named {
    let kinds = ["create", "update", "delete", "enter", "leave"];
    vec![
        (
            "DigestEntry",
            about(
                with_member(record(DIGEST_ENTRY), "type", words(kinds)),
                "What became of a context, all its changes as one",
            ),
        ),
        ("DigestAuthor", record(DIGEST_AUTHOR)),
        (
            "Digest",
            record(&[
                ("digest", "[DigestEntry]"),
                ("cursor", "string"),
                ("changes", "count"),
                ("left_out?", "LeftOut"),
                ("more?", "boolean"),
            ]),
        ),
        (
            "LeftOut",
            record(&[("changes", "count"), ("contexts", "count")]),
        ),
    ]
}

/// What a subscription names: which contexts, which of their changes, from where.
fn choices() -> Named {
    let named = |values: Json| with(by_name(values), "minProperties", Json::from(1));
    let yes = object([("const", Json::from(true))]);
    let term = with_member(record(SCOPE_TERM), "workspace", yes);
    let term = with_member(term, "label", named(typed("string")));
    let mut filter = record(FILTER);
    let exists = any_of([typed("string"), named(typed("boolean"))]);
    for (name, schema) in [
        ("exact", named(empty())),
        ("prefix", named(typed("string"))),
        ("suffix", named(typed("string"))),
        ("in", named(typed("[any]"))),
        ("exists", exists),
    ] {
        filter = with_member(filter, name, schema);
    }
    let place = |names: &[&'static str]| {
        let places = ["cursor", "time"].map(|name| closed(record(&[(name, "string")])));
        any_of([words(names.iter().copied())].into_iter().chain(places))
    };
    vec![
        ("Scope", typed("[ScopeTerm]")),
        ("ScopeTerm", closed(term)),
        ("Filters", any_of([reference("Filter"), typed("[Filter]")])),
        ("Filter", closed(filter)),
        ("From", place(&["now", "snapshot", "start"])),
        // A durable subscription has changes only.
        ("Beginning", place(&["now", "start"])),
    ]
}

const SCOPE_TERM: &Members = &[
    ("workspace?", "any"),
    ("context?", "string"),
    ("subtree?", "string"),
    ("inherited?", "string"),
    ("label?", "any"),
];
const FILTER: &Members = &[
    ("all?", "[Filter]"),
    ("any?", "[Filter]"),
    ("not?", "Filter"),
    ("exact?", "any"),
    ("prefix?", "any"),
    ("suffix?", "any"),
    ("in?", "any"),
    ("exists?", "any"),
    ("changed?", "string"),
    ("min_priority?", "Priority"),
];
pub(super) const CHANGE: &Members = &[
    ("id", "string"),
    ("seq?", "count"),
    ("cursor?", "string"),
    ("type", "ChangeType"),
    ("context", "string"),
    ("branch?", "string"),
    ("parent?", "string"),
    ("project?", "string"),
    ("labels?", "{string}"),
    ("version", "count"),
    ("from?", "count"),
    ("base?", "count"),
    ("merges?", "LineVersion"),
    ("bulk?", "string"),
    ("actor", "Actor"),
    ("hlc", "string"),
    ("committed_at", "string"),
    ("priority?", "Priority"),
    ("message?", "string"),
    ("changed?", "[string]"),
    ("enc", "Enc"),
    ("patch?", "JsonPatch"),
    ("snapshot?", "Document"),
    ("old?", "{any}"),
    ("outcome?", "Outcome"),
    ("conflicts?", "[string]"),
    ("settled?", "[string]"),
    ("blind?", "boolean"),
    ("hash?", "string"),
];
const DIFF: &Members = &[
    ("from", "count"),
    ("to", "count"),
    ("patch", "JsonPatch"),
    ("text", "string"),
];
const BLAME: &Members = &[
    ("path", "string"),
    ("version", "count"),
    ("branch?", "string"),
    ("change", "string"),
    ("actor", "Actor"),
    ("message?", "string"),
    ("committed_at", "string"),
    ("rule?", "string"),
    ("beat?", "[any]"),
];
const DIGEST_ENTRY: &Members = &[
    ("context", "string"),
    ("branch?", "string"),
    ("type", "string"),
    ("from?", "count"),
    ("version?", "count"),
    ("enc?", "Enc"),
    ("patch?", "JsonPatch"),
    ("snapshot?", "Document"),
    ("hash?", "string"),
    ("changed?", "[string]"),
    ("changes?", "count"),
    ("by?", "[DigestAuthor]"),
];
const DIGEST_AUTHOR: &Members = &[
    ("change", "string"),
    ("version", "count"),
    ("actor", "Actor"),
    ("message?", "string"),
    ("outcome", "Outcome"),
    ("committed_at", "string"),
];
