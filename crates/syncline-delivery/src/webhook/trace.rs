//! What became of one change with one webhook.

use syncline_api::Problem;
use syncline_engine::{Entry, Principal, Workspace};

use crate::webhook::calls::Shown;
use crate::webhook::machine::Logged;
use crate::webhook::rows::{self, DeadLetter};
use crate::webhook::state::{About, Event, Slot};
use crate::webhook::webhooks::Webhooks;

/// What became of one change with one webhook.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The webhook.
    pub shown: Shown,
    /// Whether it has read the log up to the change.
    pub read: bool,
    /// The event, while it is not settled.
    pub event: Option<Event>,
    /// Whether the event waits behind another of its context.
    pub behind: bool,
    /// The event, where it was given up.
    pub dead: Option<DeadLetter>,
    /// The attempts that are still logged, the newest first.
    pub attempts: Vec<Logged>,
}

impl Webhooks {
    /// Tells what became of a change.
    pub async fn trace(
        &self,
        workspace: &Workspace,
        principal: &Principal,
        id: &str,
        entry: &Entry,
    ) -> Result<Trace, Problem> {
        let shown = self.get(workspace, principal, id).await?;
        let mut attempts = self.attempts(workspace, principal, id).await?;
        attempts.retain(|logged| logged.id == entry.change.id);
        let slot = Slot {
            seq: entry.seq,
            about: About::Change,
        };
        let (event, dead) = rows::of_slot(workspace, id, slot).await?;
        let behind = match &event {
            Some(event) => rows::is_behind(workspace, id, event).await?,
            None => false,
        };
        let at = workspace.position_of(&shown.standing.state.cursor);
        let read = at.is_ok_and(|at| at.epoch == workspace.epoch() && at.seq >= entry.seq);
        Ok(Trace {
            shown,
            read,
            event,
            behind,
            dead,
            attempts,
        })
    }
}
