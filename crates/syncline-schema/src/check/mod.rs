//! A check: one walk over document and schema, with a budget of steps.
//!
//! Each subschema that is applied, each member and item that is looked at, and each stretch of
//! text that is compared or searched is paid for. When the budget is spent, or subschemas are
//! within one another too deeply, the check is given up and says so. So no document and no schema
//! can hold the machine, whatever they ask.

mod arrays;
mod logic;
mod marks;
mod objects;
mod values;

use syncline_model::json::{Json, Key, Pointer};

use crate::limits::SchemaLimits;
use crate::node::{Node, NodeId, Nodes, ResourceId, Rule};
use crate::report::{Correction, Failure, Report};
use marks::Marks;

/// How many bytes, or other small things, are compared, hashed or counted in one step.
const BYTES_PER_STEP: u64 = 16;

/// Why a check is given up.
enum Stop {
    Steps,
    Nesting,
}

type Step<T> = Result<T, Stop>;

/// A token of the place in the document; pointers are made for failures only.
#[derive(Clone, Copy)]
enum Token<'d> {
    Key(&'d Key),
    Index(usize),
}

/// A check under way.
struct Check<'s, 'd> {
    nodes: &'s Nodes,
    limits: &'s SchemaLimits,
    steps: u64,
    depth: usize,
    place: Vec<Token<'d>>,
    /// The resources that the way here led through, each once, for `$dynamicRef`: of two times the
    /// first counts.
    scope: Vec<ResourceId>,
    /// Only whether it fits is asked, as within `not`.
    is_quiet: bool,
    /// The reasons for an alternative's failure are being collected.
    is_explaining: bool,
    failures: Vec<Failure>,
    failed: usize,
}

/// Checks a document.
pub(crate) fn check(nodes: &Nodes, limits: &SchemaLimits, document: &Json) -> Report {
    let mut check = Check::new(nodes, limits);
    let stop = check.apply(Nodes::ROOT, document, None).err();
    if let Some(stop) = &stop {
        check.give_up(stop);
    }
    Report {
        failures: check.failures,
        failed: check.failed,
        given_up: stop.is_some(),
        steps: check.steps,
    }
}

impl<'s, 'd> Check<'s, 'd> {
    fn new(nodes: &'s Nodes, limits: &'s SchemaLimits) -> Check<'s, 'd> {
        Check {
            nodes,
            limits,
            steps: 0,
            depth: 0,
            place: Vec::new(),
            scope: Vec::new(),
            is_quiet: false,
            is_explaining: false,
            failures: Vec::new(),
            failed: 0,
        }
    }

    /// Pays for work before it is done.
    fn spend(&mut self, steps: u64) -> Step<()> {
        let spent = self.steps.saturating_add(steps);
        if spent > self.limits.steps_max {
            return Err(Stop::Steps);
        }
        self.steps = spent;
        Ok(())
    }

    /// Applies a node to a value, and marks the members and items that it looked at.
    fn apply(&mut self, id: NodeId, value: &'d Json, marks: Option<&mut Marks>) -> Step<bool> {
        self.spend(1 + self.scope.len() as u64 / BYTES_PER_STEP)?;
        if self.depth >= self.limits.nesting_max {
            return Err(Stop::Nesting);
        }
        let nodes = self.nodes;
        let node = nodes.get(id);
        let enters = !self.scope.contains(&node.resource);
        if enters {
            self.scope.push(node.resource);
        }
        self.depth += 1;
        let fits = self.apply_node(node, value, marks)?;
        self.depth -= 1;
        if enters {
            self.scope.pop();
        }
        Ok(fits)
    }

    fn apply_node(
        &mut self,
        node: &Node,
        value: &'d Json,
        marks: Option<&mut Marks>,
    ) -> Step<bool> {
        if !node.has_unevaluated() {
            return self.apply_rules(node, value, marks);
        }
        // What is unevaluated here is what nothing within this node looked at, whatever others did.
        let mut own = self.new_marks(value)?;
        let mut fits = self.apply_rules(node, value, Some(&mut own))?;
        if fits || !self.is_quiet {
            fits &= self.apply_unevaluated(node, value, &mut own)?;
        }
        if let Some(marks) = marks {
            marks.add(&own);
        }
        Ok(fits)
    }

    fn apply_rules(
        &mut self,
        node: &Node,
        value: &'d Json,
        mut marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let mut fits = true;
        for rule in &node.rules {
            fits &= self.apply_rule(node, rule, value, marks.as_deref_mut())?;
            if !fits && self.is_quiet {
                break;
            }
        }
        Ok(fits)
    }

    fn apply_rule(
        &mut self,
        node: &Node,
        rule: &Rule,
        value: &'d Json,
        marks: Option<&mut Marks>,
    ) -> Step<bool> {
        self.spend(1)?;
        match (rule, value) {
            (Rule::Members(members), Json::Object(object)) => {
                self.members(node, members, object, marks)
            }
            (Rule::PropertyNames(names), Json::Object(object)) => {
                self.property_names(node, *names, object)
            }
            (Rule::Required(names), Json::Object(object)) => self.required(node, names, object),
            (Rule::DependentRequired(keyword, names), Json::Object(object)) => {
                self.dependent_required(node, keyword, names, object)
            }
            (Rule::DependentSchemas(schemas), Json::Object(object)) => {
                self.dependent_schemas(schemas, object, value, marks)
            }
            (Rule::Items(items), Json::Array(values)) => self.items(node, items, values, marks),
            (Rule::Contains(contains), Json::Array(values)) => {
                self.contains(node, contains, values, marks)
            }
            (Rule::AllOf(nodes), _) => self.all_of(nodes, value, marks),
            (Rule::AnyOf(nodes), _) => self.any_of(node, nodes, value, marks),
            (Rule::OneOf(nodes), _) => self.one_of(node, nodes, value, marks),
            (Rule::Not(not), _) => self.not(node, *not, value),
            (Rule::If(condition), _) => self.condition(condition, value, marks),
            (Rule::Ref(target), _) => self.apply(*target, value, marks),
            (Rule::DynamicRef(reference), _) => self.dynamic_ref(reference, value, marks),
            (rule, value) => self.value_rule(node, rule, value),
        }
    }

    fn apply_unevaluated(&mut self, node: &Node, value: &'d Json, marks: &mut Marks) -> Step<bool> {
        match value {
            Json::Object(object) => self.unevaluated_members(node, object, marks),
            Json::Array(items) => self.unevaluated_items(node, items, marks),
            _ => Ok(true),
        }
    }

    fn new_marks(&mut self, value: &Json) -> Step<Marks> {
        let length = match value {
            Json::Object(object) => object.len(),
            Json::Array(items) => items.len(),
            _ => 0,
        };
        let marks = Marks::words(length);
        self.spend(marks as u64)?;
        Ok(Marks::new(marks))
    }

    /// Applies a node without telling failures.
    fn apply_quietly(
        &mut self,
        id: NodeId,
        value: &'d Json,
        marks: Option<&mut Marks>,
    ) -> Step<bool> {
        let outer = std::mem::replace(&mut self.is_quiet, true);
        let fits = self.apply(id, value, marks)?;
        self.is_quiet = outer;
        Ok(fits)
    }

    /// Applies a node to what is below the current place.
    fn apply_below(&mut self, id: NodeId, token: Token<'d>, value: &'d Json) -> Step<bool> {
        self.place.push(token);
        let fits = self.apply(id, value, None)?;
        self.place.pop();
        Ok(fits)
    }

    /// Records a failure at the current place; what it says is asked for only if it is told.
    fn fail(
        &mut self,
        node: &Node,
        keyword: &'static str,
        tell: impl FnOnce(&Pointer) -> (String, Option<Correction>),
    ) {
        if self.is_quiet {
            return;
        }
        self.failed += 1;
        // Only the first reason explains an alternative.
        let max = if self.is_explaining {
            1
        } else {
            self.limits.failures_max
        };
        if self.failures.len() < max {
            let place = self.pointer();
            let (reason, correction) = tell(&place);
            // The schema `false` has no keywords.
            let rule = match keyword {
                "false" => node.at.clone(),
                keyword => node.at.child(keyword),
            };
            self.failures.push(Failure {
                place,
                keyword,
                rule,
                reason,
                correction,
            });
        }
    }

    fn give_up(&mut self, stop: &Stop) {
        let reason = match stop {
            Stop::Steps => format!(
                "the check was given up after {} steps",
                self.limits.steps_max
            ),
            Stop::Nesting => format!(
                "the check was given up: more than {} subschemas are within one another",
                self.limits.nesting_max
            ),
        };
        self.failed += 1;
        self.failures.push(Failure {
            place: self.pointer(),
            keyword: "",
            rule: Pointer::root(),
            reason,
            correction: None,
        });
    }

    fn pointer(&self) -> Pointer {
        let mut pointer = Pointer::root();
        for token in &self.place {
            match token {
                Token::Key(key) => pointer.push(key.text()),
                Token::Index(index) => pointer.push(index.to_string()),
            }
        }
        pointer
    }
}
