//! Ids: each is a type of its own, checked where it is made, so that a bad one cannot travel.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Bounds an id's length: long enough for a path or a URL's slug, short enough for an index key.
pub const ID_LENGTH_MAX: usize = 200;
/// Bounds a kind's length.
pub const KIND_LENGTH_MAX: usize = 64;
/// Bounds agent and session names and tool call ids, which callers choose freely.
pub const LABEL_LENGTH_MAX: usize = 200;

/// Says why a text is not the id that it was meant to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has no `/` between kind and id.
    #[error("an address is `kind/id`, and this has no slash")]
    NoSlash,
    /// The kind does not match `[a-z][a-z0-9_]{0,63}`.
    #[error("a kind is a small letter followed by at most 63 of a-z, 0-9 and _")]
    BadKind,
    /// The id does not match `[A-Za-z0-9][A-Za-z0-9._~@:-]{0,199}`.
    #[error("an id is a letter or digit followed by at most 199 of A-Z, a-z, 0-9 and . _ ~ @ : -")]
    BadId,
    /// A workspace's name does not match `[a-z0-9][a-z0-9_-]{0,62}`.
    #[error(
        "a workspace's name is at most 63 of a-z, 0-9, _ and -, and begins with a letter or digit"
    )]
    BadWorkspace,
    /// A principal's type is not one of the three.
    #[error("a principal is agent/…, person/… or service/…")]
    BadPrincipal,
    /// A branch's name does not match an id's form.
    #[error(
        "a branch's name is a letter or digit followed by at most 199 of A-Z, a-z, 0-9 and . _ ~ @ : - /"
    )]
    BadBranch,
    /// A change id is not a UUID of version 7.
    #[error("a change id is a UUID of version 7, such as 01996f1e-4b2a-7c3d-8e4f-5a6b7c8d9e0f")]
    BadChangeId,
    /// A conflict's id is not a change id, a dot, and 16 hex digits.
    #[error("a conflict's id is a change id, a dot, and 16 hex digits")]
    BadConflictId,
    /// A name given to an agent, session or tool call is empty, too long, or holds control characters.
    #[error("a name has 1 to 200 characters and no control characters")]
    BadName,
    /// A sequence number or version is not a positive integer.
    #[error("a version is a whole number from 1")]
    BadNumber,
}

fn is_kind(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=KIND_LENGTH_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_')
}

fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=ID_LENGTH_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"._~@:-".contains(b))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the shared text, for a document's members.
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
    };
}

text_id! {
    /// What a context is: `task`, `project`, or a kind that the user made up.
    Kind
}

impl Kind {
    /// Reads a kind.
    pub fn parse(text: &str) -> Result<Kind, IdError> {
        is_kind(text)
            .then(|| Kind(text.into()))
            .ok_or(IdError::BadKind)
    }
}

/// Stands between an address and a branch in the key of a line; neither can hold it.
const LINE: char = '\u{1f}';

text_id! {
    /// `kind/id`, unique in its workspace.
    Address
}

impl Address {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Address, IdError> {
        let (kind, id) = text.split_once('/').ok_or(IdError::NoSlash)?;
        if !is_kind(kind) {
            return Err(IdError::BadKind);
        }
        if !is_id(id) {
            return Err(IdError::BadId);
        }
        Ok(Address(text.into()))
    }

    /// Joins a kind and an id, as a path of two segments names them.
    pub fn from_parts(kind: &str, id: &str) -> Result<Address, IdError> {
        if !is_kind(kind) {
            return Err(IdError::BadKind);
        }
        if !is_id(id) {
            return Err(IdError::BadId);
        }
        Ok(Address(format!("{kind}/{id}").into()))
    }

    /// Returns the root of every hierarchy, which always exists.
    pub fn global_main() -> Address {
        Address("global/main".into())
    }

    /// Returns the key of one of the context's lines of versions: the address itself for `main`;
    /// for a branch a text that no door accepts as an address.
    #[must_use]
    pub fn line(&self, branch: Option<&BranchName>) -> Address {
        match branch {
            Some(branch) => Address(format!("{}{LINE}{branch}", self.0).into()),
            None => self.clone(),
        }
    }

    /// Reads the key of a line, as a store kept it.
    pub fn parse_line(text: &str) -> Result<Address, IdError> {
        let Some((address, branch)) = text.split_once(LINE) else {
            return Address::parse(text);
        };
        Ok(Address::parse(address)?.line(Some(&BranchName::parse(branch)?)))
    }

    /// Returns the context that a line is of, and its branch.
    pub fn of_line(&self) -> (Address, Option<BranchName>) {
        match self.0.split_once(LINE) {
            Some((address, branch)) => (Address(address.into()), Some(BranchName(branch.into()))),
            None => (self.clone(), None),
        }
    }

    /// Says whether it is a line of versions beside `main`.
    pub fn is_branch(&self) -> bool {
        self.0.contains(LINE)
    }

    /// Says whether it is of a kind that the node keeps for itself: schemas, tags.
    pub fn is_built_in(&self) -> bool {
        self.0.starts_with("syncline_")
    }

    /// Returns the part before the slash.
    pub fn kind(&self) -> &str {
        self.0.split_once('/').expect("an address has a slash").0
    }

    /// Returns the part after the slash.
    pub fn id(&self) -> &str {
        self.0.split_once('/').expect("an address has a slash").1
    }
}

text_id! {
    /// Who acts: `person/ana`, `agent/claude-1`, `service/ci`.
    PrincipalId
}

impl PrincipalId {
    /// Reads a principal's id.
    pub fn parse(text: &str) -> Result<PrincipalId, IdError> {
        let (kind, id) = text.split_once('/').ok_or(IdError::BadPrincipal)?;
        if !matches!(kind, "agent" | "person" | "service") {
            return Err(IdError::BadPrincipal);
        }
        is_id(id)
            .then(|| PrincipalId(text.into()))
            .ok_or(IdError::BadId)
    }

    /// Returns the principal that a node's first start makes.
    pub fn owner() -> PrincipalId {
        PrincipalId("person/owner".into())
    }

    /// Returns the node itself, which made what no one wrote.
    pub fn system() -> PrincipalId {
        PrincipalId("service/syncline".into())
    }
}

text_id! {
    /// A tenant's name. It owns one log; nothing crosses workspaces.
    WorkspaceId
}

impl WorkspaceId {
    /// Reads a workspace's name.
    pub fn parse(text: &str) -> Result<WorkspaceId, IdError> {
        let bytes = text.as_bytes();
        let good = (1..=63).contains(&bytes.len())
            && (bytes[0].is_ascii_lowercase() || bytes[0].is_ascii_digit())
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_' || *b == b'-');
        good.then(|| WorkspaceId(text.into()))
            .ok_or(IdError::BadWorkspace)
    }

    /// Returns the workspace that a request means when it names none.
    pub fn default_workspace() -> WorkspaceId {
        WorkspaceId("default".into())
    }
}

text_id! {
    /// A named line of versions of one context beside `main`.
    BranchName
}

impl BranchName {
    /// Reads a branch's name; slashes may group names, as in `conflict/…`.
    pub fn parse(text: &str) -> Result<BranchName, IdError> {
        let good = text.len() <= ID_LENGTH_MAX && text.split('/').all(is_id);
        good.then(|| BranchName(text.into()))
            .ok_or(IdError::BadBranch)
    }
}

text_id! {
    /// A name that a caller gives itself: an agent's, a session's, a tool call's. Recorded, never trusted.
    Name
}

impl Name {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Name, IdError> {
        let good = !text.is_empty()
            && text.chars().count() <= LABEL_LENGTH_MAX
            && !text.chars().any(char::is_control);
        good.then(|| Name(text.into())).ok_or(IdError::BadName)
    }
}

/// The key of idempotency: a UUIDv7 that the writer makes before it sends (RFC 9562).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeId(Uuid);

impl ChangeId {
    /// Reads a change id; upper case is accepted, and shown in lower case.
    pub fn parse(text: &str) -> Result<ChangeId, IdError> {
        let uuid = Uuid::try_parse(text).map_err(|_| IdError::BadChangeId)?;
        if text.len() != 36 {
            return Err(IdError::BadChangeId);
        }
        ChangeId::from_uuid(uuid)
    }

    /// Accepts a UUID of version 7.
    pub fn from_uuid(uuid: Uuid) -> Result<ChangeId, IdError> {
        let rfc = uuid.get_variant() == uuid::Variant::RFC4122;
        (uuid.get_version_num() == 7 && rfc)
            .then_some(ChangeId(uuid))
            .ok_or(IdError::BadChangeId)
    }

    /// Reads the 16 bytes that a store kept.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<ChangeId, IdError> {
        ChangeId::from_uuid(Uuid::from_bytes(bytes))
    }

    /// Makes an id from a time in milliseconds and ten random bytes, which the caller draws.
    pub fn from_parts(millis: u64, random: &[u8; 10]) -> ChangeId {
        ChangeId(uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid())
    }

    /// Derives the id of a part of this: the same cause and subject always give the same id.
    pub fn derive(&self, subject: &str) -> ChangeId {
        let mut hash = Sha256::new();
        hash.update(b"syncline/derived-id/1\0");
        hash.update(self.0.as_bytes());
        hash.update(subject.as_bytes());
        let digest = hash.finalize();
        let mut random = [0u8; 10];
        random.copy_from_slice(&digest[..10]);
        ChangeId::from_parts(self.millis(), &random)
    }

    /// Returns the time that the id was made at, by its maker's clock.
    pub fn millis(&self) -> u64 {
        let b = self.0.as_bytes();
        u64::from_be_bytes([0, 0, b[0], b[1], b[2], b[3], b[4], b[5]])
    }

    /// Returns the 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

impl fmt::Debug for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for ChangeId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        ChangeId::parse(text)
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl $name {
            /// Before the first.
            pub const ZERO: $name = $name(0);

            /// Returns the one after this.
            #[must_use]
            pub fn next(self) -> $name {
                $name(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number_id! {
    /// A change's place in its workspace's log: 1, 2, 3 … with no gaps. 0 is before the first.
    Seq
}
number_id! {
    /// A context's own count: 1, 2, 3 …; 0 is before the first.
    Version
}

impl Version {
    /// Reads a version as a person or a URL writes it.
    pub fn parse(text: &str) -> Result<Version, IdError> {
        text.parse::<u64>()
            .ok()
            .filter(|n| *n > 0)
            .map(Version)
            .ok_or(IdError::BadNumber)
    }
}

/// Tells one life of a log from another: it changes when a log was restored from a backup.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert_eq!(Address::parse("task/auth-42").unwrap().kind(), "task");
        assert_eq!(
            Address::parse("task/a@b:c~d.e_f-").unwrap().id(),
            "a@b:c~d.e_f-"
        );
        for (text, error) in [
            ("task", IdError::NoSlash),
            ("Task/a", IdError::BadKind),
            ("/a", IdError::BadKind),
            ("task/", IdError::BadId),
            ("task/a/b", IdError::BadId),
            ("task/-a", IdError::BadId),
            ("task/a\u{0}", IdError::BadId),
            ("task/é", IdError::BadId),
        ] {
            assert_eq!(Address::parse(text).unwrap_err(), error, "{text}");
        }
        assert!(Address::parse(&format!("task/{}", "a".repeat(200))).is_ok());
        assert!(Address::parse(&format!("task/{}", "a".repeat(201))).is_err());
    }

    #[test]
    fn only_uuids_of_version_7_are_change_ids() {
        let id = ChangeId::from_parts(1_700_000_000_000, &[7; 10]);
        assert_eq!(ChangeId::parse(&id.to_string()).unwrap(), id);
        assert_eq!(id.millis(), 1_700_000_000_000);
        assert!(ChangeId::parse("f47ac10b-58cc-4372-a567-0e02b2c3d479").is_err());
        assert!(ChangeId::parse("00000000-0000-0000-0000-000000000000").is_err());
        assert!(ChangeId::parse(&id.to_string().replace('-', "")).is_err());
        assert_ne!(id.derive("task/a"), id.derive("task/b"));
        assert_eq!(id.derive("task/a"), id.derive("task/a"));
    }
}
