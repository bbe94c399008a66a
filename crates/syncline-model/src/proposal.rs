//! A proposal: a write that is asked for, as its writer sent it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::conflict::{Conflict, ConflictId};
use crate::document::Document;
use crate::etag::{Etag, EtagError};
use crate::ids::{Address, BranchName, ChangeId, Name, PrincipalId, Version};
use crate::json::{Json, JsonWriter, canonical};
use crate::time::Hlc;

/// Who did something: the authenticated principal, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The authenticated principal; the only part that rights look at.
    pub id: PrincipalId,
    /// Which agent acted under the key, by its own word.
    pub agent: Option<Name>,
    /// The agent's session, by its own word.
    pub session: Option<Name>,
    /// The tool call that wrote, by its own word.
    pub tool_call: Option<Name>,
    /// Whose model or service it is, by its own word: `openai`.
    pub provider: Option<Name>,
}

impl Actor {
    /// Says whether `other` is this actor, as far as `other` says who he is: a principal, or one of
    /// his agents.
    pub fn is_mine(&self, other: &Actor) -> bool {
        self.id == other.id && (other.agent.is_none() || self.agent == other.agent)
    }

    /// Returns a principal who says nothing more of itself.
    pub fn from_principal(id: PrincipalId) -> Actor {
        Actor {
            id,
            agent: None,
            session: None,
            tool_call: None,
            provider: None,
        }
    }

    /// Returns what it says of itself, under the names of the wire.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Name)> {
        let all = [
            ("agent", &self.agent),
            ("session", &self.session),
            ("tool_call", &self.tool_call),
            ("provider", &self.provider),
        ];
        all.into_iter()
            .filter_map(|(key, name)| Some((key, name.as_ref()?)))
    }

    /// Writes the wire form, `{"id":…,"agent":…}`.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        w.field_str("id", self.id.as_str());
        for (key, name) in self.named() {
            w.field_str(key, name.as_str());
        }
        w.end_object();
    }
}

words! {
    /// What a proposal wants done.
    pub enum Operation {
        /// Make a context that is not there.
        Create = "create",
        /// Replace each member that is named by the whole value given.
        Replace = "replace",
        /// Apply a JSON Merge Patch (RFC 7396).
        Merge = "merge",
        /// Apply a JSON Patch (RFC 6902).
        Patch = "patch",
        /// Delete the context; its history stays.
        Delete = "delete",
        /// Bring a deleted context back as it was.
        Restore = "restore",
        /// End a conflict: the body names it, its version, and what is chosen.
        Settle = "settle",
        /// Make the document what it was at the version that the body names.
        Rollback = "rollback",
    }
}

impl Operation {
    /// Says whether the operation carries a body.
    pub fn has_body(self) -> bool {
        !matches!(self, Operation::Delete | Operation::Restore)
    }
}

/// Says that a text is no operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an op is create, replace, merge, patch, delete, restore, settle or rollback")]
pub struct OperationError;

impl FromStr for Operation {
    type Err = OperationError;

    fn from_str(text: &str) -> Result<Operation, OperationError> {
        Operation::of_word(text).ok_or(OperationError)
    }
}

/// What must hold of the head, strictly, or nothing is done (RFC 9110, section 13).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// `If-Match` with ETags: the head is one of them.
    Match(Vec<Etag>),
    /// `If-Match: *`: there is a head; overwrite it on purpose.
    MatchAny,
    /// `If-None-Match: *`: there is no head.
    NoneMatchAny,
}

/// What the writer had seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// An ETag of the context.
    Etag(Etag),
    /// A change: the document as that change's writer saw it.
    Change(ChangeId),
    /// A plain version: confirmed, nothing pending.
    Version(Version),
}

/// Says that a text is no base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// It has none of the forms.
    #[error("a base is an ETag, a change id or a version number")]
    Form,
    /// It is a weak ETag, which may stand for several documents.
    #[error("{0}")]
    Weak(EtagError),
}

impl FromStr for Base {
    type Err = BaseError;

    fn from_str(text: &str) -> Result<Base, BaseError> {
        if let Ok(version) = Version::parse(text) {
            return Ok(Base::Version(version));
        }
        if let Ok(id) = ChangeId::parse(text) {
            return Ok(Base::Change(id));
        }
        Etag::parse(text)
            .map(Base::Etag)
            .map_err(|error| match error {
                EtagError::Weak => BaseError::Weak(error),
                EtagError::Form => BaseError::Form,
            })
    }
}

/// How soon a change is wanted by others: 1 urgent … 4, 3 where nothing is said; orders between
/// subscriptions, never inside one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// Accepts 1 to 4.
    pub fn new(value: u64) -> Option<Priority> {
        u8::try_from(value)
            .ok()
            .filter(|v| (1..=4).contains(v))
            .map(Priority)
    }

    /// Returns the number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl FromStr for Priority {
    type Err = PriorityError;

    fn from_str(text: &str) -> Result<Priority, PriorityError> {
        let number = text.parse().ok();
        number.and_then(Priority::new).ok_or(PriorityError)
    }
}

/// Says that something is no priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a priority is 1, 2, 3 or 4; 1 is urgent")]
pub struct PriorityError;

impl Default for Priority {
    fn default() -> Self {
        Priority(3)
    }
}

/// Bounds a proposal's message, in characters: a commit's text, not a document.
pub const MESSAGE_LENGTH_MAX: usize = 10_000;

/// SHA-256 over context, branch, operation and body as the writer sent them (P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProposalDigest(pub [u8; 32]);

/// A write that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The key of idempotency.
    pub id: ChangeId,
    /// Which context.
    pub context: Address,
    /// Which line of versions; absent is `main`.
    pub branch: Option<BranchName>,
    /// What to do.
    pub operation: Operation,
    /// The document, merge patch or JSON Patch; null where the operation has none.
    pub body: Json,
    /// What the writer had seen, if it said so.
    pub base: Option<Base>,
    /// What must hold of the head.
    pub precondition: Precondition,
    /// Make the context if it is missing.
    pub create: bool,
    /// Make missing parents.
    pub create_parents: bool,
    /// How clashes are to be resolved, by the writer's word.
    pub strategy: Option<Name>,
    /// Why, in the writer's words.
    pub message: Option<Arc<str>>,
    /// The writer's clock.
    pub hlc: Option<Hlc>,
    /// How soon others want to know.
    pub priority: Priority,
    /// Who writes.
    pub actor: Actor,
    /// What a typed call of the node says beside; never read from a wire.
    pub own: Option<Box<Own>>,
}

/// What a typed call of the node says with its proposal: it may write built-in kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Own {
    /// What the caller sent, where the body says more: what a resend is recognized by.
    pub sent: Option<Json>,
    /// The base, where that is no version of the line: a branch as it was merged last.
    pub shown: Option<Arc<Document>>,
    /// The document that is wanted, whole: what a branch holds.
    pub wanted: Option<Arc<Document>>,
    /// The line that is merged.
    pub merges: Option<LineVersion>,
    /// The head's version when the node looked up what the call stands on.
    pub looked: Option<Version>,
    /// The versions of the line that is merged, and of the other one, which both have in them; 0
    /// where that is not known.
    pub since: [Version; 2],
    /// What waits in the line that is merged.
    pub waits: Vec<Conflict>,
    /// The conflicts of the other line that earlier merges of the same line left: their own side is
    /// what that line had, and moves with it.
    pub continues: Vec<ConflictId>,
    /// The change that is undone.
    pub undoes: Option<ChangeId>,
}

/// A line of a context as it was at one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LineVersion {
    /// Which line; absent is `main`.
    pub branch: Option<BranchName>,
    /// The version.
    pub version: Version,
}

impl LineVersion {
    /// Makes one from the line's name, which is `main` or a branch's.
    pub fn named(line: BranchName, version: Version) -> LineVersion {
        LineVersion {
            branch: Some(line).filter(|line| line.as_str() != "main"),
            version,
        }
    }

    /// Returns the line's name, `main` or the branch's.
    pub fn name(&self) -> &str {
        self.branch.as_ref().map_or("main", BranchName::as_str)
    }
}

impl Proposal {
    /// Returns since which versions the two lines that are merged went their own ways; 0 where that
    /// is not known.
    pub fn since(&self) -> [Version; 2] {
        let own = self.own.as_ref();
        own.map_or([Version::ZERO; 2], |own| own.since)
    }

    /// Returns the line that is merged, where one is.
    pub fn merges(&self) -> Option<&LineVersion> {
        self.own.as_ref()?.merges.as_ref()
    }

    /// Returns the change that it undoes, if it is an undo.
    pub fn undoes(&self) -> Option<ChangeId> {
        self.own.as_ref()?.undoes
    }

    /// Returns the key of the line of versions that it is for.
    pub fn line(&self) -> Address {
        self.context.line(self.branch.as_ref())
    }

    /// Returns a proposal with no conditions and no extras.
    pub fn new(
        id: ChangeId,
        context: Address,
        operation: Operation,
        body: Json,
        actor: Actor,
    ) -> Proposal {
        Proposal {
            id,
            context,
            branch: None,
            operation,
            body,
            base: None,
            precondition: Precondition::None,
            create: false,
            create_parents: false,
            strategy: None,
            message: None,
            hlc: None,
            priority: Priority::default(),
            actor,
            own: None,
        }
    }

    /// Returns the digest that tells a resend from another use of the same id.
    ///
    /// `create` and `replace` count as one, since a door may spell a creation either way; so a
    /// resend through another door is recognized.
    pub fn digest(&self) -> ProposalDigest {
        let operation = match self.operation {
            Operation::Create => Operation::Replace,
            other => other,
        };
        let branch = self.branch.as_ref().map_or("main", BranchName::as_str);
        let mut hash = Sha256::new();
        hash.update(b"syncline/proposal/1\0");
        for part in [self.context.as_str(), branch, operation.as_str()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let sent = self.own.as_ref().and_then(|own| own.sent.as_ref());
        canonical::update_hash(&mut hash, sent.unwrap_or(&self.body));
        ProposalDigest(hash.finalize().into())
    }
}

/// Returns the digest of proposals that were sent as one bulk, in their order: it tells a resend
/// of the bulk from another use of its id.
///
/// `mode` is the word for how the parts hang together.
pub fn bulk_digest<'a>(
    mode: &str,
    parts: impl IntoIterator<Item = (&'a ChangeId, &'a ProposalDigest)>,
) -> ProposalDigest {
    let mut hash = Sha256::new();
    hash.update(b"syncline/bulk/1\0");
    hash.update(mode.as_bytes());
    hash.update([0]);
    for (id, digest) in parts {
        hash.update(id.as_bytes());
        hash.update(digest.0);
    }
    ProposalDigest(hash.finalize().into())
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Base::Etag(etag) => write!(f, "{etag}"),
            Base::Change(id) => write!(f, "{id}"),
            Base::Version(version) => write!(f, "{version}"),
        }
    }
}
