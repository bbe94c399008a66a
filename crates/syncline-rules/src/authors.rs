//! Who set what: on a line of versions, and on the lines that were merged into it.

use std::collections::BTreeMap;

use syncline_model::ids::{Address, BranchName, Version};
use syncline_model::json::Pointer;
use syncline_model::proposal::{LineVersion, Operation};

use crate::view::{Need, Touch, View};

/// Bounds the lines that are looked at; what came by way of others counts as their merger's.
const LINES_MAX: usize = 16;
/// Bounds the merges that are followed, one by way of another.
const DEPTH_MAX: usize = 16;

/// Bounds the changes of an array that are looked at.
const FOUND_MAX: usize = 4_096;

/// The changes of a line, and of those that were merged into it, each newest first.
#[derive(Debug, Default)]
pub struct Authors<'a> {
    line: &'a [Touch],
    merged: BTreeMap<Option<BranchName>, &'a [Touch]>,
}

impl<'a> Authors<'a> {
    /// Looks up who changed a line after a version, up to another one, or says what must be known.
    pub fn of(
        view: &'a View,
        context: &Address,
        branch: Option<&BranchName>,
        after: Version,
        up_to: Option<Version>,
    ) -> Result<Authors<'a>, Need> {
        let line = view.touches(&context.line(branch), after)?;
        let line = match up_to {
            Some(version) => first_of(line, version),
            None => line,
        };
        let mut merged = BTreeMap::new();
        let mut left: Vec<&LineVersion> = line.iter().filter_map(|t| t.merges.as_ref()).collect();
        while let Some(at) = left.pop() {
            if merged.len() == LINES_MAX || merged.contains_key(&at.branch) {
                continue;
            }
            let line = context.line(at.branch.as_ref());
            let touches = view.touches(&line, Version::ZERO)?;
            merged.insert(at.branch.clone(), touches);
            left.extend(touches.iter().filter_map(|touch| touch.merges.as_ref()));
        }
        Ok(Authors { line, merged })
    }

    /// Returns the change that last set a place, on whichever line it was written.
    pub fn of_place(&self, place: &Pointer) -> Option<&'a Touch> {
        self.find(self.line, place, 0)
    }

    /// Returns all changes after a version that touched an array or what is in it: whose a certain
    /// item is cannot be told by indexes, which others shift.
    pub fn of_array(&self, array: &Pointer, since: Version) -> Vec<&'a Touch> {
        let mut found = Vec::new();
        let later = self.line.iter().take_while(|touch| touch.version > since);
        self.collect(later, array, 0, &mut found);
        found
    }

    fn collect(
        &self,
        touches: impl Iterator<Item = &'a Touch>,
        array: &Pointer,
        depth: usize,
        found: &mut Vec<&'a Touch>,
    ) {
        for touch in touches.filter(|touch| touch.is_at(array)) {
            let quiet = [Operation::Delete, Operation::Restore].contains(&touch.operation);
            if quiet || touch.begins() || found.len() >= FOUND_MAX {
                continue;
            }
            let before = found.len();
            if let Some(at) = touch.merges.as_ref().filter(|_| depth < DEPTH_MAX) {
                let touches = self.merged.get(&at.branch).copied().unwrap_or_default();
                let touches = first_of(touches, at.version).iter();
                self.collect(touches, array, depth + 1, found);
            }
            if found.len() == before {
                found.push(touch);
            }
        }
    }

    /// Returns the oldest change of the line that is known.
    pub fn oldest(&self) -> Option<&'a Touch> {
        self.line.last()
    }

    fn find(&self, touches: &'a [Touch], place: &Pointer, depth: usize) -> Option<&'a Touch> {
        let mut back = false;
        for touch in touches {
            // What was deleted and brought back is as those left it who wrote it.
            match touch.operation {
                Operation::Restore => back = true,
                Operation::Delete if back => back = false,
                _ if touch.is_at(place) => {
                    let from = touch.merges.as_ref().filter(|_| depth < DEPTH_MAX);
                    let from = from.and_then(|at| {
                        let touches = self.merged.get(&at.branch)?;
                        self.find(first_of(touches, at.version), place, depth + 1)
                    });
                    return from.or(Some(touch).filter(|touch| !touch.begins()));
                }
                _ => {}
            }
        }
        None
    }
}

/// Leaves out what came after a version.
fn first_of(touches: &[Touch], version: Version) -> &[Touch] {
    let later = touches.iter().take_while(|touch| touch.version > version);
    &touches[later.count()..]
}
