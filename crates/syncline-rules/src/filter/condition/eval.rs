//! Evaluation, paid for in steps.

use std::borrow::Cow;
use std::cmp::Ordering;

use syncline_model::json::Number;

use super::super::facts::Facts;
use super::fields::value_of;
use super::tree::{Calculate, Compare, Function, Literal, Loop, Node};
use super::value::Value;

/// Bounds one evaluation. A step is a node that is evaluated, an item or member that is looked
/// at, sixteen bytes of text, or sixteen states of a pattern: some ten nanoseconds.
const STEPS_MAX: u64 = 20_000;
/// What a calculation costs beside its nodes: a number may have a thousand digits.
const NUMBER_STEPS: u64 = 8;
/// Bounds a text that an expression makes, in bytes.
const MADE_BYTES_MAX: usize = 64 << 10;

/// Why an expression has no value for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Wrong {
    /// It asks for something that is not there: ask `has(…)` first.
    #[error("something that it asks for is not there")]
    Missing,
    /// It does with a value what cannot be done with it.
    #[error("a value is of a type that it does not expect")]
    Type,
    /// A number is divided by zero, or a result is out of range.
    #[error("a number is out of range")]
    Range,
    /// It takes more steps, or makes a longer text, than an evaluation may.
    #[error("it takes more steps than an evaluation may")]
    Spent,
}

/// The steps that are left.
pub(super) struct Steps(u64);

impl Steps {
    pub fn pay(&mut self, steps: u64) -> Result<(), Wrong> {
        match self.0.checked_sub(steps) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err(Wrong::Spent)
            }
        }
    }

    pub fn pay_for_bytes(&mut self, bytes: usize) -> Result<(), Wrong> {
        self.pay(bytes as u64 / 16)
    }
}

type Evaluated<'a> = Result<Value<'a>, Wrong>;

/// Evaluates an expression to true or false.
pub(super) fn evaluate<'a>(node: &'a Node, facts: &'a Facts<'a>) -> Result<bool, Wrong> {
    let mut run = Run {
        facts,
        steps: Steps(STEPS_MAX),
        locals: Vec::new(),
    };
    run.value(node)?.as_bool()
}

struct Run<'a> {
    facts: &'a Facts<'a>,
    steps: Steps,
    locals: Vec<Value<'a>>,
}

impl<'a> Run<'a> {
    fn value(&mut self, node: &'a Node) -> Evaluated<'a> {
        self.steps.pay(1)?;
        Ok(match node {
            Node::Literal(literal) => of_literal(literal),
            Node::List(items) => {
                let items = items.iter().map(|item| self.value(item));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Node::Field(field) => {
                let value = value_of(*field, self.facts)?;
                // A list is made of the change each time.
                if let Value::List(items) = &value {
                    self.steps.pay(items.len() as u64)?;
                }
                value
            }
            Node::Local(index) => self.locals.get(*index).cloned().ok_or(Wrong::Missing)?,
            Node::Member(of, name) => self.value(of)?.member(name)?,
            Node::Index(pair) => {
                let of = self.value(&pair.0)?;
                of.at(&self.value(&pair.1)?)?
            }
            Node::Has(of, name) => Value::Bool(is_there(self.value(of)?.member(name))?),
            Node::HasField(field) => Value::Bool(is_there(value_of(*field, self.facts))?),
            Node::Not(inner) => Value::Bool(!self.value(inner)?.as_bool()?),
            Node::Negate(inner) => {
                let value = self.value(inner)?;
                owned(Number::from(0).checked_sub(value.as_number()?))?
            }
            Node::And(all) => Value::Bool(!self.any_is(false, all)?),
            Node::Or(any) => Value::Bool(self.any_is(true, any)?),
            Node::If(parts) => match self.value(&parts.0)?.as_bool()? {
                true => self.value(&parts.1)?,
                false => self.value(&parts.2)?,
            },
            Node::Compare(kind, pair) => {
                let (left, right) = (self.value(&pair.0)?, self.value(&pair.1)?);
                Value::Bool(self.compare(*kind, &left, &right)?)
            }
            Node::Calculate(kind, pair) => {
                let (left, right) = (self.value(&pair.0)?, self.value(&pair.1)?);
                self.calculate(*kind, left, right)?
            }
            Node::In(pair) => {
                let wanted = self.value(&pair.0)?;
                let among = self.value(&pair.1)?;
                Value::Bool(among.contains(&wanted, &mut self.steps)?)
            }
            Node::Call(function, of, other) => {
                let of = self.value(of)?;
                let other = other.as_ref().map(|other| self.value(other)).transpose()?;
                self.call(*function, of, other)?
            }
            Node::Matches(of, pattern) => {
                let of = self.value(of)?;
                let text = of.as_text()?;
                self.steps.pay(pattern.steps(text))?;
                Value::Bool(pattern.is_match(text))
            }
            Node::Loop(kind, parts) => self.repeat(*kind, &parts.0, &parts.1)?,
        })
    }

    /// Says whether any of the nodes is `wanted`, which decides whatever else fails; a failure
    /// counts only where nothing decides.
    fn any_is(&mut self, wanted: bool, nodes: &'a [Node]) -> Result<bool, Wrong> {
        let mut failed = None;
        for node in nodes {
            match self.value(node).and_then(|value| value.as_bool()) {
                Ok(value) if value == wanted => return Ok(true),
                Ok(_) => {}
                Err(Wrong::Spent) => return Err(Wrong::Spent),
                Err(wrong) => failed = failed.or(Some(wrong)),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    fn compare(
        &mut self,
        kind: Compare,
        left: &Value<'a>,
        right: &Value<'a>,
    ) -> Result<bool, Wrong> {
        let steps = &mut self.steps;
        Ok(match kind {
            Compare::Equal => left.equals(right, steps)?,
            Compare::Unequal => !left.equals(right, steps)?,
            Compare::Less => left.compare(right, steps)? == Ordering::Less,
            Compare::LessOrEqual => left.compare(right, steps)? != Ordering::Greater,
            Compare::Greater => left.compare(right, steps)? == Ordering::Greater,
            Compare::GreaterOrEqual => left.compare(right, steps)? != Ordering::Less,
        })
    }

    fn calculate(&mut self, kind: Calculate, left: Value<'a>, right: Value<'a>) -> Evaluated<'a> {
        if kind == Calculate::Add {
            if let (Value::Text(a), Value::Text(b)) = (&left, &right) {
                let text = [&**a, &**b];
                self.pay_for_text(a.len() + b.len())?;
                return Ok(Value::made(text.concat()));
            }
            if let (Some(a), Some(b)) = (left.length(), right.length()) {
                self.steps.pay((a + b) as u64)?;
                let items = left.items().into_iter().flatten();
                let more = right.items().into_iter().flatten();
                return Ok(Value::List(items.chain(more).collect()));
            }
        }
        self.steps.pay(NUMBER_STEPS)?;
        let (a, b) = (left.as_number()?, right.as_number()?);
        owned(match kind {
            Calculate::Add => a.checked_add(b),
            Calculate::Subtract => a.checked_sub(b),
            Calculate::Multiply | Calculate::Divide | Calculate::Remainder => scale(kind, a, b),
        })
    }

    fn call(
        &mut self,
        function: Function,
        of: Value<'a>,
        other: Option<Value<'a>>,
    ) -> Evaluated<'a> {
        if let Some(other) = other {
            let (text, part) = (of.as_text()?, other.as_text()?);
            self.steps.pay_for_bytes(text.len() + part.len())?;
            return Ok(Value::Bool(match function {
                Function::StartsWith => text.starts_with(part),
                Function::EndsWith => text.ends_with(part),
                _ => text.contains(part),
            }));
        }
        match (function, &of) {
            (Function::Size, Value::Text(text)) => {
                self.steps.pay_for_bytes(text.len())?;
                Ok(Value::count(text.chars().count()))
            }
            (Function::Size, Value::Object(object)) => Ok(Value::count(object.len())),
            (Function::Size, _) => of.length().map(Value::count).ok_or(Wrong::Type),
            (Function::LowerAscii | Function::UpperAscii, Value::Text(text)) => {
                self.pay_for_text(text.len())?;
                let changed = match function {
                    Function::LowerAscii => text.to_ascii_lowercase(),
                    _ => text.to_ascii_uppercase(),
                };
                Ok(Value::made(changed))
            }
            (Function::String, Value::Number(number)) => Ok(Value::made(number.to_string())),
            (Function::String, Value::Bool(value)) => Ok(Value::text(match value {
                true => "true",
                false => "false",
            })),
            (Function::String, Value::Text(_)) => Ok(of),
            (Function::Int | Function::Double, Value::Text(text)) => {
                self.steps.pay_for_bytes(text.len())?;
                let number = Number::parse(text);
                whole(function, number.as_ref().ok_or(Wrong::Range)?)
            }
            (Function::Int | Function::Double, Value::Number(number)) => whole(function, number),
            _ => Err(Wrong::Type),
        }
    }

    fn repeat(&mut self, kind: Loop, over: &'a Node, body: &'a Node) -> Evaluated<'a> {
        let over = self.value(over)?;
        let items: Vec<Value<'a>> = match &over {
            Value::Object(object) => {
                self.steps.pay(object.len() as u64)?;
                object.keys().map(Value::text).collect()
            }
            _ => {
                self.steps.pay(over.length().ok_or(Wrong::Type)? as u64)?;
                over.items().into_iter().flatten().collect()
            }
        };
        let (mut kept, mut held, mut failed) = (Vec::new(), 0, None);
        for item in items {
            self.locals.push(item.clone());
            let value = self.value(body);
            self.locals.pop();
            if kind == Loop::Map {
                kept.push(value?);
                continue;
            }
            match (value.and_then(|value| value.as_bool()), kind) {
                (Ok(false), Loop::All) => return Ok(Value::Bool(false)),
                (Ok(true), Loop::Exists) => return Ok(Value::Bool(true)),
                (Ok(true), Loop::Filter) => kept.push(item),
                (Ok(holds), _) => held += usize::from(holds),
                (Err(Wrong::Spent), _) => return Err(Wrong::Spent),
                (Err(wrong), Loop::All | Loop::Exists) => failed = Some(wrong),
                (Err(wrong), _) => return Err(wrong),
            }
        }
        match (kind, failed) {
            (_, Some(wrong)) => Err(wrong),
            (Loop::All, None) => Ok(Value::Bool(true)),
            (Loop::Exists, None) => Ok(Value::Bool(false)),
            (Loop::ExistsOne, None) => Ok(Value::Bool(held == 1)),
            (Loop::Filter | Loop::Map, None) => Ok(Value::List(kept.into())),
        }
    }

    fn pay_for_text(&mut self, bytes: usize) -> Result<(), Wrong> {
        match bytes > MADE_BYTES_MAX {
            true => Err(Wrong::Spent),
            false => self.steps.pay_for_bytes(bytes),
        }
    }
}

fn of_literal(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Number(number) => Value::Number(Cow::Borrowed(number)),
        Literal::Text(text) => Value::text(text),
    }
}

/// A member that is missing is an answer here; anything else that is wrong stays wrong.
fn is_there(found: Evaluated<'_>) -> Result<bool, Wrong> {
    match found {
        Ok(_) => Ok(true),
        Err(Wrong::Missing) => Ok(false),
        Err(wrong) => Err(wrong),
    }
}

fn owned<'a>(number: Option<Number>) -> Evaluated<'a> {
    let number = number.ok_or(Wrong::Range)?;
    Ok(Value::Number(Cow::Owned(number)))
}

/// Multiplies and divides: whole numbers exactly, as `int` does in CEL, others as `double`.
fn scale(kind: Calculate, a: &Number, b: &Number) -> Option<Number> {
    if is_written_whole(a) && is_written_whole(b) {
        let (a, b) = (a.as_i64()?, b.as_i64()?);
        let result = match kind {
            Calculate::Multiply => a.checked_mul(b),
            Calculate::Divide => a.checked_div(b),
            _ => a.checked_rem(b),
        };
        return result.map(Number::from);
    }
    let (a, b) = (a.as_f64(), b.as_f64());
    match kind {
        Calculate::Multiply => Number::from_f64(a * b),
        Calculate::Divide => Number::from_f64(a / b),
        _ => None,
    }
}

/// Says whether a number is an `int`: that it is whole is not enough, `7.0 / 2` is 3.5.
fn is_written_whole(number: &Number) -> bool {
    !number.text().contains(['.', 'e', 'E'])
}

/// Turns a number into a whole one, towards zero, or leaves it as it is.
fn whole<'a>(function: Function, number: &Number) -> Evaluated<'a> {
    if function == Function::Double || number.is_integer() {
        return owned(Some(number.clone()));
    }
    let truncated = number.as_f64().trunc();
    if truncated.abs() >= 9e15 {
        return Err(Wrong::Range);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and below 2^53"
    )]
    owned(Some(Number::from(truncated as i64)))
}
