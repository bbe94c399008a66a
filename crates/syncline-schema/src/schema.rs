//! A compiled schema.

use syncline_model::json::Json;

use crate::check;
use crate::compile;
use crate::error::SchemaError;
use crate::limits::SchemaLimits;
use crate::merge_rules::{self, MergeRules};
use crate::node::Nodes;
use crate::report::Report;

/// A JSON Schema (draft 2020-12), compiled once and then used for many documents.
#[derive(Debug)]
pub struct Schema {
    nodes: Nodes,
    limits: SchemaLimits,
    merge_rules: MergeRules,
}

impl Schema {
    /// Compiles a schema; all that could be wrong with it is said now, with its place.
    ///
    /// References lead within the document only, and nothing is ever fetched. `format` and the
    /// `content…` keywords are annotations, as the standard's default is.
    pub fn compile(source: &Json, limits: SchemaLimits) -> Result<Schema, SchemaError> {
        let nodes = compile::compile(source, &limits)?;
        let merge_rules = merge_rules::merge_rules(&nodes, &limits)?;
        Ok(Schema {
            nodes,
            limits,
            merge_rules,
        })
    }

    /// Checks a document. The cost is bounded by the limits, in steps; a check that is given up
    /// counts as failed.
    pub fn check(&self, document: &Json) -> Report {
        check::check(&self.nodes, &self.limits, document)
    }

    /// Returns how the document's fields merge, and which rules have no effect.
    pub fn merge_rules(&self) -> &MergeRules {
        &self.merge_rules
    }
}
