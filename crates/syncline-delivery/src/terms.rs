//! By what a subscriber chooses, whichever way it is told.

use std::sync::Arc;

use syncline_api::{Condition, Filters, Problem, Scope, ScopeTerm};
use syncline_engine::Workspace;
use syncline_model::ids::Address;
use syncline_rules::Matcher;

use crate::feed::Exclude;

/// By what a subscriber chooses among changes.
#[derive(Clone)]
pub struct Terms {
    /// Which contexts.
    pub scope: Scope,
    /// The ancestors of each `inherited` term's context, in the order of those terms.
    pub inherited: Vec<Vec<Address>>,
    /// Which of their changes.
    pub matcher: Arc<Matcher>,
    /// Whose changes are left out.
    pub exclude: Option<Exclude>,
}

impl Terms {
    /// Takes terms as they are defined, with the lines of ancestors as they are today.
    pub async fn of(
        workspace: &Workspace,
        scope: &Scope,
        filter: &Filters,
        condition: Option<&Condition>,
    ) -> Result<Terms, Problem> {
        let condition = condition.map(Condition::as_str);
        Ok(Terms {
            inherited: lines(workspace, scope).await?,
            scope: scope.clone(),
            matcher: Arc::new(Matcher::compile(filter, condition)?),
            exclude: None,
        })
    }
}

/// Returns the ancestors of each `inherited` term's context, as they are today.
pub(crate) async fn lines(
    workspace: &Workspace,
    scope: &Scope,
) -> Result<Vec<Vec<Address>>, Problem> {
    let mut lines = Vec::new();
    for term in &scope.0 {
        if let ScopeTerm::Inherited(context) = term {
            lines.push(match workspace.head_if_any(context).await? {
                Some(head) => workspace.place(&head).await?.ancestors.to_vec(),
                None => Vec::new(),
            });
        }
    }
    Ok(lines)
}
