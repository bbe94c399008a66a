//! Why a change matches or not, clause by clause.

use syncline_api::Filter;
use syncline_model::json::JsonWriter;

use super::condition::Wrong;
use super::facts::Facts;
use super::matcher::{Answer, Matcher, judge};

/// A clause of a matcher, and what it says of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The clause, as it reads on the wire: a filter, or the expression of a `where`.
    pub text: String,
    /// What it says.
    pub answer: Answer,
    /// Why an expression has no value, and so does not match.
    pub wrong: Option<Wrong>,
    /// The clauses that it joins.
    pub of: Vec<Clause>,
}

impl Matcher {
    /// Says of each filter, and then of `where`, what it says of a change. Nothing is counted.
    pub fn explain(&self, facts: &Facts<'_>) -> Vec<Clause> {
        let filters = self.filters().0.iter().map(|filter| clause(filter, facts));
        let expression = self.expression().map(|expression| {
            let result = expression.try_out(facts);
            let answer = match result {
                _ if expression.needs_document() && !facts.has_document() => Answer::NeedsDocument,
                Ok(true) => Answer::Yes,
                Ok(false) | Err(_) => Answer::No,
            };
            Clause {
                text: expression.text().to_owned(),
                answer,
                wrong: result.err().filter(|_| answer == Answer::No),
                of: Vec::new(),
            }
        });
        filters.chain(expression).collect()
    }
}

fn clause(filter: &Filter, facts: &Facts<'_>) -> Clause {
    let mut w = JsonWriter::new();
    filter.write(&mut w);
    let of = match filter {
        Filter::All(filters) | Filter::Any(filters) => {
            filters.iter().map(|filter| clause(filter, facts)).collect()
        }
        Filter::Not(filter) => vec![clause(filter, facts)],
        _ => Vec::new(),
    };
    Clause {
        text: w.into_string(),
        answer: judge(filter, facts),
        wrong: None,
        of,
    }
}
