//! Rules that apply other nodes to the same value.

use std::mem;

use syncline_model::json::Json;

use super::marks::Marks;
use super::{Check, Step};
use crate::node::{Condition, DynamicRef, Node, NodeId};
use crate::shown::{LISTED_MAX, shown_pointer};

impl<'d> Check<'_, 'd> {
    pub(super) fn all_of(
        &mut self,
        nodes: &[NodeId],
        value: &'d Json,
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut fits = true;
        for node in nodes {
            fits &= self.apply(*node, value, marks.as_deref_mut())?;
            if !fits && self.is_quiet {
                break;
            }
        }
        Ok(fits)
    }

    pub(super) fn any_of(
        &mut self,
        node: &Node,
        nodes: &[NodeId],
        value: &'d Json,
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut fits = false;
        for id in nodes {
            fits |= self.alternative(*id, value, marks.as_deref_mut())?;
            // Where marks are asked for, the alternatives that also fit have made theirs.
            if fits && marks.is_none() {
                break;
            }
        }
        if !fits {
            self.fail_alternatives(node, "anyOf", nodes, value)?;
        }
        Ok(fits)
    }

    pub(super) fn one_of(
        &mut self,
        node: &Node,
        nodes: &[NodeId],
        value: &'d Json,
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut fitting = Vec::new();
        for (index, id) in nodes.iter().enumerate() {
            if self.alternative(*id, value, marks.as_deref_mut())? {
                fitting.push(index);
            }
            if let [first, second] = fitting[..] {
                self.fail(node, "oneOf", |_| {
                    let (first, second) = (first + 1, second + 1);
                    let reason = format!(
                        "fits alternatives {first} and {second} at once, and only one may fit"
                    );
                    (reason, None)
                });
                return Ok(false);
            }
        }
        if fitting.is_empty() {
            self.fail_alternatives(node, "oneOf", nodes, value)?;
        }
        Ok(!fitting.is_empty())
    }

    /// Tries a node; only one that fits leaves marks.
    fn alternative(
        &mut self,
        id: NodeId,
        value: &'d Json,
        marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let Some(marks) = marks else {
            return self.apply_quietly(id, value, None);
        };
        let mut own = self.new_marks(value)?;
        let fits = self.apply_quietly(id, value, Some(&mut own))?;
        if fits {
            marks.add(&own);
        }
        Ok(fits)
    }

    fn fail_alternatives(
        &mut self,
        node: &Node,
        keyword: &'static str,
        nodes: &[NodeId],
        value: &'d Json,
    ) -> Step<()> {
        if self.is_quiet {
            return Ok(());
        }
        let number = nodes.len();
        let mut reason = format!("fits none of {number} alternatives");
        // Explaining explanations would double the work with each level.
        if !self.is_explaining && self.failures.len() < self.limits.failures_max {
            let reasons = self.explain(&nodes[..number.min(LISTED_MAX)], value)?;
            reason = match &reasons[..] {
                [only] => only.clone(),
                several => {
                    let numbered = several.iter().enumerate();
                    let numbered = numbered.map(|(index, why)| format!("({}) {why}", index + 1));
                    format!("{reason}: {}", numbered.collect::<Vec<_>>().join(", "))
                }
            };
        }
        self.fail(node, keyword, |_| (reason, None));
        Ok(())
    }

    /// The first reason why each node does not fit.
    fn explain(&mut self, nodes: &[NodeId], value: &'d Json) -> Step<Vec<String>> {
        let failures = mem::take(&mut self.failures);
        let failed = self.failed;
        self.is_explaining = true;
        let mut reasons = Vec::with_capacity(nodes.len());
        let mut stop = Ok(());
        for id in nodes {
            self.failures.clear();
            if let Err(error) = self.apply(*id, value, None) {
                stop = Err(error);
                break;
            }
            let here = self.place.len();
            reasons.extend(self.failures.first().map(|failure| {
                let below = failure.place.tokens()[here..].iter().cloned().collect();
                if here == failure.place.tokens().len() {
                    failure.reason.clone()
                } else {
                    format!("at {}: {}", shown_pointer(&below), failure.reason)
                }
            }));
        }
        self.is_explaining = false;
        self.failures = failures;
        self.failed = failed;
        stop.map(|()| reasons)
    }

    pub(super) fn not(&mut self, node: &Node, not: NodeId, value: &'d Json) -> Step<bool> {
        let fits = !self.apply_quietly(not, value, None)?;
        if !fits {
            self.fail(node, "not", |_| {
                ("fits what it must not fit".to_owned(), None)
            });
        }
        Ok(fits)
    }

    pub(super) fn condition(
        &mut self,
        condition: &Condition,
        value: &'d Json,
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let branch = if self.alternative(condition.if_, value, marks.as_deref_mut())? {
            condition.then
        } else {
            condition.else_
        };
        match branch {
            Some(node) => self.apply(node, value, marks),
            None => Ok(true),
        }
    }

    pub(super) fn dynamic_ref(
        &mut self,
        reference: &DynamicRef,
        value: &'d Json,
        marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut target = reference.target;
        if let Some(anchor) = &reference.anchor {
            self.spend(self.scope.len() as u64)?;
            let resources = self.scope.iter().map(|id| &self.nodes.resources[id.0]);
            // The outermost that has the anchor decides.
            let mut anchored =
                resources.filter_map(|resource| resource.dynamic_anchors.get(anchor));
            target = anchored.next().copied().unwrap_or(target);
        }
        self.apply(target, value, marks)
    }
}
