//! The last broadcasts: whom each of the newest changes was for, and what became of that.

use syncline_api::{Code, Problem};
use syncline_engine::Entry;
use syncline_model::json::JsonWriter;

use crate::answer;
use crate::ask::{Answer, Ask};

/// Bounds how many are shown: as many records as are still at hand, and no more than these.
const BROADCASTS_MAX: usize = 1_024;

/// `GET /v1/stats/broadcasts`
pub(crate) async fn list(ask: Ask) -> Answer {
    let (workspace, principal) = (ask.workspace()?, ask.principal()?);
    let limit = ask
        .query
        .limit(ask.node.doors.limits.page_default, BROADCASTS_MAX)?;
    if !principal.reads_all() {
        let detail = "the broadcasts are for who may read the whole workspace";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let newest = workspace.newest(limit);
    Ok(answer::written(|w| {
        w.begin_object();
        w.key("broadcasts");
        w.begin_array();
        newest.iter().rev().for_each(|entry| write(w, entry));
        w.end_array();
        w.end_object();
    }))
}

fn write(w: &mut JsonWriter, entry: &Entry) {
    let (change, told) = (&entry.change, entry.told());
    w.begin_object();
    w.field_str("change", &change.id.to_string());
    w.field_str("context", change.context.as_str());
    w.field_u64("version", change.version.0);
    w.field_str("type", change.kind.as_str());
    w.field_str("committed_at", &change.committed_at.to_string());
    w.field_u64("targets", told.targets);
    w.field_u64("delivered", told.delivered);
    w.field_u64("failed", told.failed);
    w.key("conflicts");
    w.begin_array();
    change
        .conflicts
        .iter()
        .for_each(|conflict| w.string(&conflict.id.to_string()));
    w.end_array();
    w.end_object();
}
