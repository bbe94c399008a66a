//! A compiled schema: subschemas as nodes of a graph, each with the rules that its keywords make.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use syncline_model::json::{Json, Number, Pointer};

use crate::divisor::Divisor;
use crate::merge_rules::MergePolicy;
use crate::pattern::Pattern;

/// The place of a node in [`Nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) usize);

/// The place of a resource in [`Nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResourceId(pub(crate) usize);

/// All of a schema's nodes.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) all: Vec<Node>,
    pub(crate) resources: Vec<Resource>,
}

impl Nodes {
    pub(crate) const ROOT: NodeId = NodeId(0);

    pub(crate) fn get(&self, id: NodeId) -> &Node {
        &self.all[id.0]
    }
}

/// A part of the schema with a URI of its own (`$id`), within which anchors are names.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) uri: String,
    pub(crate) pointer: Pointer,
    pub(crate) root: NodeId,
    pub(crate) anchors: HashMap<String, NodeId>,
    pub(crate) dynamic_anchors: HashMap<String, NodeId>,
}

/// One subschema.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: Pointer,
    pub(crate) resource: ResourceId,
    pub(crate) rules: Vec<Rule>,
    pub(crate) unevaluated_items: Option<NodeId>,
    pub(crate) unevaluated_properties: Option<NodeId>,
    pub(crate) merge: Option<MergePolicy>,
    /// The value to propose where one is missing.
    pub(crate) default: Option<Json>,
}

impl Node {
    pub(crate) fn new(at: Pointer, resource: ResourceId) -> Node {
        Node {
            at,
            resource,
            rules: Vec::new(),
            unevaluated_items: None,
            unevaluated_properties: None,
            merge: None,
            default: None,
        }
    }

    /// Tells whether nothing fits this node.
    pub(crate) fn is_never(&self) -> bool {
        matches!(self.rules[..], [Rule::Never])
    }

    pub(crate) fn has_unevaluated(&self) -> bool {
        self.unevaluated_items.is_some() || self.unevaluated_properties.is_some()
    }

    /// Returns what `type` says.
    pub(crate) fn types(&self) -> Option<Types> {
        self.rules.iter().find_map(|rule| match rule {
            Rule::Type(types) => Some(*types),
            _ => None,
        })
    }

    pub(crate) fn members(&self) -> Option<&Members> {
        self.rules.iter().find_map(|rule| match rule {
            Rule::Members(members) => Some(members),
            _ => None,
        })
    }
}

/// What one keyword, or a few that belong together, ask of a value.
#[derive(Debug)]
pub(crate) enum Rule {
    /// The schema `false`.
    Never,
    Type(Types),
    Const(Listed),
    Enum(Listed),
    Minimum(Number),
    Maximum(Number),
    ExclusiveMinimum(Number),
    ExclusiveMaximum(Number),
    MultipleOf(Divisor, Number),
    MinLength(u64),
    MaxLength(u64),
    Pattern(Pattern),
    MinItems(u64),
    MaxItems(u64),
    UniqueItems,
    MinProperties(u64),
    MaxProperties(u64),
    Required(Vec<Arc<str>>),
    DependentRequired(&'static str, Vec<(Arc<str>, Vec<Arc<str>>)>),
    DependentSchemas(Vec<(Arc<str>, NodeId)>),
    PropertyNames(NodeId),
    Members(Members),
    Items(Items),
    Contains(Contains),
    AllOf(Vec<NodeId>),
    AnyOf(Vec<NodeId>),
    OneOf(Vec<NodeId>),
    Not(NodeId),
    If(Condition),
    Ref(NodeId),
    DynamicRef(DynamicRef),
}

/// `const` and `enum`.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) values: Vec<Json>,
    /// About how many bytes the values have, and a comparison may look at.
    pub(crate) weight: u64,
}

/// `properties`, `patternProperties` and `additionalProperties`.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Sorted, so that corrections and merge rules come in one order.
    pub(crate) named: BTreeMap<Arc<str>, NodeId>,
    pub(crate) patterns: Vec<(Arc<Pattern>, NodeId)>,
    pub(crate) additional: Option<NodeId>,
}

/// `prefixItems` and `items`.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) prefix: Vec<NodeId>,
    pub(crate) rest: Option<NodeId>,
}

/// `contains`, `minContains` and `maxContains`.
#[derive(Debug)]
pub(crate) struct Contains {
    pub(crate) item: NodeId,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// `if`, `then` and `else`.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) if_: NodeId,
    pub(crate) then: Option<NodeId>,
    pub(crate) else_: Option<NodeId>,
}

/// `$dynamicRef`.
#[derive(Debug)]
pub(crate) struct DynamicRef {
    /// Where it leads if no resource on the way here has the anchor.
    pub(crate) target: NodeId,
    /// The name to look for, unless this is no more than a `$ref`.
    pub(crate) anchor: Option<String>,
}

impl Rule {
    /// Returns the nodes that apply to the same value as this rule.
    pub(crate) fn in_place(&self) -> Vec<NodeId> {
        match self {
            Rule::AllOf(nodes) | Rule::AnyOf(nodes) | Rule::OneOf(nodes) => nodes.clone(),
            Rule::Not(node) | Rule::Ref(node) => vec![*node],
            Rule::DynamicRef(reference) => vec![reference.target],
            Rule::DependentSchemas(nodes) => nodes.iter().map(|(_, node)| *node).collect(),
            Rule::If(condition) => [Some(condition.if_), condition.then, condition.else_]
                .into_iter()
                .flatten()
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A set of the types that JSON Schema knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types(u8);

/// A type's bit is its place here; each integer is a number, too.
const TYPE_NAMES: [&str; 7] = [
    "null", "boolean", "object", "array", "string", "number", "integer",
];

impl Types {
    /// Adds the type of this name; false if there is none, or if it is there already.
    pub(crate) fn add(&mut self, name: &str) -> bool {
        let Some(bit) = TYPE_NAMES.iter().position(|known| *known == name) else {
            return false;
        };
        let before = self.0;
        self.0 |= 1 << bit;
        self.0 != before
    }

    /// Tells whether a type is named here.
    pub(crate) fn has(self, name: &str) -> bool {
        let bit = TYPE_NAMES.iter().position(|known| *known == name);
        bit.is_some_and(|bit| self.0 & (1 << bit) != 0)
    }

    /// Tells whether the value is of one of these types; `1.0` is an integer.
    pub(crate) fn fits(self, value: &Json) -> bool {
        match value {
            Json::Number(number) => {
                self.has("number") || (self.has("integer") && number.is_integer())
            }
            other => self.has(other.type_name()),
        }
    }

    /// `string or null`.
    pub(crate) fn names(self) -> String {
        let names = TYPE_NAMES.iter().filter(|name| self.has(name)).copied();
        names.collect::<Vec<_>>().join(" or ")
    }
}
