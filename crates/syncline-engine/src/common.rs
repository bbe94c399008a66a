//! What two lines of a context's versions have in common, which a merge of them starts from.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_api::{Code, Problem};
use syncline_merge::{Choice, MergeLimits, MergeRules, Side, Sides, merge};
use syncline_model::change::{Change, ChangeType};
use syncline_model::document::Document;
use syncline_model::ids::{Address, BranchName, Version};
use syncline_model::json::{Json, Pointer};
use syncline_model::proposal::LineVersion;
use syncline_rules::{Ancestry, Origin, Principal};

use crate::reads::When;
use crate::tail::Entry;
use crate::workspace::Workspace;

/// How many versions of a line are read at first; a long line is read in ever longer pages.
const PAGE_MIN: usize = 8;
/// How many versions of a line are read at once.
const PAGE_MAX: usize = 256;
/// Bounds how far back it is looked, in versions of all lines.
const LOOK_BACK_MAX: usize = 100_000;
/// Bounds the points that are merged to one, those of points too.
const POINTS_MAX: usize = 512;

/// What two lines have in common.
pub(crate) struct Common {
    /// The document that both came from.
    pub document: Document,
    /// The version of each that the other has in it, where that is known.
    pub seen: [Option<Version>; 2],
    /// All of the first is in the second already.
    is_in: bool,
    /// The first is a branch that has only begun.
    only_began: bool,
}

impl Common {
    /// Says whether the first line, which holds `document`, has nothing that the second has not.
    pub fn nothing_new(&self, document: &Document) -> bool {
        // What was kept of a write begins a branch, too, with another document.
        self.is_in || self.only_began && *document == self.document
    }
}

/// The lines of one context, as far as they were read.
struct Lines<'a> {
    workspace: &'a Workspace,
    context: &'a Address,
    read: BTreeMap<String, Line>,
    looked_at: usize,
    points: usize,
}

/// Versions of a line.
#[derive(Default)]
struct Line {
    versions: BTreeMap<Version, Origin>,
    page: usize,
}

impl Workspace {
    /// Finds what two lines of a context have in common.
    ///
    /// Where that is more than one version, of which none comes of another, they are merged first,
    /// so that what came to both lines by different ways counts once.
    pub(crate) async fn common(
        &self,
        principal: &Principal,
        context: &Address,
        ends: &[LineVersion; 2],
        rules: &MergeRules,
    ) -> Result<Common, Problem> {
        let mut lines = Lines {
            workspace: self,
            context,
            read: BTreeMap::new(),
            looked_at: 0,
            points: 0,
        };
        let points = lines.points(&ends[..1], &ends[1]).await?;
        let is_in = points == ends[..1];
        let only_began = match points.as_slice() {
            [point] if ends[0].branch.is_some() && point.branch.is_none() => {
                let origin = lines.origin(&ends[0]).await?;
                origin.is_some_and(|origin| origin.of == points)
            }
            _ => false,
        };
        let seen = [0, 1].map(|end: usize| {
            let of_line = points.iter().filter(|at| at.branch == ends[end].branch);
            of_line.map(|at| at.version).max()
        });
        let document = lines.shared(principal, points, rules).await?;
        Ok(Common {
            document,
            seen,
            is_in,
            only_began,
        })
    }
}

impl Lines<'_> {
    async fn points(
        &mut self,
        ones: &[LineVersion],
        other: &LineVersion,
    ) -> Result<Vec<LineVersion>, Problem> {
        let mut search = Ancestry::new(ones, std::slice::from_ref(other));
        while let Some(at) = search.wanted() {
            let origin = self.origin(&at.clone()).await?;
            search.put(origin);
        }
        Ok(search.points().to_vec())
    }

    /// Says what a version came of; what was thinned comes of the next older one that is kept.
    async fn origin(&mut self, at: &LineVersion) -> Result<Option<Origin>, Problem> {
        if at.version == Version::ZERO {
            return Ok(None);
        }
        // A merge from less than all that is shared would count twice what it left out.
        if self.looked_at >= LOOK_BACK_MAX {
            let detail =
                format!("the lines have nothing in common within {LOOK_BACK_MAX} versions");
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let name = at.name().to_owned();
        let line = self.read.entry(name).or_default();
        if let Some(origin) = line.versions.get(&at.version) {
            return Ok(Some(origin.clone()));
        }
        line.page = (line.page * 2).clamp(PAGE_MIN, PAGE_MAX);
        let page = line.page;
        let address = self.context.line(at.branch.as_ref());
        let below = Some(at.version.next());
        let entries = self.workspace.changes_of(&address, below, page).await?;
        self.looked_at += entries.len();
        line.put(at.branch.as_ref(), &entries);
        let Some(newest) = entries.first() else {
            return Ok(None);
        };
        let version = newest.change.version;
        if version == at.version {
            return Ok(line.versions.get(&version).cloned());
        }
        Ok(Some(Origin {
            seq: newest.seq,
            of: vec![LineVersion {
                branch: at.branch.clone(),
                version,
            }],
        }))
    }

    /// Merges points to the document that all of them led to.
    async fn shared(
        &mut self,
        principal: &Principal,
        points: Vec<LineVersion>,
        rules: &MergeRules,
    ) -> Result<Document, Problem> {
        let mut merged: Vec<LineVersion> = Vec::new();
        // A creation that met another one was kept on a branch: both came from nothing.
        let mut document = Document::empty();
        self.points += points.len();
        if self.points > POINTS_MAX {
            let detail =
                format!("what the lines have in common is more than {POINTS_MAX} versions");
            return Err(Problem::new(Code::TooLarge, detail)
                .hint("merge one of the lines that went into both first"));
        }
        for point in points {
            let then = self.document(principal, &point).await?;
            document = match merged.is_empty() {
                true => then,
                false => {
                    let below = self.points(&merged, &point).await?;
                    let base = Box::pin(self.shared(principal, below, rules)).await?;
                    merge_points(&base, &document, &then, rules)
                }
            };
            merged.push(point);
        }
        Ok(document)
    }

    async fn document(&self, principal: &Principal, at: &LineVersion) -> Result<Document, Problem> {
        let line = self.context.line(at.branch.as_ref());
        let when = When::Version(at.version);
        let head = self.workspace.get(principal, &line, when).await?;
        Ok(head.document.clone())
    }
}

impl Line {
    /// Takes a page of changes, newest first.
    fn put(&mut self, branch: Option<&BranchName>, entries: &[Arc<Entry>]) {
        for (at, entry) in entries.iter().enumerate() {
            let change = &entry.change;
            let older = entries.get(at + 1).map(|older| older.change.version);
            let origin = Origin {
                seq: entry.seq,
                of: came_of(branch, change, older),
            };
            self.versions.insert(change.version, origin);
        }
    }
}

/// Says what a change's version came of: the one before on its line or, where it began a branch, on
/// `main`, and what it merged. `older` is the version before, as far as it was read.
fn came_of(
    branch: Option<&BranchName>,
    change: &Change,
    older: Option<Version>,
) -> Vec<LineVersion> {
    let began = branch.is_some() && (change.kind == ChangeType::Create || change.version.0 == 1);
    let before = match began {
        true => change.base,
        false => older.or(Some(Version(change.version.0.saturating_sub(1)))),
    };
    let before = before.map(|version| LineVersion {
        branch: branch.filter(|_| !began).cloned(),
        version,
    });
    let versions = before.into_iter().chain(change.merges.clone());
    versions.filter(|at| at.version > Version::ZERO).collect()
}

/// Merges two points. Where they clash it takes neither side: what each line made of it since is a
/// change.
fn merge_points(base: &Document, one: &Document, other: &Document, rules: &MergeRules) -> Document {
    let [from, ours, theirs] = [base, one, other].map(Document::to_json);
    let sides = Sides {
        base: Some(&from),
        ours: Some(&ours),
        theirs: Some(&theirs),
        earlier: Side::Theirs,
    };
    let merged = merge(sides, rules, &MergeLimits::default());
    let before = |clash: &syncline_merge::Decision| Choice::Value(clash.base.clone());
    let choices: Vec<_> = merged.clashes().map(before).collect();
    let document = merged.settle(&choices).ok().flatten().or(merged.value);
    let document = document.as_ref().and_then(Json::as_object);
    let document =
        document.map(|json| Document::from_json(&Json::Object(json.clone()), &Pointer::root()));
    match document {
        Some(Ok(document)) => document,
        _ => one.clone(),
    }
}
