//! What decisions ask for beside heads and bases: who touched what, what is declared for a kind, and
//! which conflicts a context had.

use std::sync::Arc;

use syncline_api::Problem;
use syncline_model::change::Change;
use syncline_model::conflict::Conflict;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Kind, Version};
use syncline_rules::{KindRules, Touch, WorkspaceRules, rules_address, schema_address};
use syncline_store::ConflictQuery;

use crate::committer::Committer;
use crate::heads::Cached;
use crate::load::{change_at, store_problem};

/// Bounds how many changes are asked who set what; an older one counts as the head's.
pub(crate) const TOUCHES_MAX: usize = 1_024;
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
        let of_line = |change: &&Change| change.version > after && *change.line() == *line;
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

    /// Returns what is declared for a kind and for the workspace, compiled once for each change of
    /// either.
    pub(crate) async fn kind_rules(&mut self, kind: &Kind) -> Result<Arc<KindRules>, Problem> {
        let workspace = self.declaration(&rules_address()).await?;
        let declared = self.declaration(&schema_address(kind)).await?;
        let made_of = [&declared, &workspace].map(|head| head.as_ref().map(|head| head.change));
        if made_of == [None, None] {
            return Ok(self.nothing.clone());
        }
        if let Some((of, rules)) = self.kinds.get(kind)
            && *of == made_of
        {
            return Ok(rules.clone());
        }
        let rules = Arc::new(declared_in(declared.as_deref(), workspace.as_deref()));
        if self.kinds.len() >= KINDS_MAX {
            self.kinds.clear();
        }
        self.kinds.insert(kind.clone(), (made_of, rules.clone()));
        Ok(rules)
    }

    /// Returns a context that declares something, as the open batch leaves it.
    async fn declaration(&mut self, address: &Address) -> Result<Option<Arc<Head>>, Problem> {
        if !self.open.batch.view.knows(address) {
            match self.at_hand(address) {
                Some(Cached::Absent) => return Ok(None),
                Some(cached) => {
                    crate::deciding::put_cached(&mut self.open.batch.view, address, &cached)
                }
                None => self.load_heads(vec![address.clone()]).await?,
            }
        }
        let head = self.open.batch.view.head(address);
        Ok(head.filter(|head| !head.deleted).cloned())
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

/// Returns what two contexts declare, the one for a kind, the other for the whole workspace.
///
/// Both were compiled before they were taken; what a newer node declared binds nobody here.
pub(crate) fn declared_in(kind: Option<&Head>, workspace: Option<&Head>) -> KindRules {
    let kind = kind.map(|head| KindRules::of_document(&head.document));
    let workspace = workspace.map(|head| WorkspaceRules::of_document(&head.document));
    KindRules {
        workspace: Arc::new(
            workspace
                .unwrap_or(Ok(Default::default()))
                .unwrap_or_default(),
        ),
        ..kind.unwrap_or(Ok(KindRules::default())).unwrap_or_default()
    }
}
