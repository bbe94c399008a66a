//! The schemas of lines of versions, of conflicts, and of what is declared for kinds and for the
//! workspace.

use syncline_model::json::Json;

use super::shapes::{
    Members, Named, about, any_of, one_of, optional, page, record, typed, with_member, words,
};

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    let parts = [lines(), conflicts(), declared()];
    parts.into_iter().flatten().collect()
}

fn lines() -> Named {
    vec![
        (
            "NewBranch",
            record(&[("name", "string"), ("from?", "count")]),
        ),
        ("Branch", record(BRANCH)),
        ("Branches", page("branches", "[Branch]")),
        ("Merge", record(MERGE)),
        ("Merged", one_of(&["Receipt", "TriedMerge"])),
        (
            "TriedMerge",
            record(&[
                ("clean", "boolean"),
                ("clashes", "[string]"),
                ("document?", "Document"),
            ]),
        ),
        ("Rollback", record(&[("version", "count")])),
        (
            "NewTag",
            record(&[("name", "string"), ("version?", "count")]),
        ),
        ("Tags", record(&[("tags", "{Tag}")])),
        (
            "Tag",
            record(&[("version", "count"), ("by", "Actor"), ("at", "string")]),
        ),
    ]
}

fn conflicts() -> Named {
    vec![
        ("Conflict", record(CONFLICT)),
        ("Sides", record(&[("ours", "Actor"), ("theirs", "Actor")])),
        ("Conflicts", page("conflicts", "[Conflict]")),
        (
            "Settlement",
            with_member(record(SETTLEMENT), "choose", words(["ours", "theirs"])),
        ),
    ]
}

fn declared() -> Named {
    let then = any_of([words(["daily", "tagged"]), typed("count")]);
    let sent = |schema: Json| {
        let schema = optional(schema);
        about(
            schema,
            "What a reader was shown beside it is ignored when it comes back",
        )
    };
    vec![
        ("Declaration", sent(record(SCHEMA))),
        ("Schema", record(SCHEMA)),
        ("Schemas", page("schemas", "[Schema]")),
        (
            "Retention",
            with_member(
                record(&[("keep_all_days?", "count"), ("then", "any")]),
                "then",
                then,
            ),
        ),
        ("DeclaredRules", sent(record(&[DECLARED, RULES].concat()))),
        ("Rules", record(&[DECLARED, RULES].concat())),
        ("RulesInForce", record(DECLARED)),
    ]
}

const BRANCH: &Members = &[
    ("name", "string"),
    ("from?", "count"),
    ("version", "count"),
    ("etag", "string"),
    ("actor", "Actor"),
    ("updated_at", "string"),
    ("conflicts?", "[string]"),
];
const MERGE: &Members = &[
    ("from_branch", "string"),
    ("into?", "string"),
    ("dry_run?", "boolean"),
];
const CONFLICT: &Members = &[
    ("id", "string"),
    ("version", "count"),
    ("context", "string"),
    ("branch?", "string"),
    ("path", "string"),
    ("kind", "ConflictKind"),
    ("reason", "string"),
    ("base?", "any"),
    ("ours?", "any"),
    ("theirs?", "any"),
    ("strategy", "Strategy"),
    ("by", "Sides"),
    ("message?", "string"),
    ("created_at", "string"),
    ("deadline", "string"),
    ("priority", "Priority"),
    ("opened", "count"),
    ("reopened?", "count"),
    ("revised?", "count"),
    ("state", "ConflictState"),
    ("closed?", "count"),
    ("settled_by?", "string"),
];
const SETTLEMENT: &Members = &[
    ("conflict?", "string"),
    ("version?", "count"),
    ("choose?", "string"),
    ("value?", "any"),
];
const SCHEMA: &Members = &[
    ("kind", "string"),
    ("schema?", "any"),
    ("strategy?", "Strategy"),
    ("fallback?", "Strategy"),
    ("retention?", "Retention"),
    ("ignored?", "[Ignored]"),
    ("version", "count"),
    ("etag", "string"),
];
const DECLARED: &Members = &[
    ("strategy?", "Strategy"),
    ("fallback?", "Strategy"),
    ("ranks?", "{integer}"),
    ("conflict_deadline_s?", "integer"),
    ("retention?", "Retention"),
];
const RULES: &Members = &[
    ("in_force", "RulesInForce"),
    ("version?", "count"),
    ("etag?", "string"),
];
