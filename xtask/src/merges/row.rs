//! The rows of a set of real merges.

use std::path::Path;
use syncline_model::json::Json;

use crate::data;
use crate::run::Result;

/// One merge that people made.
pub struct Row {
    /// The commit, for explanations.
    pub commit: String,
    pub path: String,
    pub base: Json,
    pub ours: Json,
    pub theirs: Json,
    /// What was committed.
    pub merged: Json,
    /// How many conflicts git found, in sets that say so.
    pub git_conflicts: Option<u64>,
    pub git_equals_merged: bool,
}

/// Reads the rows of a set.
pub fn rows(path: &Path) -> Result<impl Iterator<Item = Result<Row>>> {
    let shown = path.display().to_string();
    let read = move |row: Json| read(&row).map_err(|error| format!("cannot read {shown}: {error}"));
    Ok(data::rows(path)?.map(move |row| read(row?)))
}

fn read(row: &Json) -> Result<Row> {
    let member = |name: &str| {
        let value = row.get(name).cloned();
        value.ok_or_else(|| format!("a row has no `{name}`"))
    };
    let text = |name: &str| {
        row.get(name)
            .and_then(Json::as_str)
            .unwrap_or("")
            .to_owned()
    };
    Ok(Row {
        commit: text("merge"),
        path: text("path"),
        base: member("base")?,
        ours: member("ours")?,
        theirs: member("theirs")?,
        merged: member("merged")?,
        git_conflicts: row.get("git_conflicts").and_then(Json::as_u64),
        git_equals_merged: row.get("git_equals_merged").and_then(Json::as_bool) == Some(true),
    })
}
