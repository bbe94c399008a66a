//! The memory store's look at itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use syncline_model::conflict::{Conflict, ConflictId};
use syncline_model::document::DocumentHash;
use syncline_model::ids::{Address, Seq, Version};
use syncline_model::record::{RecordHash, RotError};

use super::{Workspace, is_main};
use crate::replay::read_body;
use crate::rows::HeadBody;
use crate::traits::VerifyReport;

impl Workspace {
    pub(super) fn verify(&self, report: &mut VerifyReport) {
        let mut before = RecordHash::genesis(&self.row.log);
        let name = &self.row.id;
        let mut told = BTreeMap::new();
        for record in &self.records {
            report.records += 1;
            let seq = record.header.seq;
            let thinned = record.is_thinned() && seq <= self.row.low_water;
            let checked = record.header.check_follows(&before);
            let checked = checked.and_then(|()| match thinned {
                true => Ok(Vec::new()),
                false => record.open().map(|change| change.conflicts),
            });
            match checked {
                Ok(conflicts) if seq > self.row.low_water => {
                    told.extend(conflicts.into_iter().map(|c| (c.id, c)));
                }
                Ok(_) => {}
                Err(error) => report.problems.push(format!("workspace {name}: {error}")),
            }
            before = record.header.hash;
        }
        self.verify_conflicts(&told, report);
        for (address, context) in &self.contexts {
            report.contexts += u64::from(is_main(address));
            let rebuild = self.rebuild(address, context.head.version);
            let checked = rebuild.and_then(|rebuild| Ok(crate::replay(&rebuild)?));
            report.documents += 1;
            if let Err(error) = checked {
                report
                    .problems
                    .push(format!("workspace {name}: context {address}: {error}"));
            }
            let snapshots = context
                .versions
                .iter()
                .filter_map(|row| Some((row, row.snapshot.clone()?)));
            for (row, bytes) in snapshots {
                report.documents += 1;
                if hash_of(row.version, bytes) != Ok(row.hash) {
                    let line = format!(
                        "workspace {name}: the snapshot of {address} v{} is rotten",
                        row.version
                    );
                    report.problems.push(line);
                }
            }
        }
    }

    /// Compares the conflicts with what the records above the low-water mark tell of them, and the
    /// heads' with them.
    fn verify_conflicts(&self, told: &BTreeMap<ConflictId, Conflict>, report: &mut VerifyReport) {
        let name = &self.row.id;
        // Once something was thinned, the record that told of a conflict may be gone.
        let whole = self.row.low_water == Seq::ZERO;
        let kept = self.conflicts.keys().filter(|_| whole);
        let all: BTreeSet<_> = told.keys().chain(kept).collect();
        for id in all {
            if told.get(id) != self.conflicts.get(id) {
                let line = format!("workspace {name}: conflict {id} is not what its record says");
                report.problems.push(line);
            }
        }
        let mut open: HashMap<Address, Vec<&Conflict>> = HashMap::new();
        for conflict in self.conflicts.values().filter(|c| c.is_open()) {
            let line = conflict.context.line(conflict.branch.as_ref());
            open.entry(line).or_default().push(conflict);
        }
        for (line, context) in &self.contexts {
            let mut shown: Vec<_> = context.head.conflicts.iter().collect();
            shown.sort_by_key(|conflict| conflict.id);
            if shown != open.remove(line).unwrap_or_default() {
                let line = format!("workspace {name}: context {line}: its head's conflicts differ");
                report.problems.push(line);
            }
        }
        for line in open.keys() {
            let line = format!("workspace {name}: a conflict waits in {line}, which is not there");
            report.problems.push(line);
        }
    }
}

fn hash_of(version: Version, bytes: Arc<[u8]>) -> Result<DocumentHash, RotError> {
    Ok(read_body(&HeadBody { version, bytes })?.hash())
}
