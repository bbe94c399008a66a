//! Who acts, and what they may see. Every read, feed and count passes [`visible`].

use syncline_model::change::Change;
use syncline_model::document::Level;
use syncline_model::head::Head;
use syncline_model::ids::{Address, PrincipalId};

use crate::Rules;

/// What a principal may do in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Owner,
}

/// Who acts: an agent, a person or a service whom a door has authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Its id.
    pub id: PrincipalId,
    /// What it may do.
    pub role: Role,
}

impl Principal {
    /// Returns the owner of the node, whom its key and its Unix socket stand for.
    pub fn owner() -> Principal {
        Principal {
            id: PrincipalId::owner(),
            role: Role::Owner,
        }
    }

    /// Says whether the principal may read the whole workspace, and so may be told seqs and
    /// counts, which would tell others how much they do not see.
    pub fn reads_all(&self) -> bool {
        matches!(self.role, Role::Owner)
    }
}

/// What of a context decides who may see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Which context.
    pub address: &'a Address,
    /// Its access level at the moment that is asked about.
    pub level: Level,
}

impl<'a> Subject<'a> {
    /// Returns a context as it is now.
    pub fn of_head(head: &'a Head) -> Subject<'a> {
        Subject {
            address: &head.address,
            level: head.document.level(),
        }
    }

    /// Returns a context as a change left it.
    pub fn of_change(change: &'a Change) -> Subject<'a> {
        Subject {
            address: &change.context,
            level: change.place.level,
        }
    }

    /// Returns a context as a change found it.
    pub fn before_change(change: &'a Change) -> Subject<'a> {
        let place = change.before.as_ref().unwrap_or(&change.place);
        Subject {
            address: &change.context,
            level: place.level,
        }
    }
}

/// Says whether the principal may see the context.
pub fn visible(principal: &Principal, _context: &Subject<'_>, _rules: &Rules) -> bool {
    match principal.role {
        Role::Owner => true,
    }
}

/// Says whether the principal may write the context. A write needs the right at its commit.
pub fn may_write(principal: &Principal, _context: &Address, _rules: &Rules) -> bool {
    match principal.role {
        Role::Owner => true,
    }
}
