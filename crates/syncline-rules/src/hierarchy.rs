//! The hierarchy global > project > branch > task, and where a context stands in it.

use syncline_api::{Code, Problem};
use syncline_model::change::Place;
use syncline_model::document::Document;
use syncline_model::ids::Address;
use syncline_model::json::Pointer;

use crate::view::View;

/// Bounds how deep a context may lie, since its ancestors go into each of its records.
pub const ANCESTORS_MAX: usize = 32;

/// Checks that `child` may lie under `parent`, by their kinds alone.
pub fn check_kinds(child: &Address, parent: Option<&Address>) -> Result<(), Problem> {
    let at = || Pointer::root().child("parent");
    let wrong = |rule: &str| {
        let under = parent.map_or("nothing".to_owned(), ToString::to_string);
        Err(Problem::new(
            Code::Invalid,
            format!("context \"{child}\" cannot lie under {under}: {rule}"),
        )
        .at(at()))
    };
    match (child.kind(), parent.map(Address::kind)) {
        ("global", None) => Ok(()),
        ("global", Some(_)) => wrong("a global context is a root"),
        (_, None) => wrong("only a global context has no parent"),
        ("project", Some("global")) => Ok(()),
        ("project", Some(_)) => wrong("a project lies under a global context"),
        ("branch", Some("project")) => Ok(()),
        ("branch", Some(_)) => wrong("a branch lies under a project")
            .map_err(|problem: Problem| problem.hint("name the project as parent")),
        ("task", Some("global" | "project" | "branch")) => Ok(()),
        ("task", Some(_)) => wrong("a task lies under a global context, a project or a branch"),
        _ => Ok(()),
    }
}

/// Checks that the parent exists, is of the right kind, and does not lie below the child.
///
/// A deleted parent counts: children that were pending offline are never refused for it.
pub fn check_parent(view: &View, child: &Address, parent: Option<&Address>) -> Result<(), Problem> {
    check_kinds(child, parent)?;
    let Some(parent) = parent else { return Ok(()) };
    let at = || Pointer::root().child("parent");
    if parent == child {
        return Err(Problem::new(
            Code::Invalid,
            format!("context \"{child}\" cannot be its own parent"),
        )
        .at(at()));
    }
    if view.head(parent).is_none() {
        return Err(Problem::new(
            Code::Invalid,
            format!("there is no context \"{parent}\" to be the parent"),
        )
        .at(at())
        .hint("create it first, or write with create_parents"));
    }
    let chain = view.chain(Some(parent.clone()), ANCESTORS_MAX + 1);
    if chain.contains(child) {
        let way = chain
            .iter()
            .map(Address::as_str)
            .collect::<Vec<_>>()
            .join(" < ");
        return Err(Problem::new(
            Code::Invalid,
            format!("context \"{child}\" would lie below itself: {way}"),
        )
        .at(at()));
    }
    if chain.len() > ANCESTORS_MAX {
        return Err(Problem::new(
            Code::Invalid,
            format!("context \"{child}\" would lie more than {ANCESTORS_MAX} levels deep"),
        )
        .at(at()));
    }
    Ok(())
}

/// Checks that all that lies below a context can follow it under another parent.
///
/// What lies too deep could not be written any more, since it would be refused for its place. A
/// move that makes nothing deeper is never refused for it.
pub fn check_height(
    view: &View,
    context: &Address,
    (from, to): (Option<Address>, Option<Address>),
    levels: usize,
) -> Result<(), Problem> {
    let above = |parent| view.chain(parent, ANCESTORS_MAX + 1).len();
    let under = to
        .as_ref()
        .map_or("nothing".to_owned(), ToString::to_string);
    let (before, after) = (above(from), above(to));
    if after <= before || after + levels <= ANCESTORS_MAX {
        return Ok(());
    }
    Err(Problem::new(
        Code::Invalid,
        format!(
            "under \"{under}\", what lies below context \"{context}\" would lie more than \
             {ANCESTORS_MAX} levels deep: {levels} levels go with it, and {after} are above"
        ),
    )
    .at(Pointer::root().child("parent"))
    .hint("move what lies deepest first"))
}

/// Returns where a context with this document stands.
pub fn place_of(view: &View, address: &Address, document: &Document) -> Place {
    let ancestors = view.chain(document.parent(), ANCESTORS_MAX);
    let project = std::iter::once(address)
        .chain(&ancestors)
        .find(|address| address.kind() == "project")
        .cloned();
    Place {
        ancestors: ancestors.into(),
        project,
        labels: document.labels().clone(),
        level: document.level(),
    }
}
