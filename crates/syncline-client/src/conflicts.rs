//! The queue of conflicts: what waits in it, and settling.

use http::Method;
use syncline_api::{Problem, ReceiptView};
use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::ids::Address;
use syncline_model::json::{Json, Object, Pointer};

use crate::calls::{JSON, Query, Write, strange};
use crate::http::Client;

/// Which conflicts are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConflictsQuery {
    /// Those of one context, on all of its lines.
    pub context: Option<Address>,
    /// Those that wait, or those that ended too; absent is the node's default.
    pub open: Option<bool>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Go on from an earlier page's `next`.
    pub page: Option<String>,
}

/// A page of conflicts.
#[derive(Clone, Debug)]
pub struct ConflictPage {
    /// As they came, to show or to read with [`Conflict::read`].
    pub conflicts: Vec<Json>,
    /// Names the next page, if there is one.
    pub next: Option<String>,
}

/// How a conflict is settled.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// What the proposal wanted.
    Ours,
    /// What the head holds.
    Theirs,
    /// Something else.
    Value(Json),
}

impl Client {
    /// Lists conflicts, the oldest first.
    pub async fn conflicts(&self, query: &ConflictsQuery) -> Result<ConflictPage, Problem> {
        let mut text = Query::default();
        if let Some(context) = &query.context {
            text.add("context", context.as_str());
        }
        if let Some(open) = query.open {
            text.add("open", if open { "true" } else { "false" });
        }
        if let Some(limit) = query.limit {
            text.add("limit", &limit.to_string());
        }
        if let Some(page) = &query.page {
            text.add("page", page);
        }
        let answer = self.json(&format!("/v1/conflicts{text}")).await?;
        let conflicts = answer.get("conflicts").and_then(Json::as_array);
        let next = answer.get("next").and_then(Json::as_str).map(str::to_owned);
        Ok(ConflictPage {
            conflicts: conflicts.unwrap_or_default().to_vec(),
            next,
        })
    }

    /// Reads a conflict, waiting or ended.
    pub async fn conflict(&self, id: &ConflictId) -> Result<Conflict, Problem> {
        let json = self.json(&format!("/v1/conflicts/{id}")).await?;
        Conflict::read(&json, &Pointer::root()).map_err(|error| strange(&error))
    }

    /// Settles a conflict as its sides were at `version`, refused if one has moved since; without a
    /// version as they are now, which can be sent again whatever became of the conflict.
    pub async fn settle(
        &self,
        id: &ConflictId,
        version: Option<u64>,
        choice: &Choice,
        write: &Write,
    ) -> Result<ReceiptView, Problem> {
        let mut body = Object::new();
        if let Some(version) = version {
            body.insert("version", Json::from(version));
        }
        match choice {
            Choice::Ours => body.insert("choose", Json::from("ours")),
            Choice::Theirs => body.insert("choose", Json::from("theirs")),
            Choice::Value(value) => body.insert("value", value.clone()),
        };
        let path = format!("/v1/conflicts/{id}");
        let body = Json::Object(body);
        self.write(Method::POST, &path, Some((JSON, &body)), write)
            .await
    }
}
