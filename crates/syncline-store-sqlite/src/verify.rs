//! Verification: everything that is stored is compared with what the log's hashes say.
//!
//! SQLite does not notice a flipped bit in a value, so nothing is taken on trust: each record
//! against the chain and its commitment, each version, head and conflict against its record, each
//! stored document against its hash. Rot in one place never ends the walk.
//!
//! The walk is a row of short read transactions, so writes and checkpoints go on meanwhile.

mod conflicts;
mod contexts;
mod frames;
mod ids;
mod kept;
mod log;

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;
use syncline_model::ids::{Seq, WorkspaceId};
use syncline_store::{StoreError, VerifyReport, VerifyStep, WorkspaceRow};

use crate::errors::reading;
use crate::read;
use crate::readers::Readers;
use crate::rows::pos;

/// Bounds the report: more lines than a person reads.
const PROBLEMS_MAX: usize = 1_000;

/// The workspaces as the walk began, by their numbers. What was made later is left for the next.
type Workspaces = HashMap<i64, WorkspaceRow>;

/// Checks the rows of a table after a key, as many as one read transaction may take, and returns
/// the key of the last; none, if there were no more.
type Chunk<K> = fn(&Connection, &Workspaces, K, &mut Findings) -> Result<Option<K>, StoreError>;

/// What is walked over after the log. Where a table cannot be read, the next one still is.
const TABLES: [(&str, Chunk<i64>); 4] = [
    ("contexts", contexts::chunk),
    ("conflicts", conflicts::chunk),
    ("frames", frames::chunk),
    ("kept values", kept::chunk),
];

/// What was found so far; it travels with each step of the walk.
#[derive(Default)]
struct Findings(VerifyReport);

impl Findings {
    fn problem(&mut self, line: String) {
        if self.0.problems.len() < PROBLEMS_MAX {
            self.0.problems.push(line);
        } else if self.0.problems.len() == PROBLEMS_MAX {
            self.0
                .problems
                .push("there are more problems than fit here".to_owned());
        }
    }

    /// Notes a failure; what it belongs to is named before it, unless it names that itself.
    fn failed(&mut self, workspace: &WorkspaceId, what: &str, error: &impl ToString) {
        let error = error.to_string();
        let line = if error.starts_with(what) {
            error
        } else {
            format!("{what}: {error}")
        };
        self.problem(format!("workspace {workspace}: {line}"));
    }
}

pub(crate) async fn verify(
    readers: &Readers,
    progress: &(dyn Fn(VerifyStep) + Send + Sync),
) -> Result<VerifyReport, StoreError> {
    let mut findings = step(readers, Findings::default(), quick_check).await?;
    let workspaces = readers
        .run(|reader| reader.snapshot(read::workspaces))
        .await?;
    for (ws, row) in &workspaces {
        findings.0.workspaces += 1;
        findings = verify_log(readers, findings, (*ws, row.clone()), progress).await?;
        let (ws, id) = (*ws, row.id.clone());
        findings = step(readers, findings, move |conn, found| {
            tail(conn, found, ws, &id)
        })
        .await?;
    }
    let workspaces: Arc<Workspaces> = Arc::new(workspaces.into_iter().collect());
    for (what, chunk) in TABLES {
        findings = verify_rows(readers, findings, (what, chunk, i64::MIN), &workspaces).await?;
    }
    let ids = ("change ids", ids::chunk as Chunk<ids::Key>, ids::START);
    let findings = verify_rows(readers, findings, ids, &workspaces).await?;
    Ok(findings.0)
}

/// Runs one step of the walk in a transaction; what it could not read is a problem, not an end.
async fn step(
    readers: &Readers,
    mut findings: Findings,
    run: impl FnOnce(&Connection, &mut Findings) -> Result<(), StoreError> + Send + 'static,
) -> Result<Findings, StoreError> {
    readers
        .run(move |reader| {
            if let Err(error) = reader.patient(|conn| run(conn, &mut findings)) {
                findings.problem(error.to_string());
            }
            Ok(findings)
        })
        .await
}

async fn verify_log(
    readers: &Readers,
    mut findings: Findings,
    ws: (i64, WorkspaceRow),
    progress: &(dyn Fn(VerifyStep) + Send + Sync),
) -> Result<Findings, StoreError> {
    let (workspace, total) = (ws.1.id.clone(), ws.1.last.0);
    let mut walk = log::Walk::new(ws);
    loop {
        let checked = walk.checked().0;
        progress(VerifyStep {
            workspace: workspace.clone(),
            checked,
            total,
        });
        if walk.is_done() {
            return Ok(findings);
        }
        (walk, findings) = readers
            .run(move |reader| {
                if let Err(error) = reader.patient(|conn| walk.chunk(conn, &mut findings)) {
                    walk.give_up(&error, &mut findings);
                }
                Ok((walk, findings))
            })
            .await?;
    }
}

async fn verify_rows<K: Copy + Send + 'static>(
    readers: &Readers,
    mut findings: Findings,
    (what, chunk, start): (&'static str, Chunk<K>, K),
    workspaces: &Arc<Workspaces>,
) -> Result<Findings, StoreError> {
    let mut next = Some(start);
    while let Some(after) = next {
        let workspaces = workspaces.clone();
        (next, findings) = readers
            .run(move |reader| {
                let next = reader.patient(|conn| chunk(conn, &workspaces, after, &mut findings));
                let next = next.unwrap_or_else(|error| {
                    findings.problem(format!("{what}: {error}"));
                    None
                });
                Ok((next, findings))
            })
            .await?;
    }
    Ok(findings)
}

/// SQLite's own look at its pages.
fn quick_check(conn: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    let lines = read::all(conn, "PRAGMA quick_check", [], |row| {
        row.get::<_, String>(0).map_err(reading)
    });
    match lines {
        Ok(lines) if lines == ["ok"] => {}
        Ok(lines) => lines
            .into_iter()
            .for_each(|line| findings.problem(format!("file: {line}"))),
        Err(error) => findings.problem(format!("file: {error}")),
    }
    Ok(())
}

/// Compares what a workspace says of itself with its rows.
fn tail(
    conn: &Connection,
    findings: &mut Findings,
    ws: i64,
    id: &WorkspaceId,
) -> Result<(), StoreError> {
    const NEWEST: &str =
        "SELECT count(*), coalesce(max(pos), ?1) FROM log WHERE pos > ?1 AND pos < ?2";
    const LIVE: &str =
        "SELECT count(*) FROM context WHERE ws = ?1 AND deleted = 0 AND branch IS NULL";
    let number = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map_err(reading);
    let (_, row) = read::workspace(conn, id)?;
    let span = (pos(ws, Seq::ZERO), pos(ws + 1, Seq::ZERO));
    let newest = read::first(conn, NEWEST, span, |row| {
        Ok((number(row, 0)?, number(row, 1)?))
    })?;
    if newest != Some((row.last.0.cast_signed(), pos(ws, row.last))) {
        let line = format!(
            "workspace {id}: its log does not hold the records up to {}",
            row.last
        );
        findings.problem(line);
    }
    let live = read::first(conn, LIVE, [ws], |row| number(row, 0))?;
    if live != Some(row.contexts.cast_signed()) {
        let line = format!(
            "workspace {id}: it counts {} contexts, and has {live:?}",
            row.contexts
        );
        findings.problem(line);
    }
    Ok(())
}
