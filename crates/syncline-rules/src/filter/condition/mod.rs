//! `where`: an expression in a bounded part of CEL, the Common Expression Language.
//!
//! What is known: `change` (`id`, `type`, `actor`, `agent`, `session`, `tool_call`, `changed`,
//! `priority`, `message`, `outcome`, `branch`, `bulk`, `version`, `from`, `base`, `blind`,
//! `committed_at`), `context` (`address`, `kind`, `id`, `parent`, `ancestors`, `project`, `level`,
//! `labels`, `title`, `description`, `state`, `owner`, `collaborators`, `permissions`, `data`,
//! `metadata`), and `data`, `labels`, `metadata` for short. All but `actor` and who else acts are
//! as of after the change. Times are RFC 3339 texts in UTC, which order as times do.
//!
//! The evaluator is our own. The library that we would have taken cannot be bounded: it has no
//! limit on steps, `+` on texts doubles them, and it works on values that round our numbers and
//! must be made anew of each document. Here values are borrowed from the document, and all that is
//! done is paid for in steps. What CEL has and this has not: objects and bytes written out, types,
//! times and durations, functions of one's own; a pattern must be written out. Numbers are exact
//! and of one kind: whole ones divide as `int`, others as `double`.

mod eval;
mod fields;
mod parse;
mod token;
mod tree;
mod value;

use std::sync::atomic::{AtomicU64, Ordering};

use syncline_api::Condition;

pub use eval::Wrong;

use super::facts::Facts;
use tree::{Field, Node};

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Expression {
    text: Box<str>,
    root: Node,
    looks_at: Vec<Field>,
    failed: AtomicU64,
}

impl Expression {
    /// Compiles an expression; what is wrong with it is said with its place.
    pub fn compile(text: &str) -> Result<Expression, String> {
        let condition = Condition::parse(text)?;
        let text = condition.as_str();
        let said = |fault: token::Fault| {
            let column = text[..fault.at].chars().count() + 1;
            format!("at column {column}: {}", fault.why)
        };
        let (root, looks) = parse::parse(text).map_err(said)?;
        if let Some(what) = parse::is_never_bool(&root) {
            return Err(format!("it gives {what}, and must give true or false"));
        }
        Ok(Expression {
            text: text.into(),
            root,
            looks_at: looks.at,
            failed: AtomicU64::new(0),
        })
    }

    /// Evaluates it; what fails is counted.
    pub fn evaluate(&self, facts: &Facts<'_>) -> Result<bool, Wrong> {
        let result = eval::evaluate(&self.root, facts);
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Returns it as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates it without counting, to explain.
    pub fn try_out(&self, facts: &Facts<'_>) -> Result<bool, Wrong> {
        eval::evaluate(&self.root, facts)
    }

    /// Returns how often it failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Says whether it looks at the document.
    pub fn needs_document(&self) -> bool {
        self.looks_at.iter().any(|field| field.is_of_document())
    }

    /// Says whether it gives the same for all changes of one context.
    pub fn is_of_context(&self) -> bool {
        self.looks_at.iter().all(|field| field.is_of_context())
    }
}
