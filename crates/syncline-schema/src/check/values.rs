//! Rules that look at a value and apply no node.

use std::collections::HashSet;

use syncline_model::json::Json;

use super::{BYTES_PER_STEP, Check, Step};
use crate::correction;
use crate::node::{Listed, Node, Rule};
use crate::shown::{count, listed, shown, shown_value};

impl<'d> Check<'_, 'd> {
    pub(super) fn value_rule(&mut self, node: &Node, rule: &Rule, value: &'d Json) -> Step<bool> {
        self.spend(steps(rule, value))?;
        let fits = fits(rule, value);
        if !fits {
            self.fail(node, keyword(rule), |place| {
                let correction = correction::of_value(rule, value, place);
                (reason(rule, value), correction)
            });
        }
        Ok(fits)
    }
}

/// What a rule costs beyond its first step.
fn steps(rule: &Rule, value: &Json) -> u64 {
    match (rule, value) {
        (Rule::Const(listed) | Rule::Enum(listed), Json::Array(_) | Json::Object(_)) => {
            listed.weight / BYTES_PER_STEP + listed.values.len() as u64
        }
        (Rule::Enum(listed), _) => listed.values.len() as u64,
        (Rule::MinLength(_) | Rule::MaxLength(_), Json::String(text)) => {
            text.len() as u64 / BYTES_PER_STEP
        }
        (Rule::Pattern(pattern), Json::String(text)) => pattern.steps(text),
        (Rule::UniqueItems, Json::Array(items)) => {
            let weight: usize = items.iter().map(Json::weight).sum();
            items.len() as u64 + weight as u64 / BYTES_PER_STEP
        }
        _ => 0,
    }
}

fn fits(rule: &Rule, value: &Json) -> bool {
    match rule {
        Rule::Never => return false,
        Rule::Type(types) => return types.fits(value),
        Rule::Const(Listed { values, .. }) | Rule::Enum(Listed { values, .. }) => {
            return values.contains(value);
        }
        _ => {}
    }
    match value {
        Json::Number(number) => match rule {
            Rule::Minimum(min) => number >= min,
            Rule::Maximum(max) => number <= max,
            Rule::ExclusiveMinimum(min) => number > min,
            Rule::ExclusiveMaximum(max) => number < max,
            Rule::MultipleOf(divisor, _) => divisor.divides(number),
            _ => true,
        },
        Json::String(text) => match rule {
            Rule::MinLength(min) => text.chars().count() as u64 >= *min,
            Rule::MaxLength(max) => text.chars().count() as u64 <= *max,
            Rule::Pattern(pattern) => pattern.is_match(text),
            _ => true,
        },
        Json::Array(items) => match rule {
            Rule::MinItems(min) => items.len() as u64 >= *min,
            Rule::MaxItems(max) => items.len() as u64 <= *max,
            Rule::UniqueItems => {
                let mut seen = HashSet::with_capacity(items.len());
                items.iter().all(|item| seen.insert(item))
            }
            _ => true,
        },
        Json::Object(object) => match rule {
            Rule::MinProperties(min) => object.len() as u64 >= *min,
            Rule::MaxProperties(max) => object.len() as u64 <= *max,
            _ => true,
        },
        Json::Null | Json::Bool(_) => true,
    }
}

fn keyword(rule: &Rule) -> &'static str {
    match rule {
        Rule::Type(_) => "type",
        Rule::Const(_) => "const",
        Rule::Enum(_) => "enum",
        Rule::Minimum(_) => "minimum",
        Rule::Maximum(_) => "maximum",
        Rule::ExclusiveMinimum(_) => "exclusiveMinimum",
        Rule::ExclusiveMaximum(_) => "exclusiveMaximum",
        Rule::MultipleOf(..) => "multipleOf",
        Rule::MinLength(_) => "minLength",
        Rule::MaxLength(_) => "maxLength",
        Rule::Pattern(_) => "pattern",
        Rule::MinItems(_) => "minItems",
        Rule::MaxItems(_) => "maxItems",
        Rule::UniqueItems => "uniqueItems",
        Rule::MinProperties(_) => "minProperties",
        Rule::MaxProperties(_) => "maxProperties",
        // All others apply nodes, whose failures bear their own keywords.
        _ => "false",
    }
}

fn reason(rule: &Rule, value: &Json) -> String {
    let length = || match value {
        Json::String(text) => count(text.chars().count(), "character"),
        Json::Array(items) => count(items.len(), "item"),
        Json::Object(object) => count(object.len(), "member"),
        _ => String::new(),
    };
    match rule {
        Rule::Type(types) => {
            format!("expected {}, found {}", types.names(), found(value))
        }
        Rule::Const(listed) => match &listed.values[..] {
            [only] => format!("must be {}", shown_value(only)),
            _ => "must be one certain value".to_owned(),
        },
        Rule::Enum(all) => format!(
            "must be one of {}",
            listed(all.values.iter().map(shown_value))
        ),
        Rule::Minimum(min) => format!("must be at least {}", shown_number(min)),
        Rule::Maximum(max) => format!("must be at most {}", shown_number(max)),
        Rule::ExclusiveMinimum(min) => format!("must be more than {}", shown_number(min)),
        Rule::ExclusiveMaximum(max) => format!("must be less than {}", shown_number(max)),
        Rule::MultipleOf(_, of) => format!("must be a multiple of {}", shown_number(of)),
        Rule::MinLength(min) | Rule::MinItems(min) | Rule::MinProperties(min) => {
            format!("must have at least {min}, has {}", length())
        }
        Rule::MaxLength(max) | Rule::MaxItems(max) | Rule::MaxProperties(max) => {
            format!("must have at most {max}, has {}", length())
        }
        Rule::Pattern(pattern) => format!("must fit the pattern {}", shown(pattern.source())),
        Rule::UniqueItems => "has two equal items".to_owned(),
        _ => "nothing is allowed here".to_owned(),
    }
}

/// A number is called by its type only if it could be another.
fn found(value: &Json) -> &'static str {
    match value {
        Json::Number(number) if !number.is_integer() => "a number that is not whole",
        other => other.type_name(),
    }
}

fn shown_number(number: &syncline_model::json::Number) -> String {
    shown_value(&Json::from(number.clone()))
}
