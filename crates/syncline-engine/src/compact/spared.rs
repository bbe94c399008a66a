//! What thinning must spare of a context, whatever its policy says.

use std::collections::{BTreeMap, BTreeSet};

use syncline_api::Problem;
use syncline_model::change::ChangeType;
use syncline_model::conflict::Conflict;
use syncline_model::ids::{Address, Version};
use syncline_model::json::Json;
use syncline_store::ConflictQuery;

use crate::load::store_problem;
use crate::workspace::Workspace;

/// How many changes or conflicts are looked at in one read.
const PAGE: usize = 200;

/// The versions of a context that have tags, that branches began as or were merged at, and that
/// open conflicts are of; by line.
pub struct Spared(BTreeMap<Address, BTreeSet<Version>>);

impl Spared {
    /// Looks them up.
    pub async fn of(workspace: &Workspace, address: &Address) -> Result<Spared, Problem> {
        let mut spared = Spared(BTreeMap::from([(address.clone(), BTreeSet::new())]));
        for version in workspace.tagged(address).await? {
            spared.add(address, version);
        }
        spared.branches(workspace, address).await?;
        spared.conflicts(workspace, address).await?;
        Ok(spared)
    }

    /// Walks the lines: `main`, and its branches.
    pub fn lines(&self) -> impl Iterator<Item = &Address> {
        self.0.keys()
    }

    /// Says whether a version is spared.
    pub fn has(&self, line: &Address, version: Version) -> bool {
        self.0.get(line).is_some_and(|all| all.contains(&version))
    }

    fn add(&mut self, line: &Address, version: Version) {
        self.0.entry(line.clone()).or_default().insert(version);
    }

    /// Spares where branches began, ended ones too, and where one was merged into another: there
    /// the next merge starts from.
    async fn branches(&mut self, workspace: &Workspace, address: &Address) -> Result<(), Problem> {
        let shared = &workspace.shared;
        let rows = shared.store.branches(&shared.id, address).await;
        let rows = rows.map_err(store_problem)?;
        if rows.is_empty() {
            return Ok(());
        }
        let lines = rows.iter().map(|row| &row.address);
        for line in std::iter::once(address).chain(lines) {
            self.meetings(workspace, address, line).await?;
        }
        Ok(())
    }

    /// Spares what a line has of another: where it began, and what it merged.
    async fn meetings(
        &mut self,
        workspace: &Workspace,
        address: &Address,
        line: &Address,
    ) -> Result<(), Problem> {
        self.0.entry(line.clone()).or_default();
        let mut below = None;
        loop {
            let page = workspace.changes_of(line, below, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            below = Some(last.change.version);
            for change in page.iter().map(|entry| &entry.change) {
                if let Some(merged) = &change.merges {
                    self.add(line, change.version);
                    self.add(&address.line(merged.branch.as_ref()), merged.version);
                }
                if change.branch.is_some() && change.kind == ChangeType::Create {
                    self.add(line, change.version);
                    change.base.iter().for_each(|base| self.add(address, *base));
                }
            }
        }
    }

    /// Spares the sides of open conflicts: the version that each came with, the head that it met,
    /// and its base.
    async fn conflicts(&mut self, workspace: &Workspace, address: &Address) -> Result<(), Problem> {
        let shared = &workspace.shared;
        let mut query = ConflictQuery {
            context: Some(address.clone()),
            open: true,
            after: None,
            limit: PAGE,
        };
        loop {
            let page = shared.store.conflicts(&shared.id, &query).await;
            let page = page.map_err(store_problem)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            query.after = Some(last.id);
            for conflict in &page {
                self.conflict(workspace, conflict).await?;
            }
        }
    }

    async fn conflict(
        &mut self,
        workspace: &Workspace,
        conflict: &Conflict,
    ) -> Result<(), Problem> {
        let line = conflict.context.line(conflict.branch.as_ref());
        let opened = conflict.opened;
        self.add(&line, opened);
        self.add(&line, Version(opened.0.saturating_sub(1)));
        let change = workspace.changes_of(&line, Some(opened.next()), 1).await?;
        let change = change.first().map(|entry| &entry.change);
        let base = change.filter(|change| change.version == opened);
        if let Some(base) = base.and_then(|change| change.base) {
            self.add(&line, base);
        }
        Ok(())
    }
}

impl Workspace {
    /// Returns the versions of a context that have tags.
    async fn tagged(&self, address: &Address) -> Result<Vec<Version>, Problem> {
        let tags = self.tags_of(address).await?;
        let version = |tag: &Json| tag.get("version").and_then(Json::as_u64).map(Version);
        Ok(tags.iter().filter_map(|(_, tag)| version(tag)).collect())
    }
}
