//! What decisions ask for beside heads and bases: who touched what, what is declared for a kind, and
//! which conflicts a context had.

use std::sync::Arc;

use syncline_api::Problem;
use syncline_model::change::Change;
use syncline_model::conflict::Conflict;
use syncline_model::ids::{Address, Kind, Version};
use syncline_rules::{KindRules, Touch, schema_address};
use syncline_store::ConflictQuery;

use crate::committer::Committer;
use crate::heads::Cached;
use crate::load::{change_at, store_problem};

/// Bounds how many changes are asked who set what; an older one counts as the head's.
const TOUCHES_MAX: usize = 256;
/// Bounds the conflicts of a context that a rollback may open again.
const CONFLICTS_MAX: usize = 1_000;
/// Bounds the kinds whose rules are kept compiled.
const KINDS_MAX: usize = 1_000;

impl Committer {
    /// Returns what touched a line after a version, newest first.
    pub(crate) async fn touches(
        &mut self,
        line: &Address,
        after: Version,
    ) -> Result<Vec<Touch>, Problem> {
        let flight = self.flight.as_ref().map(|f| &f.decided.batch.changes);
        let batches = [Some(&self.open.batch.changes), flight];
        let decided = batches.into_iter().flatten().flat_map(|b| b.iter().rev());
        let of_line = |change: &&Change| change.version > after && change.line() == *line;
        let mut touches: Vec<_> = decided.filter(of_line).map(Touch::of).collect();
        let shared = &self.shared;
        // Most are among the recent records; those before them are asked of the store.
        let recent = shared.tail.newest(TOUCHES_MAX);
        let newest = recent.iter().rev().map(|entry| &entry.change);
        for change in newest.filter(of_line) {
            let due = touches
                .last()
                .is_none_or(|last| last.version.0 == change.version.0 + 1);
            if due {
                touches.push(Touch::of(change));
            }
        }
        if touches
            .last()
            .is_some_and(|last| last.version == after.next())
        {
            return Ok(touches);
        }
        let below = touches.last().map(|touch| touch.version);
        let rows = shared
            .store
            .versions(&shared.id, line, below, TOUCHES_MAX)
            .await;
        for row in rows.map_err(store_problem)? {
            if row.version <= after || touches.len() >= TOUCHES_MAX {
                break;
            }
            let change = change_at(&*shared.store, &shared.id, row.seq).await?;
            touches.extend(change.as_ref().map(Touch::of));
        }
        Ok(touches)
    }

    /// Returns what is declared for a kind, compiled once for each change of it.
    pub(crate) async fn kind_rules(&mut self, kind: &Kind) -> Result<Arc<KindRules>, Problem> {
        let address = schema_address(kind);
        if !self.open.batch.view.knows(&address) {
            match self.at_hand(&address) {
                Some(Cached::Absent) => return Ok(self.nothing.clone()),
                Some(cached) => {
                    crate::deciding::put_cached(&mut self.open.batch.view, &address, &cached)
                }
                None => self.load_heads(vec![address.clone()]).await?,
            }
        }
        let Some(head) = self
            .open
            .batch
            .view
            .head(&address)
            .filter(|head| !head.deleted)
        else {
            return Ok(self.nothing.clone());
        };
        if let Some((change, rules)) = self.kinds.get(kind)
            && *change == head.change
        {
            return Ok(rules.clone());
        }
        // It was compiled before it was taken; what a newer node declared binds nobody here.
        let rules = Arc::new(KindRules::of_document(&head.document).unwrap_or_default());
        if self.kinds.len() >= KINDS_MAX {
            self.kinds.clear();
        }
        self.kinds
            .insert(kind.clone(), (head.change, rules.clone()));
        Ok(rules)
    }

    /// Returns all conflicts of a context, as the batches so far leave them.
    pub(crate) async fn conflicts_of(
        &mut self,
        address: &Address,
    ) -> Result<Vec<Conflict>, Problem> {
        let query = ConflictQuery {
            context: Some(address.clone()),
            limit: CONFLICTS_MAX,
            ..ConflictQuery::default()
        };
        let shared = &self.shared;
        let mut known = shared
            .store
            .conflicts(&shared.id, &query)
            .await
            .map_err(store_problem)?;
        let flight = self.flight.as_ref().map(|f| &f.decided.batch.changes);
        let batches = [flight, Some(&self.open.batch.changes)];
        for change in batches.into_iter().flatten().flatten() {
            for conflict in change.conflicts.iter().filter(|c| c.context == *address) {
                known.retain(|c| c.id != conflict.id);
                known.push(conflict.clone());
            }
        }
        Ok(known)
    }
}
