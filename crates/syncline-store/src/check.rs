//! What every backend checks of an append before it writes.

use std::collections::HashSet;

use syncline_model::ids::Seq;
use syncline_model::record::RecordHash;

use crate::error::StoreError;
use crate::rows::Append;

/// Checks that `batch` continues a log which ends at `last`, and that its parts fit together.
///
/// A log is checked for ever by its chain, so a batch that would break it is never written.
pub fn check_append(
    last: Seq,
    last_hash: &RecordHash,
    after: Seq,
    batch: &Append,
) -> Result<(), StoreError> {
    if after != last {
        return Err(StoreError::Moved { last });
    }
    if batch.versions.len() != batch.records.len() {
        return Err(broken("there is not one version row for each record"));
    }
    let mut before = *last_hash;
    let mut seq = last;
    for (record, version) in batch.records.iter().zip(&batch.versions) {
        seq = seq.next();
        if record.header.seq != seq || version.seq != seq {
            return Err(broken("the records' places are not consecutive"));
        }
        record
            .header
            .check_follows(&before)
            .map_err(|error| broken(&error.to_string()))?;
        before = record.header.hash;
    }
    if batch
        .heads
        .iter()
        .any(|head| head.seq <= after || head.seq > seq)
    {
        return Err(broken("a head names a record outside of the batch"));
    }
    // A conflict is what a record says of it.
    if !batch.conflicts.is_empty() && batch.records.is_empty() {
        return Err(broken(
            "there are conflicts, and no record that tells of them",
        ));
    }
    let mut ids = HashSet::new();
    if let Some(twice) = batch.conflicts.iter().find(|c| !ids.insert(c.id)) {
        return Err(broken(&format!("conflict {} is there twice", twice.id)));
    }
    Ok(())
}

fn broken(why: &str) -> StoreError {
    StoreError::NotWritten(format!("the batch is not whole: {why}"))
}
