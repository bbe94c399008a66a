//! The walk along one log.

use std::sync::Arc;

use rusqlite::Connection;
use syncline_model::change::{Change, Effect};
use syncline_model::document::Document;
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::json::Json;
use syncline_model::record::{RecordHash, RecordHeader, RotError, StoredRecord, unpack_json};
use syncline_model::time::Timestamp;
use syncline_store::{StoreError, VersionRow, WorkspaceRow};

use super::Findings;
use super::conflicts::Told;
use crate::errors::reading;
use crate::frames;
use crate::history::History;
use crate::read;
use crate::rows::{array, blob, line_name, pos, seq_of};

/// Bounds the records of one read transaction.
const CHUNK_RECORDS: i64 = 256;

pub(super) struct Walk {
    ws: i64,
    row: WorkspaceRow,
    checked: Seq,
    /// The hash of the record before; unknown after one that could not be read.
    before: Option<RecordHash>,
    committed_at: Timestamp,
    told: Told,
}

/// A record's columns, read or not.
struct Raw {
    seq: Seq,
    header: Arc<[u8]>,
    salt: Result<[u8; 16], StoreError>,
    body: Arc<[u8]>,
}

impl Walk {
    pub(super) fn new((ws, row): (i64, WorkspaceRow)) -> Walk {
        Walk {
            ws,
            checked: Seq::ZERO,
            before: Some(RecordHash::genesis(&row.log)),
            committed_at: Timestamp(i64::MIN),
            told: Told::default(),
            row,
        }
    }

    pub(super) fn checked(&self) -> Seq {
        self.checked
    }

    pub(super) fn is_done(&self) -> bool {
        self.checked >= self.row.last
    }

    /// Ends the walk where the file cannot be read.
    pub(super) fn give_up(&mut self, error: &StoreError, findings: &mut Findings) {
        let what = format!("the log after record {}", self.checked);
        findings.failed(&self.row.id, &what, error);
        self.checked = self.row.last;
    }

    /// Checks the next records.
    pub(super) fn chunk(
        &mut self,
        conn: &Connection,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        const SQL: &str = "SELECT pos, header, salt, body FROM log \
            WHERE pos > ?1 AND pos <= ?2 ORDER BY pos LIMIT ?3";
        // As it is now: something may have been thinned since the walk began.
        self.row.low_water = read::workspace(conn, &self.row.id)?.1.low_water;
        self.told.thinned(self.row.low_water);
        let span = (
            pos(self.ws, self.checked),
            pos(self.ws, self.row.last),
            CHUNK_RECORDS,
        );
        let mut found = read::all(conn, SQL, span, |row| {
            let seq = seq_of(row.get(0).map_err(reading)?);
            Ok(Raw {
                seq,
                header: blob(row, 1)?,
                salt: array(row, 2),
                body: blob(row, 3)?,
            })
        })?;
        if found.is_empty() {
            self.missing(self.row.last.next(), findings);
            self.checked = self.row.last;
        }
        let bodies = found.iter_mut().map(|raw| (raw.seq, &mut raw.body));
        let mut lost = frames::fill_each(conn, bodies)?;
        for raw in found {
            self.missing(raw.seq, findings);
            self.checked = raw.seq;
            findings.0.records += 1;
            let lost = lost.remove(&raw.seq);
            if let Some(change) = self.record(raw, lost, findings) {
                self.change(conn, &change, findings)?;
            }
            self.told.passed(self.checked, &self.row.id, findings);
        }
        if self.is_done() {
            self.told.end(conn, (self.ws, &self.row), findings)?;
        }
        Ok(())
    }

    /// Checks what a record says against the rows that were written with it.
    fn change(
        &mut self,
        conn: &Connection,
        change: &Change,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let what = format!("record {}", self.checked);
        let place = (self.checked, change);
        let mut problems = self.against(conn, change)?;
        if self.checked > self.row.low_water {
            problems.extend(self.told.record(conn, (self.ws, &self.row), place)?);
        }
        if let Effect::Snapshot(json) = &change.effect {
            findings.0.documents += 1;
            if !hashes_to(json, change) {
                problems.push("its document does not match its hash".to_owned());
            }
        }
        for problem in problems {
            findings.failed(&self.row.id, &what, &problem);
        }
        Ok(())
    }

    /// Notes the records between the last one and `next`.
    fn missing(&mut self, next: Seq, findings: &mut Findings) {
        let expected = self.checked.next();
        if next != expected {
            let what = match next.0 - expected.0 {
                1 => format!("record {expected} is missing"),
                _ => format!("records {expected} to {} are missing", next.0 - 1),
            };
            findings.problem(format!("workspace {}: {what}", self.row.id));
            self.before = None;
        }
    }

    /// Checks a record by itself and against the one before; `lost` says why its frame does not
    /// give its text.
    fn record(
        &mut self,
        raw: Raw,
        lost: Option<RotError>,
        findings: &mut Findings,
    ) -> Option<Change> {
        let what = format!("record {}", raw.seq);
        let id = &self.row.id;
        let header = match RecordHeader::from_bytes(raw.seq, &raw.header) {
            Ok(header) => header,
            Err(error) => {
                findings.failed(id, &what, &error);
                self.before = None;
                return None;
            }
        };
        if let Some(error) = self
            .before
            .and_then(|before| header.check_follows(&before).err())
        {
            findings.failed(id, &what, &error);
        } else if header.committed_at < self.committed_at {
            findings.failed(id, &what, &"it was committed before the one before it");
        }
        self.before = Some(header.hash);
        self.committed_at = header.committed_at;
        if raw.seq == self.row.last && header.hash != self.row.last_hash {
            findings.failed(id, &what, &"it is not the one that the workspace ends with");
        }
        // Below the mark records may be thinned: of those the chain and the version say enough.
        if raw.body.is_empty() && raw.seq <= self.row.low_water {
            return None;
        }
        let salt = raw.salt.map_err(|error| findings.failed(id, &what, &error));
        let record = StoredRecord {
            header,
            salt: salt.ok()?,
            body: raw.body,
        };
        let opened = lost.map_or_else(|| record.open(), Err);
        opened
            .map_err(|error| findings.failed(id, &what, &error))
            .ok()
    }

    /// Reads a version's row. Where it is that of another record it says something else, and where
    /// it is that of this one its link was checked just now.
    fn version(
        &self,
        conn: &Connection,
        context: (i64, &Address),
        version: Version,
    ) -> Result<Option<VersionRow>, StoreError> {
        let Some(seq) = History::of(conn, context.0)?.seq(version)? else {
            return Ok(None);
        };
        let (row, _) = read::version_alone(conn, self.ws, context, (version, seq))?;
        Ok(Some(row))
    }

    /// Checks that the version and the change id of a record say the same.
    fn against(&self, conn: &Connection, change: &Change) -> Result<Vec<String>, StoreError> {
        let mut problems = Vec::new();
        let line = change.line();
        let ctx = read::context(conn, self.ws, &line)?;
        let version = match ctx {
            Some(ctx) => self.version(conn, (ctx, &line), change.version),
            None => Ok(None),
        };
        let name = format!("{} v{}", line_name(&line), change.version);
        match version {
            Ok(Some(row)) => {
                let same = row.seq == self.checked
                    && row.change == change.id
                    && row.hash == change.hash
                    && row.committed_at == change.committed_at
                    && (!row.whole || matches!(change.effect, Effect::Snapshot(_)));
                if !same {
                    problems.push(format!("the row of {name} says something else"));
                }
            }
            Ok(None) => problems.push(format!("{name} is not in the history")),
            Err(error) => problems.push(format!("the row of {name}: {error}")),
        }
        match read::ids(conn, self.ws, &[change.id]).map(|mut rows| rows.pop().flatten()) {
            Ok(Some(row)) => {
                if let Err(error) = unpack_json(&row.outcome) {
                    problems.push(format!("the outcome of change {}: {error}", change.id));
                }
            }
            Ok(None) => problems.push(format!("change {} is not among the ids", change.id)),
            Err(error) => problems.push(format!("the id of change {}: {error}", change.id)),
        }
        Ok(problems)
    }
}

fn hashes_to(json: &Json, change: &Change) -> bool {
    let object = json.as_object().cloned();
    object.is_some_and(|object| Document::from_stored(object).hash() == change.hash)
}
