//! Which subscriptions a change may be for, found by what they ask for.
//!
//! Each subscription stands under few *terms*, such as "agent claude-1" or "below project/web",
//! of which one must hold for any change that it wants: per alternative the most selective one
//! that its scope or filter demands. A change has few terms as well, so finding costs what the
//! change has, not what there is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use syncline_api::{Attribute, Filter, PointerPattern, Scope, ScopeTerm};
use syncline_model::change::{Change, Place};
use syncline_model::ids::Address;
use syncline_model::json::{Json, Pointer};

use super::Matcher;

/// An `in` of more values is not indexed: each would be a row.
const VALUES_MAX: usize = 64;
/// A subscription stands under no more terms than this; with more it is asked for every change.
const TERMS_MAX: usize = 256;

/// Patterns of what changed are told apart by their first steps.
const CHANGED_STEPS_MAX: usize = 2;

/// Finds the subscriptions that a change may be for, without asking each of them.
///
/// What is found is a superset: the caller asks [`crate::judge`] and [`Matcher::answer`] of each.
/// What is not found is outside of the scope before and after, or does not match.
#[derive(Debug)]
pub struct Index<K> {
    /// Keyed, so that nobody can choose texts that meet under one term.
    hasher: RandomState,
    slots: Vec<Option<Slot<K>>>,
    free: Vec<u32>,
    by_key: HashMap<K, u32>,
    /// Who wants changes for which a term holds, after or before.
    wanted: Rows,
    /// Who must hear when a context goes into or out of its scope, whatever its filter says:
    /// asked only where a change moved its context.
    moved: Rows,
    /// Who is asked for every change.
    rest: Vec<u32>,
    /// How many terms of each kind are wanted, so that a kind nobody asks for costs nothing.
    kinds: [usize; TermKind::COUNT],
}

type Rows = HashMap<u64, Vec<u32>, BuildHasherDefault<Hashed>>;

/// Passes on what is a hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the rows' keys are hashes");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Debug)]
struct Slot<K> {
    key: K,
    places: Places,
}

/// Where a subscription stands.
#[derive(Clone, Debug, Default)]
struct Places {
    /// None: it is asked for every change.
    wanted: Option<Vec<(TermKind, u64)>>,
    moved: Vec<(TermKind, u64)>,
}

/// What a term is about, the most selective first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum TermKind {
    Context,
    Session,
    Agent,
    Parent,
    Label,
    Project,
    Subtree,
    Actor,
    Branch,
    Changed,
    ChangedAbove,
    Kind,
    Level,
    Type,
}

impl TermKind {
    const COUNT: usize = 14;

    fn of(attribute: &Attribute) -> Option<TermKind> {
        Some(match attribute {
            Attribute::Kind => TermKind::Kind,
            Attribute::Context => TermKind::Context,
            Attribute::Parent => TermKind::Parent,
            Attribute::Project => TermKind::Project,
            Attribute::Level => TermKind::Level,
            Attribute::Actor => TermKind::Actor,
            Attribute::Agent => TermKind::Agent,
            Attribute::Session => TermKind::Session,
            Attribute::Type => TermKind::Type,
            Attribute::Branch => TermKind::Branch,
            Attribute::Label(_) => TermKind::Label,
            // The document is not at hand when subscriptions are looked for.
            Attribute::State | Attribute::Owner | Attribute::Metadata(_) => return None,
        })
    }
}

/// A term: a value that a change must have. `name` is the key of a label, else empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term<'a> {
    kind: TermKind,
    name: &'a str,
    value: Cow<'a, str>,
}

/// Alternatives of which one must hold.
type Terms<'a> = Vec<Term<'a>>;

impl<K: Clone + Eq + Hash> Default for Index<K> {
    fn default() -> Index<K> {
        Index {
            hasher: RandomState::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            wanted: Rows::default(),
            moved: Rows::default(),
            rest: Vec::new(),
            kinds: [0; TermKind::COUNT],
        }
    }
}

impl<K: Clone + Eq + Hash> Index<K> {
    /// Returns an index that holds nothing.
    pub fn new() -> Index<K> {
        Index::default()
    }

    /// Returns how many subscriptions there are.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Adds a subscription; one that is there under the same key is replaced. `inherited` has the
    /// ancestors of each `inherited` term, as for [`crate::judge`].
    pub fn insert(&mut self, key: K, scope: &Scope, inherited: &[Vec<Address>], matcher: &Matcher) {
        self.remove(&key);
        let places = self.places(scope, inherited, matcher);
        let slot = Slot {
            key: key.clone(),
            places: places.clone(),
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = Some(slot);
                at
            }
            None => {
                self.slots.push(Some(slot));
                u32::try_from(self.slots.len() - 1).expect("subscriptions are bounded far below")
            }
        };
        self.by_key.insert(key, at);
        for (kind, hash) in &places.moved {
            self.kinds[*kind as usize] += 1;
            self.moved.entry(*hash).or_default().push(at);
        }
        match &places.wanted {
            None => self.rest.push(at),
            Some(terms) => {
                for (kind, hash) in terms {
                    self.kinds[*kind as usize] += 1;
                    self.wanted.entry(*hash).or_default().push(at);
                }
            }
        }
    }

    /// Takes a subscription out; says whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        let Some(at) = self.by_key.remove(key) else {
            return false;
        };
        let slot = self.slots[at as usize].take();
        let places = slot.map(|slot| slot.places).unwrap_or_default();
        self.free.push(at);
        for (kind, hash) in &places.moved {
            self.kinds[*kind as usize] -= 1;
            take_out(&mut self.moved, *hash, at);
        }
        match &places.wanted {
            None => self.rest.retain(|other| *other != at),
            Some(terms) => {
                for (kind, hash) in terms {
                    self.kinds[*kind as usize] -= 1;
                    take_out(&mut self.wanted, *hash, at);
                }
            }
        }
        true
    }

    /// Puts the keys of all subscriptions that the change may be for into `found`, each once.
    pub fn find(&self, change: &Change, found: &mut Vec<K>) {
        let mut slots = self.rest.clone();
        let moved = change.before.is_some();
        let mut look = |term: Term<'_>| {
            if !self.asks(term.kind) {
                return;
            }
            let hash = self.hash(&term);
            slots.extend(self.wanted.get(&hash).into_iter().flatten());
            if moved {
                slots.extend(self.moved.get(&hash).into_iter().flatten());
            }
        };
        terms_of_change(change, &mut look);
        if self.asks(TermKind::Changed) || self.asks(TermKind::ChangedAbove) {
            terms_of_changed(change, &mut look);
        }
        terms_of_place(&change.place, &mut look);
        if let Some(before) = &change.before {
            terms_of_place(before, &mut look);
        }
        slots.sort_unstable();
        slots.dedup();
        let keys = slots
            .iter()
            .filter_map(|at| self.slots[*at as usize].as_ref());
        found.extend(keys.map(|slot| slot.key.clone()));
    }

    fn asks(&self, kind: TermKind) -> bool {
        self.kinds[kind as usize] > 0
    }

    /// Different terms may meet under one hash; that finds too much, which is allowed.
    fn hash(&self, term: &Term<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        (term.kind as u8).hash(&mut hasher);
        term.name.hash(&mut hasher);
        term.value.hash(&mut hasher);
        hasher.finish()
    }

    fn places(&self, scope: &Scope, inherited: &[Vec<Address>], matcher: &Matcher) -> Places {
        let hashed = |terms: Terms<'_>| -> Vec<(TermKind, u64)> {
            let mut hashes: Vec<_> = terms.iter().map(|t| (t.kind, self.hash(t))).collect();
            hashes.sort_unstable();
            hashes.dedup();
            hashes
        };
        let filters = matcher.filters();
        let filter = match filters.is_empty() {
            true => None,
            false => either(filters.0.iter().map(demanded)),
        };
        let (wanted, moved) = match (self.scoped(scope, inherited), filter) {
            (Some(scope), Some(filter)) if rank(&filter) < rank(&scope) => (Some(filter), scope),
            (Some(scope), _) => (Some(scope), Vec::new()),
            // The whole workspace: nothing moves into or out of it.
            (None, filter) => (filter, Vec::new()),
        };
        let fits = wanted
            .as_ref()
            .is_some_and(|w| w.len() + moved.len() <= TERMS_MAX);
        match (wanted, fits) {
            (Some(wanted), true) => Places {
                wanted: Some(hashed(wanted)),
                moved: hashed(moved),
            },
            _ => Places::default(),
        }
    }

    /// Returns terms of which one holds, before or after, for each change of the scope; nothing
    /// where it holds everything.
    fn scoped<'a>(&self, scope: &'a Scope, inherited: &'a [Vec<Address>]) -> Option<Terms<'a>> {
        let mut lines = inherited.iter();
        let mut terms = Vec::new();
        let context = |address: &'a Address| term(TermKind::Context, address.as_str());
        for part in &scope.0 {
            match part {
                ScopeTerm::Workspace => return None,
                ScopeTerm::Context(address) => terms.push(context(address)),
                ScopeTerm::Subtree(root) => terms.push(term(TermKind::Subtree, root.as_str())),
                ScopeTerm::Inherited(address) => {
                    terms.push(context(address));
                    terms.extend(lines.next().into_iter().flatten().map(context));
                }
                ScopeTerm::Label(labels) => {
                    let terms_of = labels.iter().map(|(key, value)| label(key, value));
                    // All must hold, so any one finds it: the rarest.
                    let rarest = terms_of
                        .min_by_key(|term| self.wanted.get(&self.hash(term)).map_or(0, Vec::len));
                    terms.push(rarest?);
                }
            }
        }
        Some(terms)
    }
}

fn take_out(rows: &mut Rows, hash: u64, at: u32) {
    let Some(row) = rows.get_mut(&hash) else {
        return;
    };
    row.retain(|other| *other != at);
    if row.is_empty() {
        rows.remove(&hash);
    }
}

fn term(kind: TermKind, value: &str) -> Term<'_> {
    Term {
        kind,
        name: "",
        value: Cow::Borrowed(value),
    }
}

fn owned_term<'a>(kind: TermKind, value: String) -> Term<'a> {
    Term {
        kind,
        name: "",
        value: Cow::Owned(value),
    }
}

fn label<'a>(name: &'a str, value: &'a str) -> Term<'a> {
    Term {
        kind: TermKind::Label,
        name,
        value: Cow::Borrowed(value),
    }
}

/// Orders alternatives by how few changes they let through, as far as that can be guessed: by the
/// least selective kind among them, then by how many they are.
fn rank(terms: &Terms<'_>) -> (Option<TermKind>, usize) {
    (terms.iter().map(|term| term.kind).max(), terms.len())
}

/// Returns terms of which one holds for each change that a filter lets pass; nothing where none
/// can be named.
fn demanded(filter: &Filter) -> Option<Terms<'_>> {
    match filter {
        Filter::All(filters) => filters.iter().filter_map(demanded).min_by_key(rank),
        Filter::Any(filters) => either(filters.iter().map(demanded)),
        Filter::Exact(name, value) => of_value(name, value).map(|term| vec![term]),
        Filter::In(name, values) if values.len() <= VALUES_MAX => {
            values.iter().map(|value| of_value(name, value)).collect()
        }
        Filter::Changed(pattern) => Some(of_pattern(pattern)),
        _ => None,
    }
}

/// What touches a pattern is at or below its stem, or at one of the few places above.
fn of_pattern<'a>(pattern: &PointerPattern) -> Terms<'a> {
    let mut stem = pattern.stem();
    while stem.tokens().len() > CHANGED_STEPS_MAX {
        stem.pop();
    }
    let mut terms = vec![owned_term(TermKind::Changed, stem.to_string())];
    while stem.pop().is_some() {
        terms.push(owned_term(TermKind::ChangedAbove, stem.to_string()));
    }
    terms
}

/// Joins alternatives: where one of them cannot be named, none is of use.
fn either<'a>(all: impl Iterator<Item = Option<Terms<'a>>>) -> Option<Terms<'a>> {
    let all: Vec<Terms<'a>> = all.collect::<Option<_>>()?;
    Some(all.concat())
}

fn of_value<'a>(name: &'a Attribute, value: &'a Json) -> Option<Term<'a>> {
    let value = value.as_str()?;
    match name {
        Attribute::Label(key) => Some(label(key, value)),
        name => TermKind::of(name).map(|kind| term(kind, value)),
    }
}

fn terms_of_change(change: &Change, look: &mut impl FnMut(Term<'_>)) {
    let actor = &change.actor;
    look(term(TermKind::Context, change.context.as_str()));
    look(term(TermKind::Subtree, change.context.as_str()));
    look(term(TermKind::Kind, change.context.kind()));
    look(term(TermKind::Type, change.kind.as_str()));
    look(term(TermKind::Actor, actor.id.as_str()));
    if let Some(agent) = &actor.agent {
        look(term(TermKind::Agent, agent.as_str()));
    }
    if let Some(session) = &actor.session {
        look(term(TermKind::Session, session.as_str()));
    }
    if let Some(branch) = &change.branch {
        look(term(TermKind::Branch, branch.as_str()));
    }
}

/// A change at a place is below all that its pointer begins with, and above what goes on from it.
fn terms_of_changed(change: &Change, look: &mut impl FnMut(Term<'_>)) {
    for pointer in &change.changed {
        let mut begin = Pointer::root();
        look(owned_term(TermKind::Changed, begin.to_string()));
        for step in pointer.tokens().iter().take(CHANGED_STEPS_MAX) {
            begin.push(step.clone());
            look(owned_term(TermKind::Changed, begin.to_string()));
        }
        look(owned_term(TermKind::ChangedAbove, begin.to_string()));
    }
}

fn terms_of_place(place: &Place, look: &mut impl FnMut(Term<'_>)) {
    look(term(TermKind::Level, place.level.as_str()));
    if let Some(parent) = place.parent() {
        look(term(TermKind::Parent, parent.as_str()));
    }
    if let Some(project) = &place.project {
        look(term(TermKind::Project, project.as_str()));
    }
    for above in place.ancestors.iter() {
        look(term(TermKind::Subtree, above.as_str()));
    }
    for (key, value) in place.labels.iter() {
        if let Some(value) = value.as_str() {
            look(label(key, value));
        }
    }
}
