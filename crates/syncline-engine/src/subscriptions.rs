//! Definitions of durable subscriptions: contexts of a built-in kind, so that they replicate, are
//! audited and can be undone. Typed calls are their front.

use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_model::change::Receipt;
use syncline_model::cursor::Position;
use syncline_model::head::Head;
use syncline_model::ids::{Address, Seq};
use syncline_model::json::{Json, Object};
use syncline_model::proposal::{Operation, Own, Precondition, Proposal};
use syncline_rules::Principal;

use crate::reads::When;
use crate::workspace::Workspace;

/// The built-in kind whose contexts define durable subscriptions: one for each name.
pub const SUBSCRIPTION_KIND: &str = "syncline_subscription";

/// Returns the context that defines a durable subscription, if this can be the name of one.
pub fn subscription_address(name: &str) -> Result<Address, Problem> {
    Address::from_parts(SUBSCRIPTION_KIND, name).map_err(|_| {
        let shown: String = name.chars().take(60).collect();
        let detail = format!(
            "{shown:?} is no name of a subscription: it begins with a letter or digit, and has at \
             most 200 letters, digits and ._~@:-"
        );
        Problem::new(Code::Invalid, detail)
    })
}

impl Workspace {
    /// Defines a durable subscription, or defines it anew.
    pub async fn put_subscription(
        &self,
        principal: &Principal,
        name: &str,
        definition: &Json,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        proposal.context = subscription_address(name)?;
        proposal.operation = Operation::Replace;
        proposal.create = true;
        let mut body = Object::new();
        body.insert("title", Json::from(name));
        body.insert("data", definition.clone());
        proposal.body = Json::Object(body);
        proposal.own = Some(Box::new(Own::default()));
        let there = self.head_if_any(&proposal.context).await?;
        if there.is_some_and(|head| !head.deleted) {
            overwrite_if_unsaid(&mut proposal);
        }
        self.submit(principal, proposal).await
    }

    /// Takes a definition back.
    pub async fn remove_subscription(
        &self,
        principal: &Principal,
        name: &str,
        mut proposal: Proposal,
    ) -> Result<Receipt, Problem> {
        proposal.context = subscription_address(name)?;
        let sent = Json::Object(Object::new());
        let before = self.heard_before(&mut proposal, Operation::Delete, sent);
        if let Some(receipt) = before.await? {
            return Ok(receipt);
        }
        self.subscription(principal, name).await?;
        overwrite_if_unsaid(&mut proposal);
        self.submit(principal, proposal).await
    }

    /// Returns a definition.
    pub async fn subscription(
        &self,
        principal: &Principal,
        name: &str,
    ) -> Result<Arc<Head>, Problem> {
        let address = subscription_address(name)?;
        let found = self.get(principal, &address, When::Head).await;
        found.map_err(|problem| match problem.code {
            Code::NotFound | Code::Deleted => {
                let detail = format!("there is no durable subscription \"{name}\"");
                Problem::new(Code::NotFound, detail)
                    .hint("POST /v1/subscriptions makes one; GET /v1/subscriptions lists them")
            }
            _ => problem,
        })
    }

    /// Returns the place after a record; `None` where the log does not hold it.
    pub async fn place_after(&self, seq: Seq) -> Result<Option<Position>, Problem> {
        self.position_at(seq).await
    }
}

/// A definition is overwritten unless the writer says on what it was made.
fn overwrite_if_unsaid(proposal: &mut Proposal) {
    if proposal.base.is_none() && proposal.precondition == Precondition::None {
        proposal.precondition = Precondition::MatchAny;
    }
}
