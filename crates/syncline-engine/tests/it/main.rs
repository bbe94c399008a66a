//! The engine over the memory store: what proposals become, and what readers see.
#![allow(clippy::unwrap_used, missing_docs)]

mod attacks;
mod branch_merge;
mod bulk;
mod compact;
mod depth;
mod framing;
mod kept;
mod lines;
mod once;
mod reads;
mod replay;
mod writes;

use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_engine::{Engine, ManualClock, Principal, Settings, When, Workspace};
use syncline_model::change::Receipt;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, PrincipalId, WorkspaceId};
use syncline_model::json::{Json, Limits};
use syncline_model::proposal::{Actor, Base, Operation, Precondition, Proposal};
use syncline_model::time::Timestamp;
use syncline_store::{MemoryStore, Store};

/// A node's engine with one workspace, and the words to use it.
pub struct Bench {
    pub engine: Engine,
    pub workspace: Workspace,
    pub clock: Arc<ManualClock>,
}

impl Bench {
    pub async fn new() -> Bench {
        Bench::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Bench {
        Bench::over(Arc::new(MemoryStore::new()), settings).await
    }

    pub async fn over(store: Arc<dyn Store>, settings: Settings) -> Bench {
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
        let engine = Engine::open(store, clock.clone(), settings).await.unwrap();
        let workspace = engine.workspace(&WorkspaceId::default_workspace()).unwrap();
        Bench {
            engine,
            workspace,
            clock,
        }
    }

    pub fn proposal(&self, context: &str, operation: Operation, body: &str) -> Proposal {
        Proposal::new(
            self.engine.fresh_id(),
            address(context),
            operation,
            json(body),
            Actor::from_principal(PrincipalId::owner()),
        )
    }

    pub async fn submit(&self, proposal: Proposal) -> Result<Receipt, Problem> {
        self.workspace.submit(&Principal::owner(), proposal).await
    }

    pub async fn create(&self, context: &str, body: &str) -> Receipt {
        self.submit(self.proposal(context, Operation::Create, body))
            .await
            .unwrap()
    }

    pub async fn merge(&self, context: &str, body: &str) -> Result<Receipt, Problem> {
        self.submit(self.proposal(context, Operation::Merge, body))
            .await
    }

    pub async fn head(&self, context: &str) -> Arc<Head> {
        self.workspace
            .get(&Principal::owner(), &address(context), When::Head)
            .await
            .unwrap()
    }
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default()).unwrap()
}

pub fn id(n: u8) -> ChangeId {
    ChangeId::from_parts(1_800_000_000_000, &[n; 10])
}

pub fn code<T: std::fmt::Debug>(result: Result<T, Problem>) -> Code {
    result.unwrap_err().code
}

pub fn based(mut proposal: Proposal, base: &str) -> Proposal {
    proposal.base = Some(base.parse::<Base>().unwrap());
    proposal
}

/// Asks to be shown the sides of a clash instead of leaving it in the queue.
pub fn choosing(mut proposal: Proposal) -> Proposal {
    proposal.strategy = Some("user_choice".parse().unwrap());
    proposal
}

pub fn when(mut proposal: Proposal, precondition: Precondition) -> Proposal {
    proposal.precondition = precondition;
    proposal
}
