//! Submits: from a message to a receipt.

use syncline_api::{
    BulkMode, Code, ErrorMessage, Problem, ReceiptOrProblem, Submit, read_proposal, write_error,
    write_receipts,
};
use syncline_engine::{Engine, Principal, Workspace};
use syncline_model::ids::ChangeId;
use syncline_model::json::{JsonWriter, Pointer};
use syncline_model::proposal::{Actor, Proposal};

use crate::contexts::{bulk_views, view};

/// What a submit needs, apart from the connection, which goes on reading.
pub(super) struct Submitter {
    pub engine: Engine,
    pub workspace: Workspace,
    pub principal: Principal,
    pub actor: Actor,
}

impl Submitter {
    /// Submits, and returns the message that answers.
    pub async fn answer(self, submit: Submit) -> String {
        let mut w = JsonWriter::with_capacity(256);
        match self.receipts(&submit).await {
            Ok((bulk, receipts)) => write_receipts(&mut w, &submit.id, bulk, &receipts),
            Err(problem) => {
                write_error(
                    &mut w,
                    &ErrorMessage::from_problem(Some(&submit.id), &problem),
                );
            }
        }
        w.into_string()
    }

    /// A lone proposal without a mode is a write of its own; anything else is a bulk, whose id
    /// comes from its first part, so that a resend names it again.
    async fn receipts(
        &self,
        submit: &Submit,
    ) -> Result<(Option<ChangeId>, Vec<ReceiptOrProblem>), Problem> {
        let mut proposals = self.proposals(submit)?;
        if proposals.is_empty() {
            let at = Pointer::from_static("/proposals");
            return Err(Problem::new(Code::Invalid, "a submit has at least one proposal").at(at));
        }
        if let (1, None) = (proposals.len(), submit.mode) {
            let proposal = proposals.remove(0);
            return Ok((None, vec![self.submit(proposal).await]));
        }
        let mode = submit.mode.unwrap_or(BulkMode::Independent);
        let answer = self
            .workspace
            .submit_bulk(&self.principal, mode, None, proposals)
            .await?;
        let (bulk, views) = bulk_views(&self.workspace, &self.principal, answer).await;
        Ok((Some(bulk), views))
    }

    fn proposals(&self, submit: &Submit) -> Result<Vec<Proposal>, Problem> {
        let fresh = || self.engine.fresh_id();
        let at = Pointer::from_static("/proposals");
        let read = |(index, json)| read_proposal(json, &at.index(index), &self.actor, &fresh);
        submit.proposals.iter().enumerate().map(read).collect()
    }

    async fn submit(&self, proposal: Proposal) -> ReceiptOrProblem {
        let id = proposal.id;
        match self.workspace.submit(&self.principal, proposal).await {
            Ok(receipt) => {
                ReceiptOrProblem::Receipt(view(&self.workspace, &self.principal, &receipt).await)
            }
            Err(problem) => ReceiptOrProblem::Refused {
                change_id: Some(id),
                problem,
            },
        }
    }
}
