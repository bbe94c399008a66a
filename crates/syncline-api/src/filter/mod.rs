//! Filters: which changes of a scope a reader wants to hear of.
//!
//! The names of the operators are those of the CloudEvents dialect. A filter is never security.

mod attribute;
mod pattern;

use std::str::FromStr;
use std::sync::Arc;

use syncline_model::json::{FieldError, Json, JsonWriter, Limits, Object, Pointer};
use syncline_model::proposal::Priority;

pub use attribute::Attribute;
pub use pattern::PointerPattern;

/// Bounds how deep filters nest; a term alone is 1 deep.
pub const FILTER_DEPTH_MAX: usize = 8;
/// Bounds the operators and terms of all filters of a subscription together: each may be looked
/// at for every change.
pub const FILTER_NODES_MAX: usize = 200;
/// Bounds the values that one `in` names.
pub const FILTER_IN_MAX: usize = 1_000;
/// Bounds a text that is compared, in bytes: a label's 500 characters fit, however they are written.
pub const FILTER_TEXT_BYTES_MAX: usize = 2_048;
/// Bounds all filters of a subscription together, in bytes.
pub const FILTER_BYTES_MAX: usize = 64 << 10;
/// Bounds a `where`, in bytes.
pub const CONDITION_BYTES_MAX: usize = 1_024;

/// Filters of which one must match. None at all let everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(pub Vec<Filter>);

/// One filter, as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of them match; none at all match everything.
    All(Vec<Filter>),
    /// One of them matches.
    Any(Vec<Filter>),
    /// It does not match.
    Not(Box<Filter>),
    /// The value is there and is this. Texts compare byte by byte, numbers by their exact value.
    Exact(Attribute, Json),
    /// The value is a text that begins so.
    Prefix(Attribute, Arc<str>),
    /// The value is a text that ends so.
    Suffix(Attribute, Arc<str>),
    /// The value is there and is one of these.
    In(Attribute, Vec<Json>),
    /// The value is there, or is not.
    Exists(Attribute, bool),
    /// The change touches what the pattern names.
    Changed(PointerPattern),
    /// The change is at least so urgent: `min_priority` 2 lets 1 and 2 pass.
    MinPriority(Priority),
}

/// A `where`: a CEL expression over the change and the document, as it was written.
///
/// `syncline_rules::Matcher` compiles it; here only its length was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(Arc<str>);

impl Condition {
    /// Takes an expression of at most [`CONDITION_BYTES_MAX`] bytes.
    pub fn parse(text: &str) -> Result<Condition, String> {
        if text.trim().is_empty() {
            return Err("an expression is missing".to_owned());
        }
        if text.len() > CONDITION_BYTES_MAX {
            let bytes = text.len();
            return Err(format!(
                "it has {bytes} bytes and may have {CONDITION_BYTES_MAX}"
            ));
        }
        Ok(Condition(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Filters {
    /// Reads one filter, or a list of them.
    pub fn read(value: &Json, at: &Pointer) -> Result<Filters, FieldError> {
        if value.weight() > FILTER_BYTES_MAX {
            let why = format!("filters have at most {FILTER_BYTES_MAX} bytes together");
            return Err(FieldError::invalid(at.clone(), why));
        }
        let mut reader = Reader { nodes: 0 };
        match value {
            Json::Array(items) => reader.list(items, at, 1).map(Filters),
            Json::Object(_) => Ok(Filters(vec![reader.filter(value, at, 1)?])),
            _ => Err(FieldError::wrong_type(at.clone(), "object or array", value)),
        }
    }

    /// Writes a single filter as it is, else the list.
    pub fn write(&self, w: &mut JsonWriter) {
        match self.0.as_slice() {
            [filter] => filter.write(w),
            filters => write_list(w, filters),
        }
    }

    /// Says whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Filters {
    type Err = String;

    /// Reads the JSON text of one filter or a list of them.
    fn from_str(text: &str) -> Result<Filters, String> {
        let limits = Limits {
            bytes_max: FILTER_BYTES_MAX,
            depth_max: 4 * FILTER_DEPTH_MAX,
        };
        let json = Json::parse(text.as_bytes(), &limits).map_err(|error| error.to_string())?;
        Filters::read(&json, &Pointer::root()).map_err(|error| error.to_string())
    }
}

impl Filter {
    /// Writes the filter.
    pub fn write(&self, w: &mut JsonWriter) {
        w.begin_object();
        match self {
            // Nothing at all is the one form of it that reads back.
            Filter::All(filters) if filters.is_empty() => {}
            Filter::All(filters) => {
                w.key("all");
                write_list(w, filters);
            }
            Filter::Any(filters) => {
                w.key("any");
                write_list(w, filters);
            }
            Filter::Not(filter) => {
                w.key("not");
                filter.write(w);
            }
            Filter::Exact(name, value) => write_term(w, "exact", name, |w| w.value(value)),
            Filter::Prefix(name, text) => write_term(w, "prefix", name, |w| w.string(text)),
            Filter::Suffix(name, text) => write_term(w, "suffix", name, |w| w.string(text)),
            Filter::In(name, values) => write_term(w, "in", name, |w| {
                w.begin_array();
                values.iter().for_each(|value| w.value(value));
                w.end_array();
            }),
            Filter::Exists(name, there) => {
                write_term(w, "exists", name, |w| w.value(&Json::Bool(*there)));
            }
            Filter::Changed(pattern) => w.field_str("changed", &pattern.to_string()),
            Filter::MinPriority(priority) => w.field_u64("min_priority", priority.get().into()),
        }
        w.end_object();
    }
}

fn write_list(w: &mut JsonWriter, filters: &[Filter]) {
    w.begin_array();
    filters.iter().for_each(|filter| filter.write(w));
    w.end_array();
}

fn write_term(
    w: &mut JsonWriter,
    operator: &str,
    name: &Attribute,
    value: impl FnOnce(&mut JsonWriter),
) {
    w.key(operator);
    w.begin_object();
    w.key(&name.to_string());
    value(w);
    w.end_object();
}

/// Reads filters, and counts what it made of them: limits hold for what is evaluated, so a filter
/// that was read can be written and read again.
struct Reader {
    nodes: usize,
}

impl Reader {
    fn list(&mut self, items: &[Json], at: &Pointer, depth: usize) -> Read<Vec<Filter>> {
        let read = |(index, item)| self.filter(item, &at.index(index), depth);
        items.iter().enumerate().map(read).collect()
    }

    /// Reads one filter; several operators in it must all match.
    fn filter(&mut self, value: &Json, at: &Pointer, depth: usize) -> Read<Filter> {
        let members = object(value, at)?;
        let terms = members.iter().map(|(operator, value)| match value {
            Json::Object(terms) if is_of_names(operator) => terms.len(),
            _ => 1,
        });
        // What is more than one stands in an `all`, which is a level of its own.
        let together = terms.sum::<usize>() != 1;
        let depth = depth + usize::from(together);
        let mut all = Vec::new();
        for (operator, value) in members.iter() {
            self.operator(operator, value, &at.child(operator), depth, &mut all)?;
        }
        match (together, all.pop()) {
            (false, Some(one)) => Ok(one),
            (_, last) => {
                all.extend(last);
                self.count(at, depth - 1)?;
                Ok(Filter::All(all))
            }
        }
    }

    fn operator(
        &mut self,
        operator: &str,
        value: &Json,
        at: &Pointer,
        depth: usize,
        into: &mut Vec<Filter>,
    ) -> Read<()> {
        if is_of_names(operator) {
            return self.terms(operator, value, at, depth, into);
        }
        self.count(at, depth)?;
        into.push(match operator {
            "all" => Filter::All(self.branches(value, at, depth)?),
            "any" => Filter::Any(self.branches(value, at, depth)?),
            "not" => Filter::Not(Box::new(self.filter(value, at, depth + 1)?)),
            "changed" => PointerPattern::parse(text(value, at)?)
                .map(Filter::Changed)
                .map_err(|error| FieldError::invalid(at.clone(), error))?,
            "min_priority" => {
                let priority = value.as_u64().and_then(Priority::new);
                let why = "a priority is 1 (urgent), 2, 3 or 4";
                let priority = priority.ok_or_else(|| FieldError::invalid(at.clone(), why))?;
                Filter::MinPriority(priority)
            }
            _ => {
                let why = "an operator is one of all, any, not, exact, prefix, suffix, in, exists, \
                    changed and min_priority";
                return Err(FieldError::invalid(at.clone(), why));
            }
        });
        Ok(())
    }

    fn branches(&mut self, value: &Json, at: &Pointer, depth: usize) -> Read<Vec<Filter>> {
        match value.as_array() {
            None => Err(FieldError::wrong_type(at.clone(), "array", value)),
            Some([]) => Err(FieldError::invalid(
                at.clone(),
                "it names at least one filter",
            )),
            Some(items) => self.list(items, at, depth + 1),
        }
    }

    /// Reads the terms of an operator, by name.
    fn terms(
        &mut self,
        operator: &str,
        value: &Json,
        at: &Pointer,
        depth: usize,
        into: &mut Vec<Filter>,
    ) -> Read<()> {
        if operator == "exists" && value.as_str().is_some() {
            self.count(at, depth)?;
            into.push(Filter::Exists(attribute(text(value, at)?, at)?, true));
            return Ok(());
        }
        let terms = object(value, at)?;
        if terms.is_empty() {
            return Err(FieldError::invalid(at.clone(), "it names nothing"));
        }
        for (name, value) in terms.iter() {
            let here = at.child(name);
            self.count(&here, depth)?;
            let name = attribute(name, &here)?;
            into.push(match operator {
                "exact" => {
                    check(&name, value, &here)?;
                    Filter::Exact(name, value.clone())
                }
                "prefix" => Filter::Prefix(name, text(value, &here)?.into()),
                "suffix" => Filter::Suffix(name, text(value, &here)?.into()),
                "in" => {
                    let values = values(&name, value, &here)?;
                    Filter::In(name, values)
                }
                _ => {
                    let there = value.as_bool();
                    let wrong = || FieldError::wrong_type(here.clone(), "boolean", value);
                    Filter::Exists(name, there.ok_or_else(wrong)?)
                }
            });
        }
        Ok(())
    }

    fn count(&mut self, at: &Pointer, depth: usize) -> Read<()> {
        self.nodes += 1;
        let why = if depth > FILTER_DEPTH_MAX {
            format!("filters nest at most {FILTER_DEPTH_MAX} deep")
        } else if self.nodes > FILTER_NODES_MAX {
            format!("filters have at most {FILTER_NODES_MAX} operators and terms together")
        } else {
            return Ok(());
        };
        Err(FieldError::invalid(at.clone(), why))
    }
}

type Read<T> = Result<T, FieldError>;

/// Says whether an operator takes an object of names.
fn is_of_names(operator: &str) -> bool {
    matches!(operator, "exact" | "prefix" | "suffix" | "in" | "exists")
}

fn object<'a>(value: &'a Json, at: &Pointer) -> Read<&'a Object> {
    let wrong = || FieldError::wrong_type(at.clone(), "object", value);
    value.as_object().ok_or_else(wrong)
}

fn text<'a>(value: &'a Json, at: &Pointer) -> Read<&'a str> {
    let wrong = || FieldError::wrong_type(at.clone(), "string", value);
    let text = value.as_str().ok_or_else(wrong)?;
    check_length(text, at).map(|()| text)
}

fn check_length(text: &str, at: &Pointer) -> Read<()> {
    if text.len() <= FILTER_TEXT_BYTES_MAX {
        return Ok(());
    }
    let why = format!("a text has at most {FILTER_TEXT_BYTES_MAX} bytes here");
    Err(FieldError::invalid(at.clone(), why))
}

fn attribute(name: &str, at: &Pointer) -> Read<Attribute> {
    check_length(name, at)?;
    Attribute::parse(name).map_err(|why| FieldError::invalid(at.clone(), why))
}

fn check(name: &Attribute, value: &Json, at: &Pointer) -> Read<()> {
    value
        .as_str()
        .map_or(Ok(()), |text| check_length(text, at))?;
    name.check(value)
        .map_err(|why| FieldError::invalid(at.clone(), why))
}

fn values(name: &Attribute, value: &Json, at: &Pointer) -> Read<Vec<Json>> {
    let wrong = || FieldError::wrong_type(at.clone(), "array", value);
    let items = value.as_array().ok_or_else(wrong)?;
    if items.is_empty() || items.len() > FILTER_IN_MAX {
        let why = format!("it names 1 to {FILTER_IN_MAX} values");
        return Err(FieldError::invalid(at.clone(), why));
    }
    for (index, item) in items.iter().enumerate() {
        check(name, item, &at.index(index))?;
    }
    Ok(items.to_vec())
}
