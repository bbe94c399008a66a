//! From a document to nodes: one walk over the places where the standard knows subschemas, then
//! the references.

use std::collections::HashMap;
use std::sync::Arc;

use syncline_model::json::{Json, Pointer};

use crate::divisor::Divisor;
use crate::error::{SchemaError, SchemaErrorKind};
use crate::keywords::{Keywords, names};
use crate::limits::SchemaLimits;
use crate::merge_rules::MergePolicy;
use crate::node::{
    Condition, Contains, Items, Listed, Members, Node, NodeId, Nodes, Resource, ResourceId, Rule,
};
use crate::pattern::Pattern;
use crate::references::{Reference, check_expansion};
use crate::uri;

/// The one draft that is understood.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Each `$id` is kept with the URI that it is relative to.
const URI_BYTES_MAX: usize = 1_000;

type Compiled<T> = Result<T, SchemaError>;

/// What is known while a schema is compiled.
pub(crate) struct Compiler<'a> {
    pub(crate) source: &'a Json,
    pub(crate) limits: &'a SchemaLimits,
    pub(crate) nodes: Nodes,
    pub(crate) by_pointer: HashMap<Pointer, NodeId>,
    pub(crate) by_uri: HashMap<String, ResourceId>,
    pub(crate) references: Vec<Reference>,
    pattern_bytes: usize,
}

/// Compiles the whole document.
pub(crate) fn compile(source: &Json, limits: &SchemaLimits) -> Compiled<Nodes> {
    let root = Pointer::root();
    check_size(source, limits)?;
    let mut compiler = Compiler {
        source,
        limits,
        nodes: Nodes {
            all: Vec::new(),
            resources: Vec::new(),
        },
        by_pointer: HashMap::new(),
        by_uri: HashMap::new(),
        references: Vec::new(),
        pattern_bytes: 0,
    };
    let whole = compiler.add_resource(String::new(), &root, Nodes::ROOT)?;
    compiler.schema(source, root, whole)?;
    compiler.resolve_references()?;
    check_expansion(&compiler.nodes, limits)?;
    Ok(compiler.nodes)
}

/// Depth first: everything else about a document recurses over it.
fn check_size(source: &Json, limits: &SchemaLimits) -> Compiled<()> {
    let root = Pointer::root();
    let (depth, max) = (source.depth(), limits.depth_max);
    if depth > max {
        let reason = format!("a schema nests at most {max} levels deep, this one {depth}");
        return Err(SchemaError::limit(&root, reason));
    }
    let (bytes, max) = (source.weight(), limits.bytes_max);
    if bytes > max {
        let reason = format!("a schema has at most {max} bytes, this one {bytes}");
        return Err(SchemaError::limit(&root, reason));
    }
    Ok(())
}

impl Compiler<'_> {
    /// Adds the subschema that stands at `at`, and all within it.
    pub(crate) fn schema(
        &mut self,
        value: &Json,
        at: Pointer,
        resource: ResourceId,
    ) -> Compiled<NodeId> {
        // A reference may lead above a place that another one led to before.
        if let Some(known) = self.by_pointer.get(&at) {
            return Ok(*known);
        }
        let max = self.limits.subschemas_max;
        if self.nodes.all.len() >= max {
            let reason = format!("a schema has at most {max} subschemas");
            return Err(SchemaError::limit(&at, reason));
        }
        let max = self.limits.pointer_bytes_max;
        if at.tokens().iter().map(|token| token.len()).sum::<usize>() > max {
            let above = at.parent().unwrap_or_default();
            let reason = format!("the names on the way to a subschema have at most {max} bytes");
            return Err(SchemaError::limit(&above, reason));
        }
        let id = NodeId(self.nodes.all.len());
        self.nodes.all.push(Node::new(at.clone(), resource));
        self.by_pointer.insert(at.clone(), id);
        match value {
            Json::Bool(true) => {}
            Json::Bool(false) => self.nodes.all[id.0].rules.push(Rule::Never),
            Json::Object(object) => self.keywords(&Keywords { object, at }, id)?,
            other => {
                let reason = format!(
                    "a schema is an object or a boolean, found {}",
                    other.type_name()
                );
                return Err(SchemaError::invalid(&at, reason));
            }
        }
        Ok(id)
    }

    fn keywords(&mut self, keywords: &Keywords<'_>, id: NodeId) -> Compiled<()> {
        self.identify(keywords, id)?;
        self.note_references(keywords, id)?;
        keywords.check_annotations()?;
        for container in ["$defs", "definitions"] {
            self.named(keywords, container, id)?;
        }
        self.subschema(keywords, "contentSchema", id)?;

        let types = keywords.types()?;
        let mut rules: Vec<Rule> = types.map(Rule::Type).into_iter().collect();
        value_rules(keywords, &mut rules)?;
        if let Some(pattern) = keywords.string("pattern")? {
            rules.push(Rule::Pattern(
                self.pattern(pattern, &keywords.at.child("pattern"))?,
            ));
        }
        rules.extend(self.members(keywords, id)?.map(Rule::Members));
        rules.extend(self.items(keywords, id)?.map(Rule::Items));
        rules.extend(self.contains(keywords, id)?.map(Rule::Contains));
        let names = self.subschema(keywords, "propertyNames", id)?;
        rules.extend(names.map(Rule::PropertyNames));
        self.dependent_rules(keywords, id, &mut rules)?;
        self.logic_rules(keywords, id, &mut rules)?;

        let unevaluated_items = self.subschema(keywords, "unevaluatedItems", id)?;
        let unevaluated_properties = self.subschema(keywords, "unevaluatedProperties", id)?;
        let node = &mut self.nodes.all[id.0];
        node.rules.append(&mut rules);
        node.unevaluated_items = unevaluated_items;
        node.unevaluated_properties = unevaluated_properties;
        node.merge = MergePolicy::read(keywords, types)?;
        node.default = keywords.get("default").cloned();
        Ok(())
    }

    /// Reads `$schema`, `$id` and the anchors.
    fn identify(&mut self, keywords: &Keywords<'_>, id: NodeId) -> Compiled<()> {
        if let Some(draft) = keywords.string("$schema")?
            && draft.trim_end_matches('#') != DRAFT
        {
            return Err(keywords.invalid(
                "$schema",
                format!("the only draft that is understood is {DRAFT:?}"),
            ));
        }
        if let Some(name) = keywords.string("$id")? {
            let (name, fragment) = uri::split_fragment(name);
            if !fragment.is_empty() {
                return Err(keywords.invalid("$id", "$id has no fragment: use $anchor"));
            }
            let outer = self.nodes.all[id.0].resource;
            let uri = uri::resolve(&self.nodes.resources[outer.0].uri, name);
            let resource = self.add_resource(uri, &keywords.at, id)?;
            self.nodes.all[id.0].resource = resource;
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = keywords.string(keyword)? {
                self.add_anchor(keywords, keyword, name, id)?;
            }
        }
        Ok(())
    }

    fn add_resource(&mut self, uri: String, at: &Pointer, root: NodeId) -> Compiled<ResourceId> {
        let id = ResourceId(self.nodes.resources.len());
        if uri.len() > URI_BYTES_MAX {
            let reason = format!("$id has at most {URI_BYTES_MAX} bytes");
            return Err(SchemaError::limit(&at.child("$id"), reason));
        }
        if self.by_uri.insert(uri.clone(), id).is_some() {
            return Err(SchemaError::invalid(
                &at.child("$id"),
                "another subschema has this $id",
            ));
        }
        self.nodes.resources.push(Resource {
            uri,
            pointer: at.clone(),
            root,
            anchors: HashMap::new(),
            dynamic_anchors: HashMap::new(),
        });
        Ok(id)
    }

    fn add_anchor(
        &mut self,
        keywords: &Keywords<'_>,
        keyword: &str,
        name: &str,
        id: NodeId,
    ) -> Compiled<()> {
        let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !starts || !name.bytes().all(goes_on) {
            let reason =
                "an anchor is a letter or _ followed by letters, digits, \"-\", \".\" and \"_\"";
            return Err(keywords.invalid(keyword, reason));
        }
        let resource = self.nodes.all[id.0].resource;
        let resource = &mut self.nodes.resources[resource.0];
        if keyword == "$dynamicAnchor" {
            resource.dynamic_anchors.insert(name.to_owned(), id);
        }
        match resource.anchors.insert(name.to_owned(), id) {
            Some(other) if other != id => {
                Err(keywords.invalid(keyword, "another subschema has this anchor"))
            }
            _ => Ok(()),
        }
    }

    fn subschema(
        &mut self,
        keywords: &Keywords<'_>,
        keyword: &str,
        id: NodeId,
    ) -> Compiled<Option<NodeId>> {
        let Some(value) = keywords.get(keyword) else {
            return Ok(None);
        };
        let resource = self.nodes.all[id.0].resource;
        self.schema(value, keywords.at.child(keyword), resource)
            .map(Some)
    }

    /// An array of subschemas, at least one.
    fn subschemas(
        &mut self,
        keywords: &Keywords<'_>,
        keyword: &str,
        id: NodeId,
    ) -> Compiled<Option<Vec<NodeId>>> {
        let Some(items) = keywords.array(keyword)? else {
            return Ok(None);
        };
        if items.is_empty() {
            return Err(keywords.invalid(keyword, format!("{keyword} holds at least one schema")));
        }
        let resource = self.nodes.all[id.0].resource;
        let at = keywords.at.child(keyword);
        let add = |(index, item)| self.schema(item, at.index(index), resource);
        items
            .iter()
            .enumerate()
            .map(add)
            .collect::<Compiled<_>>()
            .map(Some)
    }

    /// An object whose members are subschemas.
    fn named(
        &mut self,
        keywords: &Keywords<'_>,
        keyword: &str,
        id: NodeId,
    ) -> Compiled<Vec<(Arc<str>, NodeId)>> {
        let Some(object) = keywords.object(keyword)? else {
            return Ok(Vec::new());
        };
        let resource = self.nodes.all[id.0].resource;
        let at = keywords.at.child(keyword);
        let add = |(key, value): (&syncline_model::json::Key, &Json)| {
            let node = self.schema(value, at.child(key.as_str()), resource)?;
            Ok((key.text(), node))
        };
        object.entries().map(add).collect()
    }

    fn members(&mut self, keywords: &Keywords<'_>, id: NodeId) -> Compiled<Option<Members>> {
        let named = self
            .named(keywords, "properties", id)?
            .into_iter()
            .collect();
        let at = keywords.at.child("patternProperties");
        let mut patterns = Vec::new();
        for (source, node) in self.named(keywords, "patternProperties", id)? {
            let pattern = self.pattern(&source, &at.child(&source))?;
            patterns.push((Arc::new(pattern), node));
        }
        let additional = self.subschema(keywords, "additionalProperties", id)?;
        let members = Members {
            named,
            patterns,
            additional,
        };
        let some =
            !members.named.is_empty() || !members.patterns.is_empty() || additional.is_some();
        Ok(some.then_some(members))
    }

    fn items(&mut self, keywords: &Keywords<'_>, id: NodeId) -> Compiled<Option<Items>> {
        let prefix = self
            .subschemas(keywords, "prefixItems", id)?
            .unwrap_or_default();
        let rest = self.subschema(keywords, "items", id)?;
        let some = !prefix.is_empty() || rest.is_some();
        Ok(some.then_some(Items { prefix, rest }))
    }

    fn contains(&mut self, keywords: &Keywords<'_>, id: NodeId) -> Compiled<Option<Contains>> {
        let min = keywords.count("minContains")?.unwrap_or(1);
        let max = keywords.count("maxContains")?.unwrap_or(u64::MAX);
        let item = self.subschema(keywords, "contains", id)?;
        Ok(item.map(|item| Contains { item, min, max }))
    }

    /// `dependentSchemas`, `dependentRequired`, and `dependencies`, which was both.
    fn dependent_rules(
        &mut self,
        keywords: &Keywords<'_>,
        id: NodeId,
        rules: &mut Vec<Rule>,
    ) -> Compiled<()> {
        let schemas = self.named(keywords, "dependentSchemas", id)?;
        if !schemas.is_empty() {
            rules.push(Rule::DependentSchemas(schemas));
        }
        let resource = self.nodes.all[id.0].resource;
        for keyword in ["dependentRequired", "dependencies"] {
            let Some(object) = keywords.object(keyword)? else {
                continue;
            };
            let at = keywords.at.child(keyword);
            let (mut required, mut schemas) = (Vec::new(), Vec::new());
            for (key, value) in object.entries() {
                let at = at.child(key.as_str());
                match value {
                    Json::Array(items) => required.push((key.text(), names(items, &at)?)),
                    other if keyword == "dependencies" => {
                        schemas.push((key.text(), self.schema(other, at, resource)?));
                    }
                    _ => {
                        return Err(SchemaError::invalid(
                            &at,
                            "what a member depends on is an array of names",
                        ));
                    }
                }
            }
            rules.push(Rule::DependentRequired(keyword_name(keyword), required));
            rules.push(Rule::DependentSchemas(schemas));
        }
        Ok(())
    }

    fn logic_rules(
        &mut self,
        keywords: &Keywords<'_>,
        id: NodeId,
        rules: &mut Vec<Rule>,
    ) -> Compiled<()> {
        rules.extend(self.subschemas(keywords, "allOf", id)?.map(Rule::AllOf));
        rules.extend(self.subschemas(keywords, "anyOf", id)?.map(Rule::AnyOf));
        rules.extend(self.subschemas(keywords, "oneOf", id)?.map(Rule::OneOf));
        rules.extend(self.subschema(keywords, "not", id)?.map(Rule::Not));
        let if_ = self.subschema(keywords, "if", id)?;
        let then = self.subschema(keywords, "then", id)?;
        let else_ = self.subschema(keywords, "else", id)?;
        rules.extend(if_.map(|if_| Rule::If(Condition { if_, then, else_ })));
        Ok(())
    }

    fn pattern(&mut self, source: &str, at: &Pointer) -> Compiled<Pattern> {
        let refused = |reason| SchemaErrorKind::Pattern(reason).at(at);
        let max = self.limits.pattern_program_bytes_max;
        let pattern = Pattern::compile(source, max).map_err(refused)?;
        self.pattern_bytes += pattern.bytes();
        let max = self.limits.pattern_programs_bytes_max;
        if self.pattern_bytes > max {
            let reason = format!("the programs of all patterns take more than {max} bytes");
            return Err(SchemaError::limit(at, reason));
        }
        Ok(pattern)
    }
}

fn keyword_name(keyword: &str) -> &'static str {
    if keyword == "dependencies" {
        "dependencies"
    } else {
        "dependentRequired"
    }
}

/// The keywords that look at a value and apply no subschema.
fn value_rules(keywords: &Keywords<'_>, rules: &mut Vec<Rule>) -> Compiled<()> {
    let listed = |values: Vec<Json>| {
        let weight = values.iter().map(|value| value.weight() as u64).sum();
        Listed { values, weight }
    };
    if let Some(value) = keywords.get("const") {
        rules.push(Rule::Const(listed(vec![value.clone()])));
    }
    if let Some(values) = keywords.array("enum")? {
        rules.push(Rule::Enum(listed(values.to_vec())));
    }
    let mut bound = |keyword, rule: fn(_) -> Rule| -> Compiled<()> {
        rules.extend(keywords.number(keyword)?.cloned().map(rule));
        Ok(())
    };
    bound("minimum", Rule::Minimum)?;
    bound("maximum", Rule::Maximum)?;
    bound("exclusiveMinimum", Rule::ExclusiveMinimum)?;
    bound("exclusiveMaximum", Rule::ExclusiveMaximum)?;
    if let Some(number) = keywords.number("multipleOf")? {
        let refused = |reason: String| keywords.invalid("multipleOf", reason);
        let divisor = Divisor::new(number).map_err(refused)?;
        rules.push(Rule::MultipleOf(divisor, number.clone()));
    }
    let mut bound = |keyword, rule: fn(u64) -> Rule| -> Compiled<()> {
        rules.extend(keywords.count(keyword)?.map(rule));
        Ok(())
    };
    bound("minLength", Rule::MinLength)?;
    bound("maxLength", Rule::MaxLength)?;
    bound("minItems", Rule::MinItems)?;
    bound("maxItems", Rule::MaxItems)?;
    bound("minProperties", Rule::MinProperties)?;
    bound("maxProperties", Rule::MaxProperties)?;
    if keywords.boolean("uniqueItems")? == Some(true) {
        rules.push(Rule::UniqueItems);
    }
    rules.extend(keywords.names("required")?.map(Rule::Required));
    Ok(())
}
