//! Feeds over the memory store: seeded writers, and followers that drop and resume at random.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

mod coalesced;
mod digests;
mod durable;
mod follower;
mod lines;
mod moves;
mod p5;
mod pages;
mod router;
mod webhooks;

use std::sync::Arc;

use syncline_api::{BulkMode, Problem};
use syncline_engine::{Engine, ManualClock, Principal, Settings, TestFaults, Workspace};
use syncline_model::ids::{Address, BranchName, PrincipalId, Version, WorkspaceId};
use syncline_model::json::{Json, Limits};
use syncline_model::proposal::{Actor, Base, Operation, Precondition, Proposal};
use syncline_model::time::Timestamp;
use syncline_store::MemoryStore;

/// Small, fast, and the same everywhere (Steele et al., "SplitMix", 2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

pub struct Node {
    pub engine: Engine,
    pub workspace: Workspace,
}

pub const PROJECTS: [&str; 2] = ["project/p", "project/q"];

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default()).unwrap()
}

impl Node {
    /// Starts a node whose recent records are few, so that followers also read the store.
    pub async fn start(faults: TestFaults) -> Node {
        let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
        Node::start_at(
            clock,
            Settings {
                recent_bytes_max: 40_000,
                faults,
                ..Settings::default()
            },
        )
        .await
    }

    pub async fn start_at(clock: Arc<ManualClock>, settings: Settings) -> Node {
        let store = Arc::new(MemoryStore::new());
        let engine = Engine::open(store, clock, settings).await.unwrap();
        let workspace = engine.workspace(&WorkspaceId::default_workspace()).unwrap();
        let node = Node { engine, workspace };
        for project in PROJECTS {
            node.write(project, Operation::Create, "{}").await.unwrap();
        }
        node
    }

    pub fn proposal(&self, context: &str, operation: Operation, body: &str) -> Proposal {
        let actor = Actor::from_principal(PrincipalId::owner());
        let id = self.engine.fresh_id();
        let mut proposal = Proposal::new(id, address(context), operation, json(body), actor);
        if operation == Operation::Delete {
            proposal.precondition = Precondition::MatchAny;
        }
        proposal.create = operation == Operation::Merge;
        proposal
    }

    pub async fn write(
        &self,
        context: &str,
        operation: Operation,
        body: &str,
    ) -> Result<(), Problem> {
        let proposal = self.proposal(context, operation, body);
        self.workspace
            .submit(&Principal::owner(), proposal)
            .await
            .map(|_| ())
    }

    /// Begins the branch `try` of a context.
    pub async fn begin_branch(&self, context: &str) {
        let mut begin = self.proposal(context, Operation::Create, "{}");
        begin.branch = BranchName::parse("try").ok();
        let owner = Principal::owner();
        let begun = self.workspace.create_branch(&owner, begin, None);
        begun.await.unwrap();
    }

    /// Writes on the branch `try` of a context.
    pub async fn write_branch(&self, context: &str, body: &str) {
        let mut write = self.proposal(context, Operation::Merge, body);
        write.branch = BranchName::parse("try").ok();
        let owner = Principal::owner();
        let written = self.workspace.submit(&owner, write);
        written.await.unwrap();
    }

    /// Does one random thing; what is refused (a deletion of what is gone) is no matter.
    pub async fn act(&self, dice: &mut Dice) {
        let context = format!("task/t{}", dice.roll(12));
        let n = dice.roll(1_000);
        let labels = ["auth", "web", "db"][dice.roll(3) as usize];
        let parents = [
            "project/p",
            "project/q",
            "global/main",
            "branch/b",
            "branch/c",
        ];
        let parent = parents[dice.roll(5) as usize];
        if dice.roll(10) == 0 {
            return self.act_on_branch(dice).await;
        }
        let (operation, body) = match dice.roll(12) {
            0..=5 => (Operation::Merge, format!(r#"{{"data":{{"n":{n}}}}}"#)),
            6 => (
                Operation::Merge,
                format!(r#"{{"labels":{{"area":"{labels}"}}}}"#),
            ),
            7 => (Operation::Merge, format!(r#"{{"parent":"{parent}"}}"#)),
            8 => (Operation::Delete, "null".to_owned()),
            9 => (Operation::Restore, "null".to_owned()),
            _ => return self.bulk(dice).await,
        };
        let _ = self.write(&context, operation, &body).await;
    }

    /// Moves, labels, deletes, makes again or brings back what tasks lie below, which moves them
    /// with it.
    async fn act_on_branch(&self, dice: &mut Dice) {
        let context = ["branch/b", "branch/c"][dice.roll(2) as usize];
        let body = format!(r#"{{"parent":"{}"}}"#, PROJECTS[dice.roll(2) as usize]);
        let (operation, body) = match dice.roll(9) {
            0..=2 => (Operation::Merge, body.as_str()),
            3 => (Operation::Create, body.as_str()),
            4 | 5 => (Operation::Delete, "null"),
            6 => return self.meet_deletion(context, &body).await,
            7 => (Operation::Merge, r#"{"labels":{"area":"auth"}}"#),
            _ => (Operation::Restore, "null"),
        };
        let _ = self.write(context, operation, body).await;
    }

    /// Edits what a context was before it was deleted, which brings it back.
    pub async fn meet_deletion(&self, context: &str, body: &str) {
        let head = self.workspace.head_if_any(&address(context)).await.unwrap();
        let Some(head) = head.filter(|head| head.deleted) else {
            return;
        };
        let mut edit = self.proposal(context, Operation::Merge, body);
        edit.base = Some(Base::Version(Version(head.version.0 - 1)));
        edit.create = false;
        let owner = Principal::owner();
        self.workspace.submit(&owner, edit).await.unwrap();
    }

    async fn bulk(&self, dice: &mut Dice) {
        let mut parts = Vec::new();
        for _ in 0..=dice.roll(5) {
            let context = format!("task/t{}", dice.roll(12));
            let body = format!(r#"{{"data":{{"n":{}}}}}"#, dice.roll(1_000));
            parts.push(self.proposal(&context, Operation::Merge, &body));
        }
        let owner = Principal::owner();
        self.workspace
            .submit_bulk(&owner, BulkMode::Independent, None, parts)
            .await
            .unwrap();
    }
}
