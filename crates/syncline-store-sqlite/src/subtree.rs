//! The walk down a subtree, by the index of parents: the children of one context stand in it in
//! the order of their numbers, which never change.

use rusqlite::Connection;
use syncline_model::ids::Address;
use syncline_store::{HeadRow, StoreError, SubtreePage, Tree, TreePlace, subtree_page};

use crate::errors::reading;
use crate::{read, rows};

/// One workspace's contexts.
struct Contexts<'a> {
    conn: &'a Connection,
    ws: i64,
    /// Made once for all steps of a page.
    next_child: String,
}

pub(crate) fn page(
    conn: &Connection,
    ws: i64,
    root: &Address,
    after: Option<TreePlace>,
    limit: usize,
) -> Result<SubtreePage, StoreError> {
    let next_child = format!(
        "SELECT {} FROM context c INDEXED BY context_parent \
         WHERE c.ws = ?1 AND c.parent = ?2 AND c.branch IS NULL AND c.ctx > ?3 \
         ORDER BY c.ctx LIMIT 1",
        rows::HEAD
    );
    let contexts = Contexts {
        conn,
        ws,
        next_child,
    };
    subtree_page(&contexts, root, after, limit)
}

/// Counts the levels below a context. A level is as many look-ups as the one above has contexts,
/// and a store knows no rules, so the levels are what ends a cycle.
pub(crate) fn height(
    conn: &Connection,
    ws: i64,
    address: &Address,
    levels_max: usize,
) -> Result<usize, StoreError> {
    const SQL: &str = "WITH RECURSIVE below (address, level) AS (VALUES (?2, 0) UNION ALL \
        SELECT x.address, below.level + 1 FROM below \
        JOIN context x INDEXED BY context_parent ON x.ws = ?1 AND x.parent = below.address \
        AND x.branch IS NULL WHERE below.level < ?3) SELECT max(level) FROM below";
    let levels_max = i64::try_from(levels_max).unwrap_or(i64::MAX);
    let levels = read::first(conn, SQL, (ws, address.as_str(), levels_max), |row| {
        row.get::<_, i64>(0).map_err(reading)
    })?;
    Ok(usize::try_from(levels.unwrap_or(0)).unwrap_or(usize::MAX))
}

impl Tree for Contexts<'_> {
    fn head(&self, address: &Address) -> Result<Option<HeadRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM context c WHERE c.ws = ?1 AND c.address = ?2 AND c.branch IS NULL",
            rows::HEAD
        );
        let found = read::first(self.conn, &sql, (self.ws, address.as_str()), rows::head)?;
        Ok(found.map(|(_, head)| head))
    }

    fn next_child(
        &self,
        parent: &Address,
        after: Option<&Address>,
    ) -> Result<Option<HeadRow>, StoreError> {
        let after = match after {
            // What is not there stands before all: then some come again, and none is left out.
            Some(address) => read::context(self.conn, self.ws, address)?.unwrap_or(0),
            None => 0,
        };
        let params = (self.ws, parent.as_str(), after);
        let found = read::first(self.conn, &self.next_child, params, rows::head)?;
        Ok(found.map(|(_, head)| head))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// SQLite tells of so many of its steps at once.
    const STEPS: i32 = 20;

    /// Makes a project of 1,000 tasks for each of its `branches`, written without the store.
    fn project(branches: i64) -> (Connection, Arc<AtomicU64>) {
        let mut conn = Connection::open_in_memory().unwrap();
        for migration in crate::open::MIGRATIONS {
            conn.execute_batch(migration).unwrap();
        }
        let insert = "INSERT INTO context SELECT :first + n, 1, :kind || printf('%06d', n), \
             CASE WHEN :per = 0 THEN 'project/p' ELSE 'branch/b' || printf('%06d', n / :per) END, \
             'active', 'private', NULL, NULL, '{}', 0, 1, 1, \
             x'00000000000070008000000000000000', zeroblob(32), 0, '{\"id\":\"person/owner\"}', 0, x'', NULL, NULL, 0 \
             FROM (WITH RECURSIVE c (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM c \
             WHERE n + 1 < :many) SELECT n FROM c)";
        let add = |first: i64, kind: &str, per: i64, many: i64| {
            let params = rusqlite::named_params! {":first": first, ":kind": kind, ":per": per, ":many": many};
            conn.execute(insert, params).unwrap();
        };
        add(1, "branch/b", 0, branches);
        add(1_000_000, "task/t", 1_000, branches * 1_000);
        let steps = Arc::new(AtomicU64::new(0));
        let counted = steps.clone();
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        conn.progress_handler(STEPS, Some(count)).unwrap();
        (conn, steps)
    }

    /// Returns how many contexts a project has, and the most that a page takes, in [`STEPS`].
    fn steps_a_page(branches: i64) -> (usize, u64) {
        let (conn, steps) = project(branches);
        let root = Address::parse("project/p").unwrap();
        let (mut found, mut most, mut after) = (0, 0, None);
        loop {
            steps.store(0, Ordering::Relaxed);
            let page = page(&conn, 1, &root, after, 100).unwrap();
            most = most.max(steps.load(Ordering::Relaxed));
            found += page.heads.len();
            after = page.next;
            if after.is_none() {
                return (found, most);
            }
        }
    }

    #[test]
    fn p9_a_page_costs_the_same_in_a_subtree_of_any_size() {
        let (few, small) = steps_a_page(1);
        let (many, large) = steps_a_page(100);
        assert_eq!((few, many), (1_001, 100_100));
        // The trees of the indexes are a level deeper; the pages are what they were.
        assert!(large <= small + small / 4, "{small} and {large}");
        assert!(large < 100 * 150 / 20, "{large}");
    }
}
