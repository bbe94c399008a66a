//! Values of an expression: mostly borrowed from the change and its document.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Deref;
use std::sync::Arc;

use syncline_model::json::{Json, Number, Object};

use super::eval::{Steps, Wrong};

/// A value. Numbers are exact, as everywhere.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Cow<'a, Number>),
    Text(Text<'a>),
    Object(&'a Object),
    Array(&'a [Json]),
    /// A list that the expression made.
    List(Arc<[Value<'a>]>),
}

/// A text. One that the expression made is shared: a loop hands its variable out at each step.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Made(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Made(text) => text,
        }
    }
}

impl<'a> Value<'a> {
    pub fn of(json: &'a Json) -> Value<'a> {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(Cow::Borrowed(number)),
            Json::String(text) => Value::text(text),
            Json::Array(items) => Value::Array(items),
            Json::Object(object) => Value::Object(object),
        }
    }

    pub fn text(text: &'a str) -> Value<'a> {
        Value::Text(Text::Borrowed(text))
    }

    pub fn made(text: String) -> Value<'a> {
        Value::Text(Text::Made(text.into()))
    }

    pub fn count(count: usize) -> Value<'a> {
        Value::Number(Cow::Owned(count.into()))
    }

    pub fn as_bool(&self) -> Result<bool, Wrong> {
        match self {
            Value::Bool(value) => Ok(*value),
            _ => Err(Wrong::Type),
        }
    }

    pub fn as_text(&self) -> Result<&str, Wrong> {
        match self {
            Value::Text(text) => Ok(text),
            _ => Err(Wrong::Type),
        }
    }

    pub fn as_number(&self) -> Result<&Number, Wrong> {
        match self {
            Value::Number(number) => Ok(number),
            _ => Err(Wrong::Type),
        }
    }

    /// Returns the item of a list.
    fn item(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Value::Array(items) => items.get(index).map(Value::of),
            Value::List(items) => items.get(index).cloned(),
            _ => None,
        }
    }

    /// Returns how many items a list has; nothing where it is none.
    pub fn length(&self) -> Option<usize> {
        match self {
            Value::Array(items) => Some(items.len()),
            Value::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// Walks a list.
    pub fn items(&self) -> Option<impl Iterator<Item = Value<'a>> + '_> {
        let length = self.length()?;
        Some((0..length).filter_map(|index| self.item(index)))
    }

    /// Returns the member of an object.
    pub fn member(&self, name: &str) -> Result<Value<'a>, Wrong> {
        match self {
            Value::Object(object) => object.get(name).map(Value::of).ok_or(Wrong::Missing),
            _ => Err(Wrong::Type),
        }
    }

    /// Returns what stands at an index or under a key.
    pub fn at(&self, index: &Value<'_>) -> Result<Value<'a>, Wrong> {
        match index {
            Value::Text(key) => self.member(key),
            Value::Number(number) if self.length().is_some() => {
                let index = number.as_u64().and_then(|i| usize::try_from(i).ok());
                index.and_then(|i| self.item(i)).ok_or(Wrong::Missing)
            }
            _ => Err(Wrong::Type),
        }
    }

    /// Says whether two values are equal, paying for each pair that is looked at; values of
    /// different types are not equal.
    pub fn equals(&self, other: &Value<'_>, steps: &mut Steps) -> Result<bool, Wrong> {
        steps.pay(1)?;
        Ok(match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                a.len() == b.len() && {
                    steps.pay_for_bytes(a.len())?;
                    **a == **b
                }
            }
            (Value::Object(a), Value::Object(b)) => return equal_objects(a, b, steps),
            _ => {
                let (Some(a), Some(b)) = (self.length(), other.length()) else {
                    return Ok(false);
                };
                return Ok(a == b && self.equal_items(other, a, steps)?);
            }
        })
    }

    fn equal_items(
        &self,
        other: &Value<'_>,
        length: usize,
        steps: &mut Steps,
    ) -> Result<bool, Wrong> {
        for index in 0..length {
            let (Some(a), Some(b)) = (self.item(index), other.item(index)) else {
                return Ok(false);
            };
            if !a.equals(&b, steps)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Orders two numbers, two texts or two booleans.
    pub fn compare(&self, other: &Value<'_>, steps: &mut Steps) -> Result<Ordering, Wrong> {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => Ok(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => {
                steps.pay_for_bytes(a.len().min(b.len()))?;
                Ok(a.as_bytes().cmp(b.as_bytes()))
            }
            (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
            _ => Err(Wrong::Type),
        }
    }

    /// Says whether this list has an equal item, or this object such a key.
    pub fn contains(&self, wanted: &Value<'_>, steps: &mut Steps) -> Result<bool, Wrong> {
        if let (Value::Object(object), Value::Text(key)) = (self, wanted) {
            return Ok(object.contains_key(key));
        }
        for item in self.items().ok_or(Wrong::Type)? {
            if item.equals(wanted, steps)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn equal_objects(a: &Object, b: &Object, steps: &mut Steps) -> Result<bool, Wrong> {
    if a.ptr_eq(b) {
        return Ok(true);
    }
    if a.len() != b.len() {
        return Ok(false);
    }
    for ((key, value), (other_key, other)) in a.iter().zip(b.iter()) {
        steps.pay_for_bytes(key.len())?;
        if key != other_key || !Value::of(value).equals(&Value::of(other), steps)? {
            return Ok(false);
        }
    }
    Ok(true)
}
