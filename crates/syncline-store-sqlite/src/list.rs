//! Lists of heads, as one statement for each form of query.
//!
//! By address a page is a range of the index that keeps addresses unique, and a kind is a part of
//! it. The other orders scan the workspace's heads: an index on what changes with each version
//! would cost every write. Bodies are fetched for the rows of the page only.

use rusqlite::Connection;
use rusqlite::types::Value;
use syncline_model::json::Json;
use syncline_store::{ContextList, HeadRow, ListPage, ListQuery, PageKey, SortBy, StoreError};

use crate::{read, rows};

/// A statement in the making.
struct Query {
    sql: String,
    params: Vec<Value>,
}

impl Query {
    /// Adds a condition in which each `?` stands for one of `values`, in order.
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.params.extend(values);
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn list(conn: &Connection, ws: i64, query: &ListQuery) -> Result<ListPage, StoreError> {
    let sql = format!(
        "SELECT {} FROM context c WHERE c.ws = ? AND c.branch IS NULL",
        rows::HEAD
    );
    let mut made = Query {
        sql,
        params: vec![Value::Integer(ws)],
    };
    filter(&mut made, ws, &query.contexts);
    order(&mut made, query);
    let limit = query.limit.max(1);
    made.params.push(Value::Integer(
        i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1,
    ));
    let params = rusqlite::params_from_iter(made.params);
    let mut found = read::all(conn, &made.sql, params, rows::head)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|(_, head)| PageKey::of(query.sort.by, head));
    let whole = |(ctx, head): (i64, HeadRow)| match query.bodies {
        true => Ok(HeadRow {
            body: read::body(conn, ctx)?,
            ..head
        }),
        false => Ok(head),
    };
    Ok(ListPage {
        heads: found
            .into_iter()
            .map(whole)
            .collect::<Result<_, StoreError>>()?,
        next,
    })
}

/// Deleted contexts are parents too, so `within` walks through them.
const WITHIN: &str = "c.address IN (WITH RECURSIVE below (address) AS (VALUES (?) UNION \
    SELECT x.address FROM below JOIN context x ON x.ws = ? AND x.parent = below.address \
    AND x.branch IS NULL) \
    SELECT address FROM below)";
const LABEL: &str = "c.ctx IN (SELECT ctx FROM label WHERE ws = ? AND key = ? AND value = ?)";
const LABEL_KEY: &str = "c.ctx IN (SELECT ctx FROM label WHERE ws = ? AND key = ?)";

fn filter(query: &mut Query, ws: i64, wanted: &ContextList) {
    let ws = Value::Integer(ws);
    if let Some(kind) = &wanted.kind {
        // `0` follows `/`.
        let range = [text(&format!("{kind}/")), text(&format!("{kind}0"))];
        query.and("c.address > ? AND c.address < ?", range);
    }
    if let Some(parent) = &wanted.parent {
        query.and("c.parent = ?", [text(parent.as_str())]);
    }
    if let Some(root) = &wanted.within {
        query.and(WITHIN, [text(root.as_str()), ws.clone()]);
    }
    if let Some(addresses) = &wanted.addresses {
        let addresses: Vec<Json> = addresses.iter().map(|a| Json::from(a.as_str())).collect();
        let json = Json::from(addresses).to_text();
        query.and(
            "c.address IN (SELECT value FROM json_each(?))",
            [text(&json)],
        );
    }
    for (key, value) in &wanted.labels {
        match value {
            Some(value) => query.and(LABEL, [ws.clone(), text(key), text(value)]),
            None => query.and(LABEL_KEY, [ws.clone(), text(key)]),
        }
    }
    if let Some(state) = &wanted.state {
        query.and("c.state = ?", [text(state)]);
    }
    if let Some(owner) = &wanted.owner {
        query.and("c.owner = ?", [text(owner)]);
    }
    if let Some(since) = wanted.updated_since {
        query.and("c.updated_at >= ?", [Value::Integer(since.0)]);
    }
    if !wanted.deleted {
        query.and("c.deleted = 0", []);
    }
}

fn order(query: &mut Query, list: &ListQuery) {
    let (word, sign) = if list.sort.descending {
        ("DESC", "<")
    } else {
        ("ASC", ">")
    };
    let column = match list.sort.by {
        SortBy::Address => None,
        SortBy::Updated => Some("c.seq"),
        SortBy::Created => Some("c.created_at"),
        SortBy::Title => Some("ifnull(c.title, '')"),
    };
    if let Some(after) = &list.after {
        let address = text(after.address.as_str());
        match column {
            None => query.and(&format!("c.address {sign} ?"), [address]),
            Some(column) => {
                let value = match list.sort.by {
                    SortBy::Title => text(&after.value),
                    _ => Value::Integer(after.value.parse().unwrap_or(0)),
                };
                query.and(
                    &format!("({column}, c.address) {sign} (?, ?)"),
                    [value, address],
                );
            }
        }
    }
    query.sql.push_str(" ORDER BY ");
    if let Some(column) = column {
        query.sql.push_str(&format!("{column} {word}, "));
    }
    query.sql.push_str(&format!("c.address {word} LIMIT ?"));
}

/// Says whether a context is found by a label.
pub(crate) fn has_label(
    conn: &Connection,
    ws: i64,
    (key, value): (&str, &str),
    ctx: i64,
) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT 1 FROM label WHERE ws = ?1 AND key = ?2 AND value = ?3 AND ctx = ?4";
    Ok(read::first(conn, SQL, (ws, key, value, ctx), |_| Ok(()))?.is_some())
}
