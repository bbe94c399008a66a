//! The schemas of contexts, of what is proposed for them, and of what went wrong.

use super::shapes::{
    Members, Named, about, any_of, empty, one_of, optional, page, record, typed, with_member, words,
};

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    documents().into_iter().chain(writes()).collect()
}

fn documents() -> Named {
    let whole: Vec<_> = [&DOCUMENT[..], &SERVERS[..], &SHOWN[..]].concat();
    // Nobody says of a context that it is deleted: DELETE does.
    let mut sent = whole.clone();
    sent.retain(|(name, _)| *name != "deleted?");
    let actor = about(
        optional(record(ACTOR)),
        "Who made it; where `max_tokens` leaves no room for all of it, a part",
    );
    vec![
        ("Any", empty()),
        ("Document", record(&DOCUMENT)),
        (
            "SentContext",
            about(
                optional(record(&sent)),
                "What a reader was shown beside the document is ignored when it comes back",
            ),
        ),
        (
            "MergePatch",
            about(
                typed("object"),
                "A JSON Merge Patch (RFC 7396): a member that is null is removed",
            ),
        ),
        ("Context", with_member(record(&whole), "actor", actor)),
        ("Part", record(PART)),
        (
            "Contexts",
            with_member(page("contexts", "[Context]"), "cursor", typed("string")),
        ),
        ("Actor", record(ACTOR)),
    ]
}

fn writes() -> Named {
    let operation = ["add", "remove", "replace", "move", "copy", "test"];
    let problem = with_member(record(PROBLEM), "outcome", words(["unknown"]));
    let base = any_of([typed("string"), typed("count")]);
    let body = any_of([typed("object"), typed("JsonPatch"), typed("null")]);
    let proposal = with_member(record(PROPOSAL), "base", base);
    vec![
        ("Problem", problem),
        (
            "Misfit",
            record(&[("pointer", "string"), ("detail", "string")]),
        ),
        ("Receipt", record(RECEIPT)),
        (
            "Ignored",
            record(&[("pointer", "string"), ("reason", "string")]),
        ),
        (
            "Refusal",
            record(&[("change_id?", "string"), ("error", "Problem")]),
        ),
        (
            "Receipts",
            record(&[("bulk?", "string"), ("receipts", "[ReceiptOrRefusal]")]),
        ),
        ("ReceiptOrRefusal", one_of(&["Receipt", "Refusal"])),
        ("ReceiptOrReceipts", one_of(&["Receipt", "Receipts"])),
        ("JsonPatch", typed("[PatchOperation]")),
        (
            "PatchOperation",
            with_member(record(PATCH_OPERATION), "op", words(operation)),
        ),
        (
            "Batch",
            record(&[("mode?", "BulkMode"), ("proposals", "[Proposal]")]),
        ),
        ("Proposal", with_member(proposal, "body", body)),
    ]
}

/// What a writer says of a context.
const DOCUMENT: [(&str, &str); 11] = [
    ("title?", "string"),
    ("description?", "string"),
    ("parent?", "string"),
    ("labels?", "{string}"),
    ("level?", "Level"),
    ("state?", "string"),
    ("owner?", "string"),
    ("collaborators?", "[string]"),
    ("permissions?", "object"),
    ("data?", "object"),
    ("metadata?", "object"),
];
/// What the server says of it: parts of a context keep what is always there.
const SERVERS: [(&str, &str); 10] = [
    ("context", "string"),
    ("version", "count"),
    ("seq?", "count"),
    ("etag", "string"),
    ("hash?", "string"),
    ("actor?", "Actor"),
    ("created_at?", "string"),
    ("updated_at", "string"),
    ("conflicts", "[string]"),
    ("pending", "count"),
];
const SHOWN: [(&str, &str); 3] = [
    ("branch?", "string"),
    ("deleted?", "boolean"),
    ("partial?", "Part"),
];
/// What was asked for of a context, and what was left out.
const PART: &Members = &[
    ("fields?", "[string]"),
    ("max_tokens?", "count"),
    ("left_out?", "[string]"),
];
const ACTOR: &Members = &[
    ("id", "string"),
    ("agent?", "string"),
    ("session?", "string"),
    ("tool_call?", "string"),
    ("provider?", "string"),
];
const RECEIPT: &Members = &[
    ("change_id", "string"),
    ("seq?", "count"),
    ("version?", "integer|null"),
    ("outcome", "Outcome"),
    ("conflicts?", "[string]"),
    ("detected?", "[ConflictKind]"),
    ("branch?", "string"),
    ("cursor?", "string"),
    ("etag?", "string"),
    ("blind?", "boolean"),
    ("bulk?", "string"),
    // What a declared schema says in vain.
    ("ignored?", "[Ignored]"),
];
const PATCH_OPERATION: &Members = &[
    ("op", "string"),
    ("path", "string"),
    ("from?", "string"),
    ("value?", "any"),
];
const PROPOSAL: &Members = &[
    ("change_id?", "string"),
    ("context", "string"),
    ("op", "Operation"),
    ("base?", "any"),
    ("body?", "any"),
    ("if_match?", "string"),
    ("if_none_match?", "string"),
    ("create?", "boolean"),
    ("create_parents?", "boolean"),
    ("strategy?", "Strategy"),
    ("message?", "string"),
    ("hlc?", "string"),
    ("priority?", "Priority"),
    ("branch?", "string"),
];
const PROBLEM: &Members = &[
    ("type", "string"),
    ("title", "string"),
    ("status", "count"),
    ("code", "ProblemCode"),
    ("detail", "string"),
    ("pointer?", "string"),
    ("hint?", "string"),
    ("limit?", "count"),
    ("setting?", "string"),
    ("reason?", "ResetReason"),
    ("retry_after_ms?", "count"),
    ("outcome?", "string"),
    ("errors?", "[Misfit]"),
    ("base?", "any"),
    ("ours?", "any"),
    ("theirs?", "any"),
];
