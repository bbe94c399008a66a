//! The view: a snapshot of all that a proposal names, which `decide` looks at and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use syncline_model::change::{Change, ChangeType};
use syncline_model::conflict::Conflict;
use syncline_model::document::Document;
use syncline_model::head::Head;
use syncline_model::ids::{Address, ChangeId, Kind, Version};
use syncline_model::json::Pointer;
use syncline_model::proposal::{Actor, Base, LineVersion, Operation};
use syncline_model::time::{Hlc, Timestamp};

use crate::hierarchy::ANCESTORS_MAX;
use crate::kinds::{KindRules, SCHEMA_KIND};
use crate::workspace::RULES_KIND;

/// What the writer had seen, resolved against the context's history.
#[derive(Clone, Debug)]
pub enum BaseState {
    /// A version of this history.
    Known {
        /// Which version.
        version: Version,
        /// Its document; the last one where the version deleted it. For a base named by change id
        /// the document as that change's writer saw it.
        document: Arc<Document>,
        /// When the version was committed.
        at: Timestamp,
    },
    /// A version of this history whose document was taken away.
    Thinned {
        /// Which version.
        version: Version,
        /// When it was committed.
        at: Timestamp,
    },
    /// Nothing that this history holds.
    Unknown,
}

impl BaseState {
    /// Returns the state of a base that names this version of its context.
    pub fn if_named(base: &Base, head: &Head) -> Option<BaseState> {
        let named = match base {
            Base::Version(version) => *version == head.version,
            Base::Change(id) => *id == head.change,
            Base::Etag(etag) => *etag == head.etag(),
        };
        named.then(|| BaseState::Known {
            version: head.version,
            document: Arc::new(head.document.clone()),
            at: head.updated_at,
        })
    }
}

/// One change of a line, as far as a merge asks who set what.
#[derive(Clone, Debug, PartialEq)]
pub struct Touch {
    /// Which change.
    pub id: ChangeId,
    /// Which version it made.
    pub version: Version,
    /// Who made it.
    pub actor: Actor,
    /// By which clock; a clock that ran ahead counts as the time of the commit.
    pub hlc: Hlc,
    /// The pointers that it touched.
    pub changed: Vec<Pointer>,
    /// What was asked for.
    pub operation: Operation,
    /// The line that it merged, or that it began a branch from.
    pub merges: Option<LineVersion>,
}

impl Touch {
    /// Returns what a change touched.
    pub fn of(change: &Change) -> Touch {
        Touch {
            id: change.id,
            version: change.version,
            actor: change.actor.clone(),
            hlc: change.hlc.min(Hlc::at(change.committed_at)),
            changed: change.touched().cloned().collect(),
            operation: change.intent.operation,
            merges: change.merges.clone().or_else(|| began_from(change)),
        }
    }

    /// Says whether it began a branch, and so wrote nothing itself.
    pub fn begins(&self) -> bool {
        self.operation == Operation::Create && self.merges.is_some()
    }

    /// Says whether it touched a place, something in it or something around it.
    pub fn is_at(&self, place: &Pointer) -> bool {
        let meets = |p: &Pointer| p.starts_with(place) || place.starts_with(p);
        self.changed.iter().any(meets)
    }
}

/// Returns the version of `main` that a change began a branch as.
pub fn began_from(change: &Change) -> Option<LineVersion> {
    let begins = change.branch.is_some() && change.kind == ChangeType::Create;
    let version = change.base.filter(|_| begins)?;
    Some(LineVersion {
        branch: None,
        version,
    })
}

/// What a view lacks for a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A context's head, or that there is none.
    Head(Address),
    /// What a base of a context stands for.
    Base(Address, Base),
    /// What touched a line after a version.
    Touches(Address, Version),
    /// What is declared for a kind, and for its workspace.
    Kind(Kind),
    /// All conflicts of a context, ended ones too.
    Conflicts(Address),
    /// How many levels the store has below a context ([`View::put_height`]).
    Height(Address),
}

/// The heads and bases that a batch of proposals names.
///
/// The committer loads it before it decides, and writes each decision back, so that the next
/// proposal of the batch is decided on what the one before left.
#[derive(Clone, Debug, Default)]
pub struct View {
    heads: HashMap<Address, Option<Arc<Head>>>,
    bases: HashMap<(Address, Base), BaseState>,
    /// What touched a line after a version, up to its head, newest first.
    touches: HashMap<Address, (Version, Vec<Touch>)>,
    kinds: HashMap<Kind, Arc<KindRules>>,
    conflicts: HashMap<Address, Vec<Conflict>>,
    /// How many levels the store has below a context.
    heights: HashMap<Address, usize>,
    /// What got another parent since it was put in: the store has it elsewhere.
    moved: BTreeSet<Address>,
    /// What got another parent in the batch before, which the store may not have yet.
    carried: BTreeSet<Address>,
}

impl View {
    /// Returns an empty view.
    pub fn new() -> View {
        View::default()
    }

    /// Returns the head, deleted or not; `None` when there never was one.
    pub fn head(&self, address: &Address) -> Option<&Arc<Head>> {
        debug_assert!(self.heads.contains_key(address), "{address} was not loaded");
        self.heads.get(address).and_then(Option::as_ref)
    }

    /// Says whether it was looked up already.
    pub fn knows(&self, address: &Address) -> bool {
        self.heads.contains_key(address)
    }

    /// Puts in a head, or that there is none.
    pub fn put_head(&mut self, address: Address, head: Option<Arc<Head>>) {
        let parent = |head: &Option<Arc<Head>>| head.as_ref().and_then(|h| h.document.parent());
        let now = parent(&head);
        self.touches.remove(&address);
        self.conflicts.remove(&address.of_line().0);
        if address.kind() == SCHEMA_KIND
            && let Ok(kind) = Kind::parse(address.id())
        {
            self.kinds.remove(&kind);
        }
        if address.kind() == RULES_KIND {
            self.kinds.clear();
        }
        match self.heads.insert(address.clone(), head) {
            Some(before) if parent(&before) != now => self.moved.insert(address),
            _ => false,
        };
    }

    /// Puts in how many levels the store has below a context, deleted ones too; no more than
    /// [`crate::ANCESTORS_MAX`] need be counted.
    pub fn put_height(&mut self, address: Address, levels: usize) {
        self.heights.insert(address, levels);
    }

    /// Returns how many levels lie below a context at most, or what is needed to tell.
    ///
    /// What moved away from below it since the store was asked counts still, so it may be fewer.
    pub fn height(&self, address: &Address) -> Result<usize, Need> {
        let need = || Need::Height(address.clone());
        let mut levels = *self.heights.get(address).ok_or_else(need)?;
        let moved = self.moved.union(&self.carried);
        for moved in moved.filter(|moved| *moved != address) {
            let parent = self.heads[moved].as_ref().and_then(|h| h.document.parent());
            let line = self.chain(parent, ANCESTORS_MAX + 1);
            if let Some(between) = line.iter().position(|above| above == address) {
                // Whoever moves is asked about first, and what is new has nothing below it.
                let below = self.heights.get(moved).copied().unwrap_or(0);
                levels = levels.max(between + 1 + below);
            }
        }
        Ok(levels)
    }

    /// Takes over what was moved in the view of a batch that may not be in the store yet, so that
    /// heights count it ([`View::height`]). What this view knows already is newer; what that view
    /// took over itself is in the store by now.
    pub fn carry_moves(&mut self, before: &View) {
        for moved in &before.moved {
            let line = before.chain(Some(moved.clone()), ANCESTORS_MAX + 1);
            for address in line {
                if let Some(head) = before.heads.get(&address) {
                    self.heads.entry(address).or_insert_with(|| head.clone());
                }
            }
            let below = before.heights.get(moved).copied().unwrap_or(0);
            self.heights.entry(moved.clone()).or_insert(below);
            self.carried.insert(moved.clone());
        }
    }

    /// Puts in what a base stands for.
    pub fn put_base(&mut self, address: Address, base: Base, state: BaseState) {
        self.bases.insert((address, base), state);
    }

    /// Puts in what touched a line after a version, newest first.
    pub fn put_touches(&mut self, line: Address, after: Version, touches: Vec<Touch>) {
        self.touches.insert(line, (after, touches));
    }

    /// Returns what touched a line after a version, newest first.
    pub fn touches(&self, line: &Address, after: Version) -> Result<&[Touch], Need> {
        match self.touches.get(line) {
            Some((from, touches)) if *from <= after => {
                let later = touches.iter().take_while(|touch| touch.version > after);
                Ok(&touches[..later.count()])
            }
            _ => Err(Need::Touches(line.clone(), after)),
        }
    }

    /// Puts in what is declared for a kind.
    pub fn put_kind(&mut self, kind: Kind, rules: Arc<KindRules>) {
        self.kinds.insert(kind, rules);
    }

    /// Returns what is declared for a context's kind.
    pub fn kind_of(&self, address: &Address) -> Result<Arc<KindRules>, Need> {
        let kind = Kind::parse(address.kind()).expect("an address has a kind");
        self.kinds.get(&kind).cloned().ok_or(Need::Kind(kind))
    }

    /// Puts in all conflicts of a context.
    pub fn put_conflicts(&mut self, address: Address, conflicts: Vec<Conflict>) {
        self.conflicts.insert(address, conflicts);
    }

    /// Returns all conflicts of a context, ended ones too.
    pub fn conflicts(&self, address: &Address) -> Result<&[Conflict], Need> {
        let found = self.conflicts.get(address).map(Vec::as_slice);
        found.ok_or_else(|| Need::Conflicts(address.clone()))
    }

    /// Forgets what bases stand for: each holds a document.
    pub fn forget_bases(&mut self) {
        self.bases.clear();
    }

    /// Returns what a base stands for.
    ///
    /// A version or an ETag that names the head needs no loading, which also holds for a head that
    /// an earlier proposal of the batch just made. What the writer of a change saw is not always
    /// what that change made.
    pub fn base(&self, address: &Address, base: &Base) -> BaseState {
        let head = self.heads.get(address).and_then(Option::as_ref);
        let head = head.filter(|_| !matches!(base, Base::Change(_)));
        if let Some(state) = head.and_then(|head| BaseState::if_named(base, head)) {
            return state;
        }
        let key = (address.clone(), base.clone());
        self.bases.get(&key).cloned().unwrap_or(BaseState::Unknown)
    }

    /// Says whether a base was looked up already, or needs no looking up since it is the head.
    pub fn knows_base(&self, address: &Address, base: &Base) -> bool {
        self.bases.contains_key(&(address.clone(), base.clone()))
            || matches!(self.base(address, base), BaseState::Known { .. })
    }

    /// Returns the first address on the way up from `parent` that was not looked up.
    pub fn gap(&self, parent: Option<Address>, length_max: usize) -> Option<Address> {
        let mut next = parent;
        for _ in 0..length_max {
            let address = next?;
            let Some(head) = self.heads.get(&address) else {
                return Some(address);
            };
            next = head.as_ref().and_then(|head| head.document.parent());
        }
        None
    }

    /// Returns the ancestors of a context whose parent is `parent`, nearest first, as far as they
    /// are known here.
    pub fn chain(&self, parent: Option<Address>, length_max: usize) -> Vec<Address> {
        let mut chain = Vec::new();
        let mut next = parent;
        while let Some(address) = next {
            if chain.len() >= length_max || chain.contains(&address) {
                break;
            }
            next = self
                .heads
                .get(&address)
                .and_then(Option::as_ref)
                .and_then(|head| head.document.parent());
            chain.push(address);
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What an earlier batch moved is in the store once the next one is on its way: to carry it on
    /// would keep every context that was ever made.
    #[test]
    fn moves_are_carried_into_one_batch_and_no_further() {
        let note = Address::parse("note/a").unwrap();
        let mut first = View::new();
        first.put_head(note.clone(), None);
        first.moved.insert(note.clone());
        let (mut second, mut third) = (View::new(), View::new());
        second.carry_moves(&first);
        assert!(second.knows(&note));
        third.carry_moves(&second);
        assert!(!third.knows(&note) && third.carried.is_empty());
    }
}
