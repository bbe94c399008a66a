//! Who calls through this door, and up to where each has looked at the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_api::{Code, Problem};
use syncline_client::{Client, ClientOptions, fresh_id};
use syncline_model::ids::{LABEL_LENGTH_MAX, Name};
use syncline_model::json::Json;

use crate::McpOptions;

/// Bounds the agents of one session, which may name themselves anew with each request.
const AGENTS_MAX: usize = 64;
/// Bounds the scopes of one agent whose places are remembered.
const SCOPES_MAX: usize = 100;

/// The agents of one session.
pub(crate) struct Callers {
    node: Client,
    agent: Option<Name>,
    session: Name,
    agents: Mutex<BTreeMap<Option<Name>, Arc<Caller>>>,
    start: tokio::sync::Mutex<Option<String>>,
}

/// One agent in one session.
pub(crate) struct Caller {
    /// Calls the node in the agent's name.
    pub(crate) client: Client,
    looks: Mutex<BTreeMap<String, String>>,
}

impl Callers {
    pub(crate) fn new(node: Client, options: McpOptions) -> Callers {
        let session = options.session.or_else(|| node.options().session.clone());
        let made = || Name::parse(&format!("mcp-{}", fresh_id())).expect("an id is a good name");
        Callers {
            agent: options.agent.or_else(|| node.options().agent.clone()),
            session: session.unwrap_or_else(made),
            node,
            agents: Mutex::default(),
            start: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the caller that goes by this name, unless the session's own is set.
    pub(crate) fn caller(&self, program: Option<&str>) -> Result<Arc<Caller>, Problem> {
        let agent = self.agent.clone().or_else(|| program.and_then(name_of));
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = agents.get(&agent) {
            return Ok(caller.clone());
        }
        let options = ClientOptions {
            agent: agent.clone(),
            session: Some(self.session.clone()),
            ..self.node.options().clone()
        };
        let client = Client::connect(self.node.target().clone(), options)?;
        let looks = Mutex::default();
        let caller = Arc::new(Caller { client, looks });
        if agents.len() >= AGENTS_MAX {
            // Who comes back begins at the session's start again: news twice rather than never.
            agents.clear();
        }
        agents.insert(agent, caller.clone());
        Ok(caller)
    }

    /// Returns the place in the log where the session began, asking the node the first time.
    pub(crate) async fn start(&self) -> Result<String, Problem> {
        let mut start = self.start.lock().await;
        if let Some(cursor) = &*start {
            return Ok(cursor.clone());
        }
        let cursor = self.tail().await?;
        *start = Some(cursor.clone());
        Ok(cursor)
    }

    /// Begins anew at the end of the log, since the place where the session began is no more.
    pub(crate) async fn restart(&self) -> Result<String, Problem> {
        let mut start = self.start.lock().await;
        let cursor = self.tail().await?;
        *start = Some(cursor.clone());
        Ok(cursor)
    }

    async fn tail(&self) -> Result<String, Problem> {
        let status = self.node.status().await?;
        let cursor = status.get("cursor").and_then(Json::as_str);
        cursor.map(str::to_owned).ok_or_else(|| {
            Problem::new(Code::Internal, "the node's status has no cursor")
                .hint("compare `syncline --version` here and on the node")
        })
    }
}

impl Caller {
    /// Returns up to where this agent has looked in a scope.
    pub(crate) fn looked(&self, scope: &str) -> Option<String> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.get(scope).cloned()
    }

    /// Remembers up to where this agent has looked in a scope.
    pub(crate) fn look(&self, scope: String, cursor: String) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= SCOPES_MAX && !looks.contains_key(&scope) {
            looks.clear();
        }
        looks.insert(scope, cursor);
    }

    /// Says whether an actor's agent and session are this caller's.
    pub(crate) fn is(&self, actor: Option<&Json>) -> bool {
        let options = self.client.options();
        let says = |key: &str, name: &Option<Name>| {
            actor.and_then(|a| a.get(key)).and_then(Json::as_str) == name.as_ref().map(Name::as_str)
        };
        says("agent", &options.agent) && says("session", &options.session)
    }
}

/// Makes a name of what a program calls itself.
fn name_of(program: &str) -> Option<Name> {
    let text: String = program
        .chars()
        .filter(|c| !c.is_control())
        .take(LABEL_LENGTH_MAX)
        .collect();
    Name::parse(text.trim()).ok()
}
