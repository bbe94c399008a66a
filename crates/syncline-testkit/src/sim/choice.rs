//! What a simulated reader asks for, and the same said again simply, to judge by.

use std::time::Duration;

use syncline_api::{Condition, Filters, From, Mode, Scope, ScopeTerm};
use syncline_delivery::{Exclude, FeedRequest};
use syncline_model::change::Change;
use syncline_model::change::Place;
use syncline_model::ids::{Name, PrincipalId};
use syncline_model::json::{Json, Object, Pointer};

use crate::rng::Rng;
use crate::workload::address;

/// Time that a simulated reader lets pass at once when it wants held changes told.
pub const LONG: Duration = Duration::from_secs(3_600);

/// Which changes a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Every one.
    All,
    /// Tasks alone.
    Kind,
    /// Labelled `auth`.
    Area,
    /// Those that touch `/data/n`.
    Changed,
    /// In the state `active`.
    Active,
    /// At least priority 2.
    Urgent,
    /// Written by agent `a`, or public.
    Either,
    /// A `where` over the document.
    Where,
}

/// A reader's wishes. Scope, wants, parts and whose changes stay; the rest may change at any time.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Which contexts.
    pub scope: Scope,
    /// Which of their changes.
    pub wanted: Wanted,
    /// Which parts of a document.
    pub fields: Vec<Pointer>,
    /// Leave out what agent `a` wrote.
    pub excludes_a: bool,
    /// In which form.
    pub mode: Mode,
    /// Let several changes of a context become one.
    pub coalesces: bool,
    /// By pull, page by page; else as a subscription.
    pub pulls: bool,
}

impl Choice {
    /// Chooses at random.
    pub fn any(rng: &mut Rng) -> Choice {
        let label = || ScopeTerm::Label([("area".to_owned(), "auth".to_owned())].into());
        let subtree = |root| ScopeTerm::Subtree(address(root));
        let context = |name| ScopeTerm::Context(address(name));
        let scopes = [
            vec![ScopeTerm::Workspace],
            vec![subtree("project/p")],
            vec![label(), subtree("branch/b")],
            vec![context("task/t1"), context("task/t2")],
            vec![context("branch/b"), subtree("project/p")],
            vec![subtree("project/p"), label(), context("task/t1")],
            vec![subtree("project/q"), subtree("project/p")],
            vec![subtree("project/p"), label(), subtree("branch/c")],
        ];
        let wanted = [
            Wanted::All,
            Wanted::All,
            Wanted::Kind,
            Wanted::Area,
            Wanted::Changed,
            Wanted::Active,
            Wanted::Urgent,
            Wanted::Either,
            Wanted::Where,
        ];
        let fields = [
            vec![],
            vec![],
            vec!["/data/n", "/title"],
            vec!["/data/list/0", "/data/deep/x"],
        ];
        let fields = rng.choose(&fields).iter().copied();
        let mut choice = Choice {
            scope: Scope(rng.choose(&scopes).clone()),
            wanted: *rng.choose(&wanted),
            fields: fields.map(Pointer::from_static).collect(),
            excludes_a: rng.chance(15),
            mode: Mode::Delta,
            coalesces: false,
            pulls: false,
        };
        choice.change_ways(rng);
        choice
    }

    /// Chooses again how to be told.
    pub fn change_ways(&mut self, rng: &mut Rng) {
        self.mode = *rng.choose(&[Mode::Delta, Mode::Delta, Mode::Delta, Mode::Snapshot]);
        self.pulls = rng.chance(30);
        self.coalesces = !self.pulls && rng.chance(40);
    }

    /// Asks for it.
    pub fn request(&self, from: From) -> FeedRequest {
        let filter = match self.wanted {
            Wanted::All | Wanted::Where => "[]",
            Wanted::Kind => r#"{"exact":{"kind":"task"}}"#,
            Wanted::Area => r#"{"exact":{"labels.area":"auth"}}"#,
            Wanted::Changed => r#"{"changed":"/data/n"}"#,
            Wanted::Active => r#"{"exact":{"state":"active"}}"#,
            Wanted::Urgent => r#"{"min_priority":2}"#,
            Wanted::Either => r#"[{"exact":{"agent":"a"}},{"exact":{"level":"public"}}]"#,
        };
        let condition = (self.wanted == Wanted::Where).then_some("data.n > 500");
        let read = |text| Condition::parse(text).expect("a simulation writes good conditions");
        FeedRequest {
            filter: Filters::read(&super::world::json(filter), &Pointer::root())
                .expect("a simulation writes good filters"),
            condition: condition.map(read),
            fields: self.fields.clone(),
            mode: self.mode,
            exclude_self: self.excludes_a.then(|| Exclude {
                id: PrincipalId::owner(),
                agent: Name::parse("a").ok(),
                session: None,
            }),
            coalesce: self.coalesces.then_some(LONG / 2),
            ..FeedRequest::new(self.scope.clone(), from)
        }
    }

    /// Says whether it wants a change, whose document is that after it, or the last one.
    pub fn wants(&self, change: &Change, document: &Json) -> bool {
        let by_a = change
            .actor
            .agent
            .as_ref()
            .is_some_and(|agent| agent.as_str() == "a");
        if self.excludes_a && by_a {
            return false;
        }
        let n: Pointer = Pointer::from_static("/data/n");
        match self.wanted {
            Wanted::All => true,
            Wanted::Changed => {
                let touches = |at: &Pointer| at.starts_with(&n) || n.starts_with(at);
                change.changed.iter().any(touches)
            }
            Wanted::Urgent => change.priority.get() <= 2,
            Wanted::Either => by_a || change.place.level.as_str() == "public",
            _ => self.stands(&change.place, change.context.kind(), document),
        }
    }

    /// Says whether it may be shown a context that stands there.
    pub fn admits(&self, place: &Place, kind: &str, document: &Json) -> bool {
        match self.wanted {
            Wanted::All | Wanted::Changed | Wanted::Urgent | Wanted::Either => true,
            _ => self.stands(place, kind, document),
        }
    }

    fn stands(&self, place: &Place, kind: &str, document: &Json) -> bool {
        let n = document.pointer(&Pointer::from_static("/data/n"));
        match self.wanted {
            Wanted::Kind => kind == "task",
            Wanted::Area => place.labels.get("area").and_then(Json::as_str) == Some("auth"),
            Wanted::Active => document.get("state").and_then(Json::as_str) == Some("active"),
            Wanted::Where => n.and_then(Json::as_u64).is_some_and(|n| n > 500),
            _ => true,
        }
    }

    /// Returns what of a document its reader holds.
    pub fn part(&self, document: &Json) -> Json {
        if self.fields.is_empty() {
            return document.clone();
        }
        match syncline_api::project(document, &self.fields) {
            Json::Object(mut part) => {
                part.remove("partial");
                Json::Object(part)
            }
            _ => Json::Object(Object::new()),
        }
    }

    /// Says whether it wants every change of the contexts that it chooses.
    pub fn is_plain(&self) -> bool {
        matches!(self.wanted, Wanted::All | Wanted::Kind)
            && self.fields.is_empty()
            && !self.excludes_a
    }
}
