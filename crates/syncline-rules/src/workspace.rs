//! What is declared for a whole workspace, where neither a write, its context nor its kind say: how
//! clashes are resolved, whose word counts more, how long a conflict may wait, how long versions are
//! kept. What it leaves out is the node's own setting.

use syncline_api::{Code, Problem};
use syncline_model::conflict::Strategy;
use syncline_model::document::Document;
use syncline_model::ids::{Address, Name};
use syncline_model::json::{Fields, Json, Pointer};
use syncline_model::proposal::Actor;

use crate::kinds::parse_strategy;
use crate::retention::Retention;

/// The built-in kind whose one context keeps what is declared for the workspace.
pub const RULES_KIND: &str = "syncline_rules";
/// What may be declared for a workspace.
pub const WORKSPACE_RULES: [&str; 5] = [
    "strategy",
    "fallback",
    "ranks",
    "conflict_deadline_s",
    "retention",
];

/// What sources are.
const SOURCES: [&str; 5] = ["person", "service", "agent", "provider", "node"];
/// Bounds the sources that have a rank.
const RANKS_MAX: usize = 1_000;
/// Bounds how long a conflict may wait, in seconds: a year.
const DEADLINE_S_MAX: u64 = 31_536_000;

/// Returns the context that keeps what is declared for the workspace.
pub fn rules_address() -> Address {
    Address::from_parts(RULES_KIND, "workspace").expect("it is a good address")
}

/// What is declared for a workspace; by default nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkspaceRules {
    /// How clashes are resolved.
    pub strategy: Option<Strategy>,
    /// How clashes are resolved that the strategy leaves.
    pub fallback: Option<Strategy>,
    /// Ranks of sources; a source that is not named has the node's.
    pub ranks: Ranks,
    /// How long a conflict may wait before it is more urgent, in milliseconds.
    pub conflict_deadline_ms: Option<i64>,
    /// Which old versions are taken away.
    pub retention: Option<Retention>,
}

impl WorkspaceRules {
    /// Reads what the context of [`RULES_KIND`] declares in its `data`.
    pub fn of_document(document: &Document) -> Result<WorkspaceRules, Problem> {
        let data = document.object().get("data");
        data.map_or(Ok(WorkspaceRules::default()), |data| {
            WorkspaceRules::read(data, &Pointer::from_static("/data"))
        })
    }

    /// Reads `{"strategy":…,"fallback":…,"ranks":{source:rank},"conflict_deadline_s":…,
    /// "retention":…}`.
    pub fn read(declared: &Json, at: &Pointer) -> Result<WorkspaceRules, Problem> {
        let mut fields = Fields::new(declared, at)?;
        let mut word = |name: &'static str| match fields.optional(name) {
            None => Ok(None),
            Some(word) => parse_strategy(word, at.child(name)).map(Some),
        };
        let (strategy, fallback) = (word("strategy")?, word("fallback")?);
        let ranks = fields.optional("ranks");
        let ranks = ranks.map(|ranks| Ranks::read(ranks, &at.child("ranks")));
        let deadline = fields.u64("conflict_deadline_s")?;
        if deadline.is_some_and(|seconds| !(1..=DEADLINE_S_MAX).contains(&seconds)) {
            let detail = format!("a conflict may wait for 1 to {DEADLINE_S_MAX} seconds");
            return Err(Problem::new(Code::Invalid, detail).at(at.child("conflict_deadline_s")));
        }
        let retention = fields.optional("retention");
        let retention = retention.map(|policy| Retention::read(policy, &at.child("retention")));
        fields.finish()?;
        Ok(WorkspaceRules {
            strategy,
            fallback,
            ranks: ranks.transpose()?.unwrap_or_default(),
            conflict_deadline_ms: deadline.map(|seconds| seconds as i64 * 1_000),
            retention: retention.transpose()?,
        })
    }
}

/// Ranks of sources for [`Strategy::SourcePriority`], by principal, `agent/<name>`,
/// `provider/<name>` or `node/<name>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranks(pub Vec<(String, i64)>);

impl Ranks {
    /// Says whether a text names what may have a rank.
    pub fn is_source(text: &str) -> bool {
        let named = text.split_once('/');
        named.is_some_and(|(kind, name)| SOURCES.contains(&kind) && !name.is_empty())
    }

    fn read(json: &Json, at: &Pointer) -> Result<Ranks, Problem> {
        let wrong = |detail: String, at: Pointer| Problem::new(Code::Invalid, detail).at(at);
        let Some(named) = json.as_object() else {
            let detail = "ranks are an object of sources and whole numbers".to_owned();
            return Err(wrong(detail, at.clone()));
        };
        if named.len() > RANKS_MAX {
            let detail = format!(
                "{} sources have a rank; {RANKS_MAX} is the limit",
                named.len()
            );
            return Err(wrong(detail, at.clone()));
        }
        let rank = |(source, rank): (&_, &Json)| {
            let source: &str = source;
            if !Ranks::is_source(source) {
                let detail = format!(
                    "a source looks like one of {}/<name>",
                    SOURCES.join("/<name>, ")
                );
                return Err(wrong(detail, at.child(source)));
            }
            match rank.as_i64() {
                Some(rank) => Ok((source.to_owned(), rank)),
                None => Err(wrong(
                    "a rank is a whole number".to_owned(),
                    at.child(source),
                )),
            }
        };
        let ranks: Result<Vec<_>, Problem> = named.iter().map(rank).collect();
        ranks.map(Ranks)
    }

    /// Returns these ranks, and others for sources that these do not name.
    pub fn over(&self, others: &Ranks) -> Ranks {
        let others = others.0.iter();
        let others = others.filter(|(source, _)| self.get(source).is_none());
        Ranks(self.0.iter().chain(others).cloned().collect())
    }

    /// Returns the rank of a source, if it has one.
    pub fn get(&self, source: &str) -> Option<i64> {
        let mut ranks = self.0.iter();
        ranks
            .find(|(known, _)| known == source)
            .map(|(_, rank)| *rank)
    }
}

/// Returns the rank of who acts on a node: that of the principal, else of the agent, the provider,
/// the node.
pub fn rank_of(of: impl Fn(&str) -> Option<i64>, actor: &Actor, node: &str) -> i64 {
    let named = |kind: &str, name: &Option<Name>| of(&format!("{kind}/{}", name.as_ref()?));
    of(actor.id.as_str())
        .or_else(|| named("agent", &actor.agent))
        .or_else(|| named("provider", &actor.provider))
        .or_else(|| of(&format!("node/{node}")))
        .unwrap_or(0)
}
