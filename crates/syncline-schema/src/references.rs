//! `$ref` and `$dynamicRef`: where they lead, and that following them ends.

use syncline_model::json::Pointer;

use crate::compile::Compiler;
use crate::error::{SchemaError, SchemaErrorKind};
use crate::keywords::Keywords;
use crate::limits::SchemaLimits;
use crate::node::{DynamicRef, NodeId, Nodes, Rule};
use crate::shown::shown;
use crate::uri;

/// A reference that was met and whose target may not have been read yet.
pub(crate) struct Reference {
    from: NodeId,
    at: Pointer,
    text: String,
    is_dynamic: bool,
}

impl Compiler<'_> {
    pub(crate) fn note_references(
        &mut self,
        keywords: &Keywords<'_>,
        from: NodeId,
    ) -> Result<(), SchemaError> {
        for keyword in ["$ref", "$dynamicRef"] {
            if let Some(text) = keywords.string(keyword)? {
                self.references.push(Reference {
                    from,
                    at: keywords.at.child(keyword),
                    text: text.to_owned(),
                    is_dynamic: keyword == "$dynamicRef",
                });
            }
        }
        Ok(())
    }

    /// Follows all references; what they lead to may hold further ones.
    pub(crate) fn resolve_references(&mut self) -> Result<(), SchemaError> {
        while let Some(reference) = self.references.pop() {
            let target = self.target(&reference)?;
            let rule = if reference.is_dynamic {
                let anchor = self.dynamic_name(&reference, target);
                Rule::DynamicRef(DynamicRef { target, anchor })
            } else {
                Rule::Ref(target)
            };
            self.nodes.all[reference.from.0].rules.push(rule);
        }
        Ok(())
    }

    fn target(&mut self, reference: &Reference) -> Result<NodeId, SchemaError> {
        let base = self.nodes.get(reference.from).resource;
        let (name, fragment) = uri::split_fragment(&reference.text);
        let uri = uri::resolve(&self.nodes.resources[base.0].uri, name);
        let remote = || SchemaErrorKind::Remote(shown(&reference.text)).at(&reference.at);
        let resource = *self.by_uri.get(&uri).ok_or_else(remote)?;
        let resource = &self.nodes.resources[resource.0];
        let nowhere = || {
            let reason = format!("reference {} leads nowhere", shown(&reference.text));
            SchemaError::invalid(&reference.at, reason)
        };
        let fragment = uri::percent_decoded(fragment).ok_or_else(nowhere)?;
        if fragment.is_empty() {
            return Ok(resource.root);
        }
        if !fragment.starts_with('/') {
            return resource.anchors.get(&fragment).copied().ok_or_else(nowhere);
        }
        let below = Pointer::parse(&fragment).map_err(|_| nowhere())?;
        let tokens = resource.pointer.tokens().iter().chain(below.tokens());
        let place = tokens.cloned().collect::<Pointer>();
        self.node_at(place).ok_or_else(nowhere)?
    }

    /// The node at a place, which may be none that the standard knows as a subschema
    /// (`components/schemas`); none if there is nothing.
    fn node_at(&mut self, place: Pointer) -> Option<Result<NodeId, SchemaError>> {
        if let Some(node) = self.by_pointer.get(&place) {
            return Some(Ok(*node));
        }
        let value = self.source.pointer(&place)?;
        let mut above = place.clone();
        let resource = loop {
            above.pop()?;
            if let Some(node) = self.by_pointer.get(&above) {
                break self.nodes.get(*node).resource;
            }
        };
        Some(self.schema(value, place, resource))
    }

    /// The name to look for at each check, if the reference leads to a `$dynamicAnchor` by name.
    fn dynamic_name(&self, reference: &Reference, target: NodeId) -> Option<String> {
        let (_, fragment) = uri::split_fragment(&reference.text);
        let resource = self.nodes.get(target).resource;
        let anchors = &self.nodes.resources[resource.0].dynamic_anchors;
        anchors.contains_key(fragment).then(|| fragment.to_owned())
    }
}

/// Refuses a schema that applies itself to the same value again without end, or that applies so
/// many subschemas to one value that no document could be checked.
///
/// A check is bounded in steps anyway; but then every document would be refused, and nobody would
/// tell the schema's author why.
pub(crate) fn check_expansion(nodes: &Nodes, limits: &SchemaLimits) -> Result<(), SchemaError> {
    let mut costs: Vec<Option<u64>> = vec![None; nodes.all.len()];
    let mut open = vec![false; nodes.all.len()];
    for start in 0..nodes.all.len() {
        // An own stack: a chain of references is as long as the schema.
        let mut stack = vec![NodeId(start)];
        while let Some(&id) = stack.last() {
            if costs[id.0].is_some() {
                stack.pop();
                continue;
            }
            let within: Vec<NodeId> = nodes
                .get(id)
                .rules
                .iter()
                .flat_map(Rule::in_place)
                .collect();
            if !open[id.0] {
                open[id.0] = true;
                if let Some(again) = within.iter().find(|node| open[node.0]) {
                    let reason = format!(
                        "this schema refers to {}, which leads back here without going into the value",
                        shown(&nodes.get(*again).at.to_string())
                    );
                    return Err(SchemaError::invalid(&nodes.get(id).at, reason));
                }
                stack.extend(within.iter().filter(|node| costs[node.0].is_none()));
                continue;
            }
            let known = within.iter().map(|node| costs[node.0].unwrap_or(0));
            let cost = known.fold(1, u64::saturating_add);
            if cost > limits.checks_per_value_max {
                let reason = format!(
                    "more than {} subschemas apply to one value here",
                    limits.checks_per_value_max
                );
                return Err(SchemaError::limit(&nodes.get(id).at, reason));
            }
            costs[id.0] = Some(cost);
            open[id.0] = false;
            stack.pop();
        }
    }
    Ok(())
}
