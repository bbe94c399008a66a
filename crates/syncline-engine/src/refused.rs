//! Refusals that are heard again: their sides are not kept, and come from history.

use syncline_api::{Problem, Sides};
use syncline_model::conflict::ConflictId;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Version};
use syncline_model::proposal::Proposal;
use syncline_rules::{Refusal, conflict_sides, sides};

use crate::load::{Past, past, store_problem};
use crate::workspace::Shared;

impl Shared {
    /// Returns a refusal as it was given the first time.
    pub(crate) async fn refusal_again(
        &self,
        proposal: &Proposal,
        refusal: Refusal,
    ) -> Result<Problem, Problem> {
        let mut problem = refusal.problem;
        // Those of a refusal in this very batch are at hand, and may not be in the history yet.
        if !refusal.sided || problem.sides.is_some() {
            return Ok(problem);
        }
        let sides = match &refusal.conflict {
            Some(id) => self.sides_of_conflict(id, refusal.theirs).await?,
            None => {
                let line = proposal.line();
                let base = self.if_kept(&line, refusal.base).await?;
                let theirs = self.if_kept(&line, refusal.theirs).await?;
                let base = base.as_ref().map(|head| (head.version, &head.document));
                let rules = &self.settings.rules;
                Some(sides(proposal, base, theirs.as_ref(), rules))
            }
        };
        problem.sides = sides.map(Box::new);
        Ok(problem)
    }

    /// Returns a conflict's sides as they were when its line was at a version.
    async fn sides_of_conflict(
        &self,
        id: &ConflictId,
        theirs: Option<Version>,
    ) -> Result<Option<Sides>, Problem> {
        let found = self.store.conflict(&self.id, id).await;
        let Some(conflict) = found.map_err(store_problem)? else {
            return Ok(None);
        };
        let line = conflict.context.line(conflict.branch.as_ref());
        let theirs = self.if_kept(&line, theirs).await?;
        Ok(Some(conflict_sides(&conflict, theirs.as_ref())))
    }

    /// Returns a version of a line, if one is named; one that was thinned is left out.
    async fn if_kept(
        &self,
        line: &Address,
        version: Option<Version>,
    ) -> Result<Option<Head>, Problem> {
        let Some(version) = version else {
            return Ok(None);
        };
        match past(&*self.store, &self.id, line, version).await? {
            Past::Kept(head) => Ok(Some(*head)),
            Past::Thinned(_) | Past::Absent => Ok(None),
        }
    }
}
