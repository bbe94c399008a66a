//! Filters and `where` against changes that are written out, and the index against a plain scan.

mod conditions;
mod filters;
mod hostile;
mod index;

use std::sync::Arc;

use syncline_api::Filters;
use syncline_model::change::{Change, ChangeType, Effect, Intent, Outcome, Place};
use syncline_model::document::{Document, DocumentHash, Level};
use syncline_model::ids::{Address, BranchName, ChangeId, Name, PrincipalId, Version};
use syncline_model::json::{Json, Object, Pointer};
use syncline_model::proposal::{Actor, Operation, Priority};
use syncline_model::time::{Hlc, Timestamp};
use syncline_rules::Matcher;

use crate::json;

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn place(ancestors: &[&str], labels: &str, level: Level) -> Place {
    let ancestors: Arc<[Address]> = ancestors.iter().map(|text| address(text)).collect();
    Place {
        project: ancestors.iter().find(|a| a.kind() == "project").cloned(),
        ancestors,
        labels: labels_of(labels),
        level,
    }
}

fn labels_of(text: &str) -> Object {
    json(text).as_object().unwrap().clone()
}

/// An update of `task/auth-42` by an agent of the owner.
pub fn change() -> Change {
    Change {
        id: ChangeId::from_parts(7, &[1; 10]),
        kind: ChangeType::Update,
        context: address("task/auth-42"),
        branch: None,
        version: Version(8),
        from: Version(7),
        base: Some(Version(5)),
        bulk: None,
        actor: Actor {
            agent: Some(Name::parse("claude-1").unwrap()),
            session: Some(Name::parse("s-1").unwrap()),
            ..Actor::from_principal(PrincipalId::owner())
        },
        hlc: Hlc(1),
        committed_at: Timestamp(1_800_000_000_123),
        priority: Priority::new(2).unwrap(),
        message: Some("done with login".into()),
        place: place(
            &["branch/login", "project/web", "global/main"],
            r#"{"feature_area":"auth","a.b":"dots"}"#,
            Level::Private,
        ),
        before: None,
        changed: ["/data/status", "/data/steps/1/owner"]
            .map(Pointer::from_static)
            .to_vec(),
        intent: Intent {
            operation: Operation::Merge,
            body: None,
            old: Vec::new(),
        },
        effect: Effect::Patch(Json::from(Vec::new())),
        outcome: Outcome::Merged,
        decisions: None,
        merges: None,
        conflicts: Vec::new(),
        detected: Vec::new(),
        blind: false,
        hash: DocumentHash([0; 32]),
    }
}

pub fn document() -> Document {
    let text = r#"{"title":"Log in","state":"active","owner":"person/ana",
        "labels":{"feature_area":"auth"},
        "metadata":{"points":5,"exact":123456789012345678901234567890,"on":true,"none":null,
            "name":"Ana","list":[1]},
        "data":{"status":"done","n":7,"half":3.5,"tags":["x","y"],"path":"src/auth/login.rs",
            "steps":[{"id":"s1","open":true},{"id":"s2","open":false}],
            "deep":{"a":{"b":1}}}}"#;
    Document::from_json(&json(text), &Pointer::root()).unwrap()
}

pub fn filters(text: &str) -> Filters {
    Filters::read(&json(text), &Pointer::root()).unwrap()
}

pub fn matcher(text: &str) -> Matcher {
    Matcher::compile(&filters(text), None).unwrap()
}

pub fn branch(name: &str) -> BranchName {
    BranchName::parse(name).unwrap()
}
