//! The walk over contexts: heads, versions, stored documents, labels.

use std::collections::HashMap;

use rusqlite::Connection;
use syncline_model::document::{Document, DocumentHash};
use syncline_model::ids::{Address, Seq, Version};
use syncline_store::{HeadBody, HeadRow, StoreError, VersionRow, WorkspaceRow, read_body, replay};

use super::Findings;
use crate::errors::{reading, rot};
use crate::rows::{self, array, blob, pos};
use crate::{list, read};

/// Bounds the contexts of one read transaction.
const CHUNK_CONTEXTS: i64 = 64;

pub(super) struct Walk {
    workspaces: HashMap<i64, WorkspaceRow>,
    checked: i64,
    done: bool,
}

impl Walk {
    pub(super) fn new(workspaces: HashMap<i64, WorkspaceRow>) -> Walk {
        Walk {
            workspaces,
            checked: i64::MIN,
            done: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Ends the walk where the file cannot be read.
    pub(super) fn give_up(&mut self, error: &StoreError, findings: &mut Findings) {
        findings.problem(format!("contexts: {error}"));
        self.done = true;
    }

    /// Checks the next contexts.
    pub(super) fn chunk(
        &mut self,
        conn: &Connection,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        const SQL: &str = "SELECT ctx, ws FROM context WHERE ctx > ?1 ORDER BY ctx LIMIT ?2";
        let found = read::all(conn, SQL, (self.checked, CHUNK_CONTEXTS), |row| {
            Ok((
                row.get::<_, i64>(0).map_err(reading)?,
                row.get::<_, i64>(1).map_err(reading)?,
            ))
        })?;
        self.done = found.is_empty();
        for (ctx, ws) in found {
            self.checked = ctx;
            // A workspace that was made after the walk began is left for the next.
            if let Some(row) = self.workspaces.get(&ws) {
                findings.0.contexts += 1;
                Check {
                    conn,
                    ws: &(ws, row.clone()),
                    ctx,
                    name: String::new(),
                    findings,
                }
                .run();
            }
        }
        Ok(())
    }
}

/// One part of a context's check.
type Part<C> = fn(&mut C, &HeadRow) -> Result<(), StoreError>;

struct Check<'a> {
    conn: &'a Connection,
    ws: &'a (i64, WorkspaceRow),
    ctx: i64,
    name: String,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn run(&mut self) {
        self.name = match self.address() {
            Ok(address) => format!("context {address}"),
            Err(_) => format!("context number {}", self.ctx),
        };
        let head = match self.head() {
            Ok(head) => head,
            Err(error) => return self.failed(&error),
        };
        let checks: [Part<Self>; 4] = [Self::history, Self::document, Self::stored, Self::labels];
        for check in checks {
            if let Err(error) = check(self, &head) {
                self.failed(&error);
            }
        }
    }

    fn failed(&mut self, error: &impl ToString) {
        self.findings.failed(&self.ws.1.id, &self.name, error);
    }

    fn address(&self) -> Result<String, StoreError> {
        const SQL: &str = "SELECT address FROM context WHERE ctx = ?1";
        let found = read::first(self.conn, SQL, [self.ctx], |row| {
            row.get(0).map_err(reading)
        })?;
        found.ok_or_else(|| rot("it is gone"))
    }

    fn head(&self) -> Result<HeadRow, StoreError> {
        let sql = format!("SELECT {} FROM context c WHERE ctx = ?1", rows::HEAD);
        let found = read::first(self.conn, &sql, [self.ctx], rows::head)?;
        let (_, head) = found.ok_or_else(|| rot("it is gone"))?;
        match read::context(self.conn, self.ws.0, &head.address)? {
            Some(ctx) if ctx == self.ctx => Ok(head),
            _ => Err(rot("it is not found under its address")),
        }
    }

    /// Versions are gapless, have their records, and the newest is the head's.
    fn history(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT {}, (SELECT 1 FROM log WHERE pos = ?2 + v.seq) FROM version v WHERE ctx = ?1 \
                ORDER BY version",
            rows::VERSION
        );
        let mut statement = self.conn.prepare_cached(&sql).map_err(reading)?;
        let mut found = statement
            .query((self.ctx, pos(self.ws.0, Seq::ZERO)))
            .map_err(reading)?;
        let mut before: Option<VersionRow> = None;
        while let Some(row) = found.next().map_err(reading)? {
            let version = match rows::version(row, &head.address) {
                Ok(version) => version,
                Err(error) => {
                    let number: i64 = row.get(0).map_err(reading)?;
                    self.failed(&format!("the row of version {number}: {error}"));
                    before = None;
                    continue;
                }
            };
            let follows = match &before {
                Some(before) => {
                    version.version == before.version.next() && version.seq > before.seq
                }
                None => true,
            };
            if !follows {
                self.failed(&format!(
                    "version {} does not follow the one before",
                    version.version
                ));
            }
            let kept = row.get::<_, Option<i64>>(6).map_err(reading)?.is_some();
            if !kept && version.seq > self.ws.1.low_water {
                self.failed(&format!(
                    "version {} has no record {}",
                    version.version, version.seq
                ));
            }
            if version.version == Version(1) && version.committed_at != head.created_at {
                self.failed(&"its head says another time of creation");
            }
            before = Some(version);
        }
        let newest = before.is_some_and(|row| {
            row.version == head.version
                && row.seq == head.seq
                && row.change == head.change
                && row.hash == head.hash
                && row.committed_at == head.updated_at
        });
        if !newest {
            self.failed(&"its head is not its newest version");
        }
        Ok(())
    }

    /// The head's document is the one whose hash was recorded, and the columns show it.
    fn document(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        let rebuild = read::rebuild(self.conn, self.ws, self.ctx, head.version)?;
        let Some((document, _)) = replay(&rebuild)? else {
            return Err(rot("its head has no document"));
        };
        self.findings.0.documents += 1;
        if document.hash() != head.hash {
            self.failed(&"its head does not match its hash");
        } else if !head.deleted && !shows(head, &document) {
            self.failed(&"its head's columns do not show its document");
        }
        Ok(())
    }

    /// Each stored document is the one whose hash was recorded for its version.
    fn stored(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        const BODY: &str = "SELECT b.version, b.bytes, v.hash FROM body b \
            LEFT JOIN version v ON v.ctx = b.ctx AND v.version = b.version WHERE b.ctx = ?1";
        const SNAPSHOTS: &str = "SELECT s.version, s.bytes, v.hash FROM snapshot s \
            LEFT JOIN version v ON v.ctx = s.ctx AND v.version = s.version WHERE s.ctx = ?1";
        for (sql, what) in [(BODY, "the stored body of"), (SNAPSHOTS, "the snapshot of")] {
            let found = read::all(self.conn, sql, [self.ctx], |row| {
                let version = Version(row.get::<_, i64>(0).map_err(reading)?.cast_unsigned());
                let hash: Result<[u8; 32], StoreError> = array(row, 2);
                let hash = hash.map(DocumentHash).ok();
                Ok((
                    HeadBody {
                        version,
                        bytes: blob(row, 1)?,
                    },
                    hash,
                ))
            })?;
            for (body, hash) in found {
                self.findings.0.documents += 1;
                let is = read_body(&body).map(|document| document.hash());
                if is.as_ref().ok() != hash.as_ref() || body.version > head.version {
                    let why = match is {
                        Err(error) => error.to_string(),
                        Ok(_) => "it does not match its hash".to_owned(),
                    };
                    self.failed(&format!("{what} version {}: {why}", body.version));
                }
            }
        }
        Ok(())
    }

    /// The label rows are those of the head.
    fn labels(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        for (key, value) in head.labels.iter() {
            let Some(value) = value.as_str() else {
                continue;
            };
            if !list::has_label(self.conn, self.ws.0, (key, value), self.ctx)? {
                self.failed(&format!("it is not found by its label {key:?}"));
            }
        }
        Ok(())
    }
}

fn shows(head: &HeadRow, document: &Document) -> bool {
    let owner = document.owner().map(|owner| owner.to_string());
    let parent: Option<Address> = document.parent();
    head.title.as_deref() == document.title()
        && head.parent == parent
        && head.owner == owner
        && head.state == document.state()
        && head.level == document.level()
        && head.labels == *document.labels()
}
