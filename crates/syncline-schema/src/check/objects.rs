//! Rules for objects.

use std::sync::Arc;

use syncline_model::json::{Json, Key, Object};

use super::marks::Marks;
use super::{Check, Step, Token};
use crate::correction;
use crate::node::{Members, Node, NodeId};
use crate::shown::shown;

impl<'d> Check<'_, 'd> {
    pub(super) fn members(
        &mut self,
        node: &Node,
        members: &Members,
        object: &'d Object,
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut fits = true;
        for (index, (key, value)) in object.entries().enumerate() {
            self.spend(1)?;
            let mut is_known = false;
            if let Some(id) = members.named.get(key.as_str()) {
                is_known = true;
                fits &= self.member(node, "properties", *id, object, (key, value))?;
            }
            for (pattern, id) in &members.patterns {
                self.spend(pattern.steps(key.as_str()))?;
                if pattern.is_match(key.as_str()) {
                    is_known = true;
                    fits &= self.member(node, "patternProperties", *id, object, (key, value))?;
                }
            }
            if let (false, Some(id)) = (is_known, members.additional) {
                is_known = true;
                fits &= self.member(node, "additionalProperties", id, object, (key, value))?;
            }
            if !fits && self.is_quiet {
                break;
            }
            if let (true, Some(marks)) = (is_known, marks.as_deref_mut()) {
                marks.set(index);
            }
        }
        Ok(fits)
    }

    pub(super) fn unevaluated_members(
        &mut self,
        node: &Node,
        object: &'d Object,
        marks: &mut Marks,
    ) -> Step<bool> {
        let Some(id) = node.unevaluated_properties else {
            return Ok(true);
        };
        let mut fits = true;
        for (index, member) in object.entries().enumerate() {
            self.spend(1)?;
            if marks.has(index) {
                continue;
            }
            marks.set(index);
            fits &= self.member(node, "unevaluatedProperties", id, object, member)?;
            if !fits && self.is_quiet {
                break;
            }
        }
        Ok(fits)
    }

    fn member(
        &mut self,
        node: &Node,
        keyword: &'static str,
        id: NodeId,
        object: &Object,
        (key, value): (&'d Key, &'d Json),
    ) -> Step<bool> {
        if !self.nodes.get(id).is_never() {
            return self.apply_below(id, Token::Key(key), value);
        }
        self.place.push(Token::Key(key));
        self.fail(node, keyword, |place| {
            let name = shown(key.as_str());
            if keyword == "properties" {
                return (format!("member {name} is not allowed"), None);
            }
            let correction = correction::unknown_member(node, object, place, key.as_str());
            (
                format!("the schema allows no member {name} here"),
                correction,
            )
        });
        self.place.pop();
        Ok(false)
    }

    /// A name is a value of its own, outside of the document: another check looks at it.
    pub(super) fn property_names(
        &mut self,
        node: &Node,
        id: NodeId,
        object: &'d Object,
    ) -> Step<bool> {
        let mut fits = true;
        for key in object.entries().map(|(key, _)| key) {
            self.spend(1 + self.scope.len() as u64)?;
            let name = Json::from(key.text());
            let mut inner = Check {
                steps: self.steps,
                depth: self.depth,
                scope: self.scope.clone(),
                is_quiet: true,
                ..Check::new(self.nodes, self.limits)
            };
            let name_fits = inner.apply(id, &name, None);
            self.steps = inner.steps;
            if !name_fits? {
                fits = false;
                self.place.push(Token::Key(key));
                self.fail(node, "propertyNames", |_| {
                    (
                        format!("{} is no name for a member here", shown(key.as_str())),
                        None,
                    )
                });
                self.place.pop();
            }
            if !fits && self.is_quiet {
                break;
            }
        }
        Ok(fits)
    }

    pub(super) fn required(
        &mut self,
        node: &Node,
        names: &[Arc<str>],
        object: &Object,
    ) -> Step<bool> {
        self.spend(names.len() as u64)?;
        let mut fits = true;
        for name in names.iter().filter(|name| !object.contains_key(name)) {
            fits = false;
            let nodes = self.nodes;
            self.fail(node, "required", |place| {
                let correction = correction::missing_member(nodes, node, object, place, name);
                (format!("member {} is missing", shown(name)), correction)
            });
        }
        Ok(fits)
    }

    pub(super) fn dependent_required(
        &mut self,
        node: &Node,
        keyword: &'static str,
        all: &[(Arc<str>, Vec<Arc<str>>)],
        object: &Object,
    ) -> Step<bool> {
        let mut fits = true;
        for (given, names) in all {
            self.spend(1)?;
            if !object.contains_key(given) {
                continue;
            }
            self.spend(names.len() as u64)?;
            for name in names.iter().filter(|name| !object.contains_key(name)) {
                fits = false;
                self.fail(node, keyword, |_| {
                    let (name, given) = (shown(name), shown(given));
                    (
                        format!("member {name} is missing, which {given} needs beside it"),
                        None,
                    )
                });
            }
        }
        Ok(fits)
    }

    pub(super) fn dependent_schemas(
        &mut self,
        all: &[(Arc<str>, NodeId)],
        object: &Object,
        value: &'d Json,
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut fits = true;
        for (given, id) in all {
            self.spend(1)?;
            if object.contains_key(given) {
                fits &= self.apply(*id, value, marks.as_deref_mut())?;
            }
            if !fits && self.is_quiet {
                break;
            }
        }
        Ok(fits)
    }
}
