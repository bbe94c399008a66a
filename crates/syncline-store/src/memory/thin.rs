//! The memory store's thinning.

use std::collections::HashSet;

use super::{Context, Workspace};
use crate::error::StoreError;
use crate::rows::HeadBody;
use crate::thin::{Thinned, Thinning, refused};

impl Workspace {
    /// Checks all of it first, so that it is done whole or not at all.
    pub(super) fn thin(&mut self, thinning: &Thinning) -> Result<Thinned, StoreError> {
        let context = self.contexts.get_mut(&thinning.line);
        let context = context.ok_or_else(|| refused("there is no such context"))?;
        thinning.check(context.head.version)?;
        context.check_edges(thinning)?;
        let mut thinned = Thinned::default();
        for at in thinning.versions.iter().filter_map(|v| v.0.checked_sub(1)) {
            let row = usize::try_from(at)
                .ok()
                .and_then(|at| context.versions.get_mut(at));
            let Some(row) = row.filter(|row| !row.thinned) else {
                continue;
            };
            row.thinned = true;
            thinned.bytes += row.snapshot.take().map_or(0, |bytes| bytes.len() as u64);
            let record = usize::try_from(row.seq.0 - 1)
                .ok()
                .and_then(|at| self.records.get_mut(at));
            if let Some(record) = record {
                thinned.bytes += record.body.len() as u64;
                record.thin();
            }
            thinned.versions += 1;
            self.row.low_water = self.row.low_water.max(row.seq);
        }
        context.keep_documents(thinning);
        thinned.low_water = self.row.low_water;
        Ok(thinned)
    }
}

impl Context {
    fn check_edges(&self, thinning: &Thinning) -> Result<(), StoreError> {
        let given: HashSet<_> = thinning.documents.iter().map(|d| d.version).collect();
        for version in thinning.edges() {
            let row = self.versions.iter().find(|row| row.version == version);
            let sound = row.is_some_and(|row| {
                row.thinned || row.whole || row.snapshot.is_some() || given.contains(&version)
            });
            if !sound {
                return Err(refused("a version that stays would have no document"));
            }
        }
        Ok(())
    }

    fn keep_documents(&mut self, thinning: &Thinning) {
        for HeadBody { version, bytes } in &thinning.documents {
            let mut rows = self.versions.iter_mut();
            if let Some(row) = rows.find(|row| row.version == *version && !row.thinned) {
                row.snapshot.get_or_insert_with(|| bytes.clone());
            }
        }
        let gone = |body: &HeadBody| thinning.versions.binary_search(&body.version).is_ok();
        if self.head.body.as_ref().is_some_and(gone) {
            self.head.body = None;
        }
    }
}
