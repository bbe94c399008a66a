//! The node of a simulation: an engine on the memory store, a router, and writers.

use std::sync::Arc;

use syncline_api::BulkMode;
use syncline_delivery::Router;
use syncline_engine::{Engine, ManualClock, Principal, Settings, TestFaults, Workspace};
use syncline_model::ids::{Name, PrincipalId, Version, WorkspaceId};
use syncline_model::json::{Json, Limits};
use syncline_model::proposal::{Actor, Base, Operation, Precondition, Priority, Proposal};
use syncline_model::time::Timestamp;
use syncline_store::MemoryStore;

use crate::rng::Rng;
use crate::workload::address;

/// When the simulation begins.
const BEGINNING: i64 = 1_800_000_000_000;
/// How many tasks there are.
const TASKS: u64 = 8;

/// The node, and what outlives its restarts.
pub struct World {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    settings: Settings,
    engine: Engine,
    /// Who is woken by which record.
    pub router: Router,
}

/// Reads JSON that the simulation itself wrote.
pub(super) fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::default()).expect("a simulation writes good JSON")
}

impl World {
    /// Starts a node whose recent records are few, so that readers also read the store.
    pub async fn start(faults: TestFaults) -> World {
        let settings = Settings {
            recent_bytes_max: 40_000,
            faults,
            ..Settings::default()
        };
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::new(Timestamp(BEGINNING)));
        let engine = open(&store, &clock, &settings).await;
        let world = World {
            store,
            clock,
            settings,
            engine,
            router: Router::default(),
        };
        for project in ["project/p", "project/q"] {
            world.write(project, Operation::Create, "{}", "a", 3).await;
        }
        world
    }

    /// Returns the workspace that all happens in.
    pub fn workspace(&self) -> Workspace {
        self.engine
            .workspace(&WorkspaceId::default_workspace())
            .expect("an engine makes its default workspace")
    }

    /// Starts the node again on what it has stored.
    pub async fn restart(&mut self) {
        // A shutdown would close the store, which outlives this.
        self.router = Router::default();
        self.engine = open(&self.store, &self.clock, &self.settings).await;
    }

    fn proposal(
        &self,
        context: &str,
        operation: Operation,
        body: &str,
        agent: &str,
        priority: u64,
    ) -> Proposal {
        let actor = Actor {
            agent: Name::parse(agent).ok(),
            ..Actor::from_principal(PrincipalId::owner())
        };
        let id = self.engine.fresh_id();
        let mut proposal = Proposal::new(id, address(context), operation, json(body), actor);
        if operation == Operation::Delete {
            proposal.precondition = Precondition::MatchAny;
        }
        proposal.create = operation == Operation::Merge;
        proposal.priority = Priority::new(priority).unwrap_or_default();
        proposal
    }

    /// Writes; what is refused (a deletion of what is gone) is no matter.
    async fn write(&self, context: &str, operation: Operation, body: &str, agent: &str, p: u64) {
        let proposal = self.proposal(context, operation, body, agent, p);
        let _ = self.workspace().submit(&Principal::owner(), proposal).await;
    }

    /// Does one random thing.
    pub async fn act(&self, rng: &mut Rng) {
        self.clock
            .advance_ms(i64::try_from(rng.between(1, 50)).expect("a small number"));
        let agent = *rng.choose(&["a", "b"]);
        let priority = *rng.choose(&[1, 3, 3, 3, 4]);
        if rng.chance(14) {
            return self.act_on_branch(rng, agent).await;
        }
        if rng.chance(12) {
            return self.bulk(rng, agent).await;
        }
        let context = format!("task/t{}", rng.below(TASKS));
        let (operation, body) = match rng.below(20) {
            0..=8 => (Operation::Merge, data(rng)),
            9 | 10 => {
                let area = *rng.choose(&["\"auth\"", "\"web\"", "null"]);
                (
                    Operation::Merge,
                    format!(r#"{{"labels":{{"area":{area}}}}}"#),
                )
            }
            11 | 12 => {
                let parents = [
                    "project/p",
                    "project/q",
                    "global/main",
                    "branch/b",
                    "branch/c",
                ];
                (
                    Operation::Merge,
                    format!(r#"{{"parent":"{}"}}"#, rng.choose(&parents)),
                )
            }
            13 => {
                let state = *rng.choose(&["active", "done"]);
                (Operation::Merge, format!(r#"{{"state":"{state}"}}"#))
            }
            14 => {
                let level = *rng.choose(&["public", "private", "restricted"]);
                (Operation::Merge, format!(r#"{{"level":"{level}"}}"#))
            }
            15 => (
                Operation::Merge,
                format!(r#"{{"title":"T{}"}}"#, rng.below(5)),
            ),
            16 | 17 => (Operation::Delete, "null".to_owned()),
            18 => {
                let body = r#"{"parent":"branch/b"}"#;
                return self.meet_deletion(&context, body, agent).await;
            }
            _ => (Operation::Restore, "null".to_owned()),
        };
        self.write(&context, operation, &body, agent, priority)
            .await;
    }

    /// Moves, labels, deletes, makes again or brings back what tasks lie below, which moves them
    /// with it.
    async fn act_on_branch(&self, rng: &mut Rng, agent: &str) {
        let context = *rng.choose(&["branch/b", "branch/c"]);
        let project = rng.choose(&["project/p", "project/q"]);
        let body = format!(r#"{{"parent":"{project}"}}"#);
        let (operation, body) = match rng.below(10) {
            0..=2 => (Operation::Merge, body.as_str()),
            3 => (Operation::Create, body.as_str()),
            4 | 5 => (Operation::Delete, "null"),
            6 | 7 => return self.meet_deletion(context, &body, agent).await,
            8 => {
                let label = *rng.choose(&[r#""auth""#, "null"]);
                let body = format!(r#"{{"labels":{{"area":{label}}}}}"#);
                return self.write(context, Operation::Merge, &body, agent, 3).await;
            }
            _ => (Operation::Restore, "null"),
        };
        self.write(context, operation, body, agent, 3).await;
    }

    /// Edits what a context was before it was deleted, which brings it back.
    async fn meet_deletion(&self, context: &str, body: &str, agent: &str) {
        let workspace = self.workspace();
        let head = workspace.head_if_any(&address(context)).await;
        let Some(head) = head.ok().flatten().filter(|head| head.deleted) else {
            return;
        };
        let mut edit = self.proposal(context, Operation::Merge, body, agent, 3);
        edit.base = Some(Base::Version(Version(head.version.0 - 1)));
        edit.create = false;
        let _ = workspace.submit(&Principal::owner(), edit).await;
    }

    async fn bulk(&self, rng: &mut Rng, agent: &str) {
        let mut parts = Vec::new();
        for _ in 0..=rng.below(5) {
            let context = format!("task/t{}", rng.below(TASKS));
            let body = match rng.chance(25) {
                true => format!(
                    r#"{{"labels":{{"area":"{}"}}}}"#,
                    rng.choose(&["auth", "web"])
                ),
                false => data(rng),
            };
            parts.push(self.proposal(&context, Operation::Merge, &body, agent, 3));
        }
        let owner = Principal::owner();
        let _ = self
            .workspace()
            .submit_bulk(&owner, BulkMode::Independent, None, parts)
            .await;
    }
}

fn data(rng: &mut Rng) -> String {
    let n = rng.below(1_000);
    match rng.below(4) {
        0 => format!(r#"{{"data":{{"n":{n}}}}}"#),
        1 => format!(r#"{{"data":{{"deep":{{"x":{},"y":{n}}}}}}}"#, n % 3),
        2 => format!(r#"{{"data":{{"list":[{},{n}]}}}}"#, n % 5),
        _ => format!(r#"{{"data":{{"n":{n},"deep":null,"note":"{n}"}}}}"#),
    }
}

async fn open(store: &Arc<MemoryStore>, clock: &Arc<ManualClock>, settings: &Settings) -> Engine {
    Engine::open(store.clone(), clock.clone(), settings.clone())
        .await
        .expect("the memory store opens")
}
