//! Filters and `where` together, and what they answer.

use std::sync::Arc;

use syncline_api::{Attribute, Filter, Filters};
use syncline_model::json::{FieldError, Json, Pointer};

use super::condition::Expression;
use super::facts::{Facts, Found};

/// What a matcher says of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The reader wants to hear of it.
    Yes,
    /// It does not.
    No,
    /// That depends on the document, which is not at hand: ask again with it.
    NeedsDocument,
}

/// Compiled filters and `where`. Clones share what was compiled, and the count of failures.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    filters: Filters,
    expression: Option<Arc<Expression>>,
}

impl Matcher {
    /// Compiles filters, of which one must match, and an expression, which must be true as well.
    ///
    /// What is wrong with the expression is said with the pointer `/where`.
    pub fn compile(filters: &Filters, condition: Option<&str>) -> Result<Matcher, FieldError> {
        let expression = condition.map(Expression::compile).transpose();
        let expression =
            expression.map_err(|why| FieldError::invalid(Pointer::from_static("/where"), why))?;
        Ok(Matcher {
            filters: filters.clone(),
            expression: expression.map(Arc::new),
        })
    }

    /// Says whether a reader wants to hear of a change, looking at no more than it must.
    pub fn answer(&self, facts: &Facts<'_>) -> Answer {
        let filtered = if self.filters.is_empty() {
            Answer::Yes
        } else {
            any(self.filters.0.iter().map(|filter| judge(filter, facts)))
        };
        let Some(expression) = &self.expression else {
            return filtered;
        };
        let at_hand = facts.has_document() || !expression.needs_document();
        match filtered {
            Answer::No => Answer::No,
            _ if !at_hand => Answer::NeedsDocument,
            Answer::NeedsDocument | Answer::Yes => {
                match (expression.evaluate(facts).unwrap_or(false), filtered) {
                    (true, filtered) => filtered,
                    (false, _) => Answer::No,
                }
            }
        }
    }

    /// Says whether a change matches; what depends on a document that is not at hand does not.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.answer(facts) == Answer::Yes
    }

    /// Says whether a context that stands there may be shown to the reader: terms on who changed
    /// it, how and how urgently exclude none.
    pub fn admits(&self, context: &Facts<'_>) -> bool {
        self.answer(context) != Answer::No
    }

    /// Says whether everything matches.
    pub fn is_everything(&self) -> bool {
        self.filters.is_empty() && self.expression.is_none()
    }

    /// Says whether an answer may depend on the document.
    pub fn needs_document(&self) -> bool {
        let of_document = |name: &Attribute| name.is_of_document();
        let filters = &self.filters.0;
        filters.iter().any(|filter| names(filter, &of_document))
            || self.expression.as_ref().is_some_and(|e| e.needs_document())
    }

    /// Says whether kind and address alone decide, so that every change of a context matches or
    /// none does.
    pub fn is_of_context(&self) -> bool {
        let other = |name: &Attribute| !name.is_of_context();
        let looks_further = |filter: &Filter| names(filter, &other) || looks_at_change(filter);
        !self.filters.0.iter().any(looks_further)
            && self.expression.as_ref().is_none_or(|e| e.is_of_context())
    }

    /// Returns how often `where` had no value for a change, and so did not match.
    pub fn failed(&self) -> u64 {
        self.expression.as_ref().map_or(0, |e| e.failed())
    }

    /// Says what [`Matcher::answer`] would, and counts nothing.
    pub fn try_out(&self, facts: &Facts<'_>) -> Answer {
        let mut clauses = self.explain(facts);
        let condition = self.expression().and_then(|_| clauses.pop());
        let filtered = match clauses.is_empty() {
            true => Answer::Yes,
            false => any(clauses.iter().map(|clause| clause.answer)),
        };
        let condition = condition.map_or(Answer::Yes, |clause| clause.answer);
        match (filtered, condition) {
            (Answer::No, _) | (_, Answer::No) => Answer::No,
            (Answer::Yes, condition) => condition,
            (Answer::NeedsDocument, _) => Answer::NeedsDocument,
        }
    }

    /// Returns its `where`, if it has one.
    pub fn condition(&self) -> Option<&str> {
        self.expression().map(|expression| expression.text())
    }

    pub(super) fn filters(&self) -> &Filters {
        &self.filters
    }

    pub(super) fn expression(&self) -> Option<&Expression> {
        self.expression.as_deref()
    }
}

/// Says whether a filter names an attribute for which `asked` holds.
fn names(filter: &Filter, asked: &dyn Fn(&Attribute) -> bool) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(|f| names(f, asked)),
        Filter::Not(filter) => names(filter, asked),
        Filter::Exact(name, _)
        | Filter::Prefix(name, _)
        | Filter::Suffix(name, _)
        | Filter::In(name, _)
        | Filter::Exists(name, _) => asked(name),
        Filter::Changed(_) | Filter::MinPriority(_) => false,
    }
}

/// Says whether a filter looks at what a change did or how urgent it is.
fn looks_at_change(filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(looks_at_change),
        Filter::Not(filter) => looks_at_change(filter),
        Filter::Changed(_) | Filter::MinPriority(_) => true,
        _ => false,
    }
}

pub(super) fn judge(filter: &Filter, facts: &Facts<'_>) -> Answer {
    match filter {
        Filter::All(filters) => all(filters.iter().map(|filter| judge(filter, facts))),
        Filter::Any(filters) => any(filters.iter().map(|filter| judge(filter, facts))),
        Filter::Not(filter) => match judge(filter, facts) {
            Answer::Yes => Answer::No,
            Answer::No => Answer::Yes,
            Answer::NeedsDocument => Answer::NeedsDocument,
        },
        Filter::Exact(name, value) => compare(name, facts, |found| is(found, value)),
        Filter::Prefix(name, start) => {
            let begins = |text: &str| text.starts_with(&**start);
            compare(name, facts, |found| text(found).is_some_and(begins))
        }
        Filter::Suffix(name, end) => {
            let ends = |text: &str| text.ends_with(&**end);
            compare(name, facts, |found| text(found).is_some_and(ends))
        }
        Filter::In(name, values) => compare(name, facts, |found| {
            values.iter().any(|value| is(found, value))
        }),
        Filter::Exists(name, there) => compare(name, facts, |found| {
            matches!(found, Found::Text(_) | Found::Value(_)) == *there
        }),
        Filter::Changed(_) | Filter::MinPriority(_) if facts.stands => Answer::NeedsDocument,
        Filter::Changed(pattern) => {
            answer(facts.change.changed.iter().any(|at| pattern.touches(at)))
        }
        Filter::MinPriority(priority) => answer(facts.change.priority.get() <= priority.get()),
    }
}

fn answer(yes: bool) -> Answer {
    if yes { Answer::Yes } else { Answer::No }
}

fn compare(name: &Attribute, facts: &Facts<'_>, holds: impl FnOnce(&Found<'_>) -> bool) -> Answer {
    match facts.get(name) {
        Found::NotAtHand => Answer::NeedsDocument,
        found => answer(holds(&found)),
    }
}

fn is(found: &Found<'_>, value: &Json) -> bool {
    match found {
        Found::NotAtHand | Found::Nothing => false,
        Found::Text(text) => value.as_str() == Some(&**text),
        Found::Value(found) => *found == value,
    }
}

fn text<'a>(found: &'a Found<'_>) -> Option<&'a str> {
    match found {
        Found::NotAtHand | Found::Nothing => None,
        Found::Text(text) => Some(text),
        Found::Value(value) => value.as_str(),
    }
}

/// A `No` decides, also where others would need the document.
fn all(answers: impl Iterator<Item = Answer>) -> Answer {
    let mut together = Answer::Yes;
    for answer in answers {
        match answer {
            Answer::No => return Answer::No,
            Answer::NeedsDocument => together = Answer::NeedsDocument,
            Answer::Yes => {}
        }
    }
    together
}

/// A `Yes` decides, also where others would need the document.
fn any(answers: impl Iterator<Item = Answer>) -> Answer {
    let mut together = Answer::No;
    for answer in answers {
        match answer {
            Answer::Yes => return Answer::Yes,
            Answer::NeedsDocument => together = Answer::NeedsDocument,
            Answer::No => {}
        }
    }
    together
}
