//! The schemas of the OpenAPI document: what calls take and answer.

use syncline_api::Code;
use syncline_model::json::{Json, Object};

use super::{list, object, reference, subscriptions};

/// Returns all schemas by name.
pub(crate) fn schemas() -> Json {
    let parts = [
        documents(),
        writes(),
        log(),
        choices(),
        lines(),
        node(),
        subscriptions::schemas(),
        super::webhooks::schemas(),
    ];
    object(parts.into_iter().flatten())
}

pub(super) type Named = Vec<(&'static str, Json)>;

fn documents() -> Named {
    vec![
        ("Any", empty()),
        ("Document", record(&DOCUMENT, &[])),
        (
            "Context",
            record(
                &[&CONTEXT[..], &DOCUMENT[..]].concat(),
                &["context", "version", "etag"],
            ),
        ),
        (
            "Contexts",
            object_schema([
                ("contexts", array(reference("Context"))),
                ("next", text()),
                ("cursor", text()),
            ]),
        ),
        ("Problem", problem()),
    ]
}

fn problem() -> Json {
    let codes: Json = Code::all().map(|code| Json::from(code.name())).collect();
    let error = object_schema([("pointer", text()), ("detail", text())]);
    let own = [
        ("code", object([("enum", codes)])),
        ("errors", array(error)),
    ];
    let plain = PROBLEM.map(|(name, kind)| (name, typed(kind)));
    object_schema(own.into_iter().chain(plain))
}

fn writes() -> Named {
    let modes = ["atomic", "independent"].map(Json::from);
    vec![
        ("Receipt", record(&RECEIPT, &["change_id", "outcome"])),
        (
            "Refusal",
            object_schema([("change_id", text()), ("error", reference("Problem"))]),
        ),
        (
            "Receipts",
            object_schema([
                ("bulk", text()),
                ("receipts", array(reference("ReceiptOrRefusal"))),
            ]),
        ),
        (
            "ReceiptOrRefusal",
            any_of([reference("Receipt"), reference("Refusal")]),
        ),
        ("JsonPatch", array(object([("type", Json::from("object"))]))),
        (
            "Batch",
            object_schema([
                ("mode", object([("enum", list(modes))])),
                ("proposals", array(reference("Proposal"))),
            ]),
        ),
        ("Proposal", record(&PROPOSAL, &["context", "op"])),
    ]
}

fn log() -> Named {
    let required = ["id", "type", "context", "version", "actor", "enc"];
    vec![
        ("Change", record(&CHANGE, &required)),
        ("Versions", page("versions", "Change")),
        (
            "Changes",
            object_schema([("changes", array(reference("Change"))), ("cursor", text())]),
        ),
        (
            "Diff",
            object_schema([
                ("from", integer()),
                ("to", integer()),
                ("patch", reference("JsonPatch")),
                ("text", text()),
            ]),
        ),
        ("Blame", record(&BLAME, &["path", "version", "change"])),
    ]
}

/// What a subscription names: which contexts, which of their changes, from where.
fn choices() -> Named {
    let words = |words: &[&str]| {
        object([(
            "enum",
            words.iter().map(|w| Json::from(*w)).collect::<Json>(),
        )])
    };
    let yes = object([("const", Json::from(true))]);
    let labels = || {
        object([
            ("type", Json::from("object")),
            ("additionalProperties", text()),
            ("minProperties", Json::from(1)),
        ])
    };
    let term = object_schema([
        ("workspace", yes),
        ("context", text()),
        ("subtree", text()),
        ("inherited", text()),
        ("label", labels()),
    ]);
    let by_name = |value: Json| {
        object([
            ("type", Json::from("object")),
            ("additionalProperties", value),
            ("minProperties", Json::from(1)),
        ])
    };
    let filter = || reference("Filter");
    let operators = object_schema([
        ("all", array(filter())),
        ("any", array(filter())),
        ("not", filter()),
        ("exact", by_name(empty())),
        ("prefix", by_name(text())),
        ("suffix", by_name(text())),
        ("in", by_name(array(empty()))),
        ("exists", any_of([text(), by_name(boolean())])),
        ("changed", text()),
        (
            "min_priority",
            object([("enum", (1..=4).map(Json::from).collect())]),
        ),
    ]);
    let place = |name: &'static str| closed(object_schema([(name, text())]), &[name]);
    vec![
        ("Scope", array(reference("ScopeTerm"))),
        ("ScopeTerm", closed(term, &[])),
        ("Filters", any_of([filter(), array(filter())])),
        ("Filter", closed(operators, &[])),
        (
            "From",
            any_of([
                words(&["now", "snapshot", "start"]),
                place("cursor"),
                place("time"),
            ]),
        ),
    ]
}

fn any_of<const N: usize>(schemas: [Json; N]) -> Json {
    object([("anyOf", list(schemas))])
}

/// Refuses other members, as the node does.
fn closed(mut schema: Json, required: &[&str]) -> Json {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("additionalProperties", Json::from(false));
        if !required.is_empty() {
            let names = required.iter().map(|name| Json::from(*name));
            schema.insert("required", names.collect());
        }
    }
    schema
}

fn lines() -> Named {
    let tag = object_schema([
        ("version", integer()),
        ("by", typed("object")),
        ("at", text()),
    ]);
    let tags = object([
        ("type", Json::from("object")),
        ("additionalProperties", tag),
    ]);
    vec![
        (
            "NewBranch",
            record(&[("name", "string"), ("from", "integer")], &["name"]),
        ),
        ("Branch", record(&BRANCH, &["name", "version", "etag"])),
        ("Branches", page("branches", "Branch")),
        (
            "Merge",
            record(
                &[
                    ("from_branch", "string"),
                    ("into", "string"),
                    ("dry_run", "boolean"),
                ],
                &["from_branch"],
            ),
        ),
        (
            "Merged",
            object([(
                "anyOf",
                list([reference("Receipt"), reference("TriedMerge")]),
            )]),
        ),
        (
            "TriedMerge",
            object_schema([
                ("clean", boolean()),
                ("clashes", array(text())),
                ("document", reference("Document")),
            ]),
        ),
        ("Rollback", record(&[("version", "integer")], &["version"])),
        (
            "NewTag",
            record(&[("name", "string"), ("version", "integer")], &["name"]),
        ),
        ("Tags", object_schema([("tags", tags)])),
        (
            "Conflict",
            record(&CONFLICT, &["id", "version", "context", "path", "state"]),
        ),
        ("Conflicts", page("conflicts", "Conflict")),
        (
            "Settlement",
            record(
                &[
                    ("version", "integer"),
                    ("choose", "string"),
                    ("value", "any"),
                ],
                &[],
            ),
        ),
        ("Declaration", record(&SCHEMA[1..5], &[])),
        ("Schema", record(&SCHEMA, &["kind", "version", "etag"])),
        ("Schemas", page("schemas", "Schema")),
        ("DeclaredRules", record(&RULES[..5], &[])),
        ("Rules", record(&RULES, &["in_force"])),
    ]
}

fn node() -> Named {
    vec![
        ("NewWorkspace", record(&[("name", "string")], &["name"])),
        (
            "Workspace",
            record(&[("name", "string"), ("epoch", "string")], &["name"]),
        ),
        (
            "Workspaces",
            object_schema([("workspaces", array(reference("Workspace")))]),
        ),
        ("Status", record(&STATUS, &["node", "healthy", "reasons"])),
        ("Stats", object([("type", Json::from("object"))])),
        (
            "Verification",
            object_schema([
                ("sound", boolean()),
                ("workspaces", integer()),
                ("records", integer()),
                ("contexts", integer()),
                ("documents", integer()),
                ("problems", array(text())),
            ]),
        ),
        ("CompactionAsked", record(&[("dry_run", "boolean")], &[])),
        (
            "Compaction",
            object_schema([
                ("dry_run", boolean()),
                ("contexts", integer()),
                ("looked_at", integer()),
                ("thinned", integer()),
                ("bytes", integer()),
                ("framed", integer()),
                ("framed_bytes_before", integer()),
                ("framed_bytes_after", integer()),
            ]),
        ),
        (
            "Probe",
            object_schema([
                ("healthy", boolean()),
                ("ready", boolean()),
                ("reasons", array(text())),
            ]),
        ),
    ]
}

pub(super) type Members = [(&'static str, &'static str)];

const DOCUMENT: [(&str, &str); 11] = [
    ("title", "string"),
    ("description", "string"),
    ("parent", "string"),
    ("labels", "object"),
    ("level", "string"),
    ("state", "string"),
    ("owner", "string"),
    ("collaborators", "array"),
    ("permissions", "object"),
    ("data", "object"),
    ("metadata", "object"),
];
const CONTEXT: [(&str, &str); 13] = [
    ("context", "string"),
    ("branch", "string"),
    ("version", "integer"),
    ("seq", "integer"),
    ("etag", "string"),
    ("hash", "string"),
    ("actor", "object"),
    ("created_at", "string"),
    ("updated_at", "string"),
    ("conflicts", "array"),
    ("pending", "integer"),
    ("deleted", "boolean"),
    ("partial", "object"),
];
const RECEIPT: [(&str, &str); 12] = [
    ("change_id", "string"),
    ("seq", "integer"),
    ("version", "integer"),
    ("outcome", "string"),
    ("conflicts", "array"),
    ("detected", "array"),
    ("branch", "string"),
    ("cursor", "string"),
    ("etag", "string"),
    ("blind", "boolean"),
    ("bulk", "string"),
    // What a declared schema says in vain.
    ("ignored", "array"),
];
const CHANGE: [(&str, &str); 29] = [
    ("id", "string"),
    ("seq", "integer"),
    ("cursor", "string"),
    ("type", "string"),
    ("context", "string"),
    ("branch", "string"),
    ("parent", "string"),
    ("project", "string"),
    ("labels", "object"),
    ("version", "integer"),
    ("from", "integer"),
    ("base", "integer"),
    ("merges", "object"),
    ("bulk", "string"),
    ("actor", "object"),
    ("hlc", "string"),
    ("committed_at", "string"),
    ("priority", "integer"),
    ("message", "string"),
    ("changed", "array"),
    ("enc", "string"),
    ("patch", "array"),
    ("snapshot", "object"),
    ("old", "object"),
    ("outcome", "string"),
    ("conflicts", "array"),
    ("settled", "array"),
    ("blind", "boolean"),
    ("hash", "string"),
];
const PROPOSAL: [(&str, &str); 14] = [
    ("change_id", "string"),
    ("context", "string"),
    ("op", "string"),
    ("base", "any"),
    ("body", "any"),
    ("if_match", "string"),
    ("if_none_match", "string"),
    ("create", "boolean"),
    ("create_parents", "boolean"),
    ("strategy", "string"),
    ("message", "string"),
    ("hlc", "string"),
    ("priority", "integer"),
    ("branch", "string"),
];
const STATUS: [(&str, &str); 13] = [
    ("node", "string"),
    ("version", "string"),
    ("started_at", "string"),
    ("now", "string"),
    ("workspace", "string"),
    ("epoch", "string"),
    ("cursor", "string"),
    ("healthy", "boolean"),
    ("ready", "boolean"),
    ("reasons", "array"),
    ("conflicts_open", "integer"),
    ("dead_letters", "object"),
    ("compaction", "object"),
];
const PROBLEM: [(&str, &str); 13] = [
    ("type", "string"),
    ("title", "string"),
    ("status", "integer"),
    ("detail", "string"),
    ("pointer", "string"),
    ("hint", "string"),
    ("limit", "integer"),
    ("setting", "string"),
    ("reason", "string"),
    ("retry_after_ms", "integer"),
    ("base", "any"),
    ("ours", "any"),
    ("theirs", "any"),
];

const CONFLICT: [(&str, &str); 22] = [
    ("id", "string"),
    ("version", "integer"),
    ("context", "string"),
    ("branch", "string"),
    ("path", "string"),
    ("kind", "string"),
    ("reason", "string"),
    ("base", "any"),
    ("ours", "any"),
    ("theirs", "any"),
    ("strategy", "string"),
    ("by", "object"),
    ("message", "string"),
    ("created_at", "string"),
    ("deadline", "string"),
    ("priority", "integer"),
    ("opened", "integer"),
    ("reopened", "integer"),
    ("revised", "integer"),
    ("state", "string"),
    ("closed", "integer"),
    ("settled_by", "string"),
];
const BRANCH: [(&str, &str); 7] = [
    ("name", "string"),
    ("from", "integer"),
    ("version", "integer"),
    ("etag", "string"),
    ("actor", "object"),
    ("updated_at", "string"),
    ("conflicts", "array"),
];
const BLAME: [(&str, &str); 8] = [
    ("path", "string"),
    ("version", "integer"),
    ("change", "string"),
    ("actor", "object"),
    ("message", "string"),
    ("committed_at", "string"),
    ("rule", "string"),
    ("beat", "array"),
];
const SCHEMA: [(&str, &str); 8] = [
    ("kind", "string"),
    ("schema", "any"),
    ("strategy", "string"),
    ("fallback", "string"),
    ("retention", "object"),
    ("ignored", "array"),
    ("version", "integer"),
    ("etag", "string"),
];

const RULES: [(&str, &str); 8] = [
    ("strategy", "string"),
    ("fallback", "string"),
    ("ranks", "object"),
    ("conflict_deadline_s", "integer"),
    ("retention", "object"),
    ("in_force", "object"),
    ("version", "integer"),
    ("etag", "string"),
];

pub(super) fn record(members: &Members, required: &[&str]) -> Json {
    let mut schema = object_schema(members.iter().map(|(name, kind)| (*name, typed(kind))));
    if let (Some(schema), false) = (schema.as_object_mut(), required.is_empty()) {
        schema.insert(
            "required",
            required.iter().map(|name| Json::from(*name)).collect(),
        );
    }
    schema
}

pub(super) fn page(name: &'static str, item: &str) -> Json {
    object_schema([(name, array(reference(item))), ("next", text())])
}

pub(super) fn object_schema(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    object([
        ("type", Json::from("object")),
        ("properties", object(members)),
    ])
}

fn typed(kind: &str) -> Json {
    match kind {
        "any" => empty(),
        kind => object([("type", Json::from(kind))]),
    }
}

pub(super) fn empty() -> Json {
    Json::Object(Object::new())
}

pub(super) fn text() -> Json {
    typed("string")
}

pub(super) fn integer() -> Json {
    typed("integer")
}

fn boolean() -> Json {
    typed("boolean")
}

pub(super) fn array(items: Json) -> Json {
    object([("type", Json::from("array")), ("items", items)])
}
