//! The walk over contexts: heads, versions, stored documents, labels.

use rusqlite::Connection;
use syncline_model::conflict::Conflict;
use syncline_model::document::Document;
use syncline_model::ids::{Address, BranchName, Seq, Version};
use syncline_model::record::RotError;
use syncline_store::{HeadBody, HeadRow, StoreError, VersionRow, WorkspaceRow, read_body, replay};

use super::{Findings, Workspaces};
use crate::errors::{reading, rot};
use crate::history::History;
use crate::rows::{self, blob, line_name};
use crate::{conflicts, list, read};

/// Bounds the contexts of one read transaction.
const CHUNK_CONTEXTS: i64 = 64;

/// Checks the next contexts.
pub(super) fn chunk(
    conn: &Connection,
    workspaces: &Workspaces,
    after: i64,
    findings: &mut Findings,
) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "SELECT ctx, ws, branch IS NULL FROM context WHERE ctx > ?1 \
        ORDER BY ctx LIMIT ?2";
    let found = read::all(conn, SQL, (after, CHUNK_CONTEXTS), |row| {
        Ok((
            row.get::<_, i64>(0).map_err(reading)?,
            row.get::<_, i64>(1).map_err(reading)?,
            row.get::<_, bool>(2).map_err(reading)?,
        ))
    })?;
    let mut last = None;
    for (ctx, ws, main) in found {
        last = Some(ctx);
        // A workspace that was made after the walk began is left for the next.
        if let Some(row) = workspaces.get(&ws) {
            let walked = row.last;
            // As the log is now: the context may have been written since the walk began.
            let ws = read::workspace(conn, &row.id)?;
            findings.0.contexts += u64::from(main);
            Check {
                conn,
                ws: &ws,
                walked,
                ctx,
                name: String::new(),
                findings,
            }
            .run();
        }
    }
    Ok(last)
}

/// One part of a context's check.
type Part<C> = fn(&mut C, &HeadRow) -> Result<(), StoreError>;

struct Check<'a> {
    conn: &'a Connection,
    ws: &'a (i64, WorkspaceRow),
    /// Where the walk along the log ended: up to here each record was checked by the one before.
    walked: Seq,
    ctx: i64,
    name: String,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn run(&mut self) {
        self.name = match self.address() {
            Ok(text) => match Address::parse_line(&text) {
                Ok(line) => format!("context {}", line_name(&line)),
                Err(_) => format!("context {text}"),
            },
            Err(_) => format!("context number {}", self.ctx),
        };
        let head = match self.head() {
            Ok(head) => head,
            Err(error) => return self.failed(&error),
        };
        let checks: [Part<Self>; 6] = [
            Self::branch,
            Self::history,
            Self::document,
            Self::stored,
            Self::labels,
            Self::conflicts,
        ];
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

    /// The branch is the one that the key of its line names: lists go by it.
    fn branch(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        const SQL: &str = "SELECT branch FROM context WHERE ctx = ?1";
        let found = read::first(self.conn, SQL, [self.ctx], |row| {
            row.get::<_, Option<String>>(0).map_err(reading)
        })?;
        let (_, branch) = head.address.of_line();
        if found.flatten().as_deref() != branch.as_ref().map(BranchName::as_str) {
            self.failed(&"its branch is not that of its line");
        }
        Ok(())
    }

    /// Each version has its record, later than the one before, and the newest is the head's.
    fn history(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        const CHUNKS: &str = "SELECT count(*) FROM version_chunk WHERE ctx = ?1";
        let mut history = History::of(self.conn, self.ctx)?;
        let (mut before, mut gap) = (Seq::ZERO, false);
        // A context has no more versions than its log has records, whatever its row says.
        for number in 1..=head.version.0.min(self.ws.1.last.0) {
            let version = Version(number);
            let seq = match history.seq(version) {
                Ok(seq) => seq.unwrap_or(Seq::ZERO),
                Err(error) => {
                    // A whole chunk is missing, so it is said once.
                    if History::begins_chunk(version) {
                        self.failed(&error);
                    }
                    continue;
                }
            };
            if seq <= before {
                self.failed(&format!("version {version} does not follow the one before"));
            }
            before = seq;
            let thinned = self.version(head, (version, seq));
            if gap
                && !thinned
                && !read::stands_alone(self.conn, self.ws.0, self.ctx, (version, seq))?
            {
                self.failed(&format!(
                    "version {version} has no document to be rebuilt from"
                ));
            }
            gap = thinned;
        }
        let chunks = read::first(self.conn, CHUNKS, [self.ctx], |row| {
            row.get::<_, i64>(0).map_err(reading)
        })?;
        if chunks != Some(History::chunks_apart(head.version)) {
            self.failed(&"its history has more or fewer parts than its versions need");
        }
        if before != head.seq {
            self.failed(&"its head is not its newest version");
        }
        Ok(())
    }

    fn row(&self, head: &HeadRow, place: (Version, Seq)) -> Result<VersionRow, StoreError> {
        let context = (self.ctx, &head.address);
        if place.1 > self.walked {
            return read::version_of(self.conn, self.ws.0, context, place);
        }
        read::version_alone(self.conn, self.ws.0, context, place).map(|(row, _)| row)
    }

    /// Checks one version's record against the head; says whether it was thinned.
    fn version(&mut self, head: &HeadRow, (version, seq): (Version, Seq)) -> bool {
        let row = match self.row(head, (version, seq)) {
            Ok(row) => row,
            Err(StoreError::Rot(RotError::Chain(_))) => {
                self.failed(&format!("version {version} has no record {seq}"));
                return false;
            }
            Err(error) => {
                self.failed(&format!("version {version}: {error}"));
                return false;
            }
        };
        if row.thinned && seq > self.ws.1.low_water {
            self.failed(&format!("version {version} has an empty record {seq}"));
        }
        if version == Version(1) && row.committed_at != head.created_at {
            self.failed(&"its head says another time of creation");
        }
        let same = row.seq == head.seq
            && row.change == head.change
            && row.hash == head.hash
            && row.committed_at == head.updated_at;
        if version == head.version && !same {
            self.failed(&"its head is not its newest version");
        }
        row.thinned
    }

    /// The head's document is the one whose hash was recorded, and the columns show it.
    fn document(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        let rebuild = read::rebuild(self.conn, self.ws, (self.ctx, &head.address), head.version)?;
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
        const BODY: &str = "SELECT version, bytes FROM body WHERE ctx = ?1";
        const SNAPSHOTS: &str = "SELECT version, bytes FROM snapshot WHERE ctx = ?1";
        for (sql, what) in [(BODY, "the stored body of"), (SNAPSHOTS, "the snapshot of")] {
            let found = read::all(self.conn, sql, [self.ctx], |row| {
                let version = Version(row.get::<_, i64>(0).map_err(reading)?.cast_unsigned());
                Ok(HeadBody {
                    version,
                    bytes: blob(row, 1)?,
                })
            })?;
            for body in found {
                self.findings.0.documents += 1;
                let context = (self.ctx, &head.address);
                let row = read::version(self.conn, self.ws.0, context, body.version);
                let why = match (read_body(&body), row) {
                    (Err(error), _) => error.to_string(),
                    (_, Err(error)) => error.to_string(),
                    (Ok(document), Ok(Some(row))) if document.hash() == row.hash => continue,
                    _ => "it does not match its hash".to_owned(),
                };
                self.failed(&format!("{what} version {}: {why}", body.version));
            }
        }
        Ok(())
    }

    /// The label rows are those of the head; a branch has none.
    fn labels(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        if head.address.of_line().1.is_some() {
            return Ok(());
        }
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

    /// The conflicts in the head are those that wait in its line.
    fn conflicts(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        let waiting = conflicts::open_of(self.conn, self.ws.0, &head.address)?;
        if by_id(&head.conflicts) != by_id(&waiting) {
            self.failed(&"its head's conflicts are not those that wait in it");
        }
        Ok(())
    }
}

/// Conflicts that came in one order are compared by id.
fn by_id(conflicts: &[Conflict]) -> Vec<&Conflict> {
    let mut all: Vec<_> = conflicts.iter().collect();
    all.sort_by_key(|conflict| conflict.id);
    all
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
