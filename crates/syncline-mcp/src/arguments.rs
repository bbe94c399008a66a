//! Reading a tool's arguments: each wrong one is named, with what would be right.

use std::fmt::Display;
use std::ops::RangeInclusive;

use syncline_api::{Code, Problem};
use syncline_model::json::{FieldError, FieldErrorKind, Fields, Json, Pointer};

/// The arguments of one call.
pub(crate) struct Arguments<'a> {
    fields: Fields<'a>,
}

impl<'a> Arguments<'a> {
    /// Starts to read; `arguments` is an object.
    pub(crate) fn new(arguments: &'a Json) -> Result<Arguments<'a>, Problem> {
        let fields = Fields::new(arguments, &Pointer::root()).map_err(wrong)?;
        Ok(Arguments { fields })
    }

    /// Returns an argument that may be anything, null too.
    pub(crate) fn any(&mut self, name: &'static str) -> Option<&'a Json> {
        self.fields.optional(name)
    }

    /// Returns a text of at most so many characters.
    pub(crate) fn text(
        &mut self,
        name: &'static str,
        chars_max: usize,
    ) -> Result<Option<&'a str>, Problem> {
        let text = self.fields.string(name).map_err(wrong)?;
        if text.is_some_and(|text| text.chars().nth(chars_max).is_some()) {
            return Err(bad(name, format!("at most {chars_max} characters fit")));
        }
        Ok(text)
    }

    /// Returns what `read` makes of a text.
    pub(crate) fn parse<T, E: Display>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.fields.parse(name, read).map_err(wrong)
    }

    /// Returns what `read` makes of a text, which must be there.
    pub(crate) fn required<T, E: Display>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, Problem> {
        self.fields.required_parse(name, read).map_err(wrong)
    }

    /// Returns a whole number within a range.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        match self.fields.u64(name).map_err(wrong)? {
            Some(number) if !range.contains(&number) => {
                let (least, most) = range.into_inner();
                Err(bad(
                    name,
                    format!("a whole number from {least} to {most} is meant"),
                ))
            }
            number => Ok(number),
        }
    }

    /// Returns a flag; absent is false.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<bool, Problem> {
        Ok(self.fields.bool(name).map_err(wrong)?.unwrap_or(false))
    }

    /// Returns what `read` makes of each text of a list, at most so many.
    pub(crate) fn list<T, E: Display>(
        &mut self,
        name: &'static str,
        items_max: usize,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, Problem> {
        let Some(items) = self.fields.array(name).map_err(wrong)? else {
            return Ok(None);
        };
        if items.is_empty() || items.len() > items_max {
            return Err(bad(name, format!("1 to {items_max} are meant")));
        }
        let at = self.fields.at(name);
        let read = |(index, item): (usize, &Json)| {
            let at = at.index(index);
            match item.as_str() {
                Some(text) => read(text).map_err(|error| FieldError::invalid(at, error)),
                None => Err(FieldError::wrong_type(at, "string", item)),
            }
        };
        let read: Result<_, _> = items.iter().enumerate().map(read).collect();
        read.map(Some).map_err(wrong)
    }

    /// Refuses what the tool does not know.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        self.fields.finish().map_err(wrong)
    }
}

/// Makes the problem of an argument that is not what the tool takes.
pub(crate) fn bad(name: &'static str, why: impl Into<String>) -> Problem {
    Problem::new(Code::Invalid, why).at(Pointer::root().child(name))
}

/// Makes the same of a field's error; an unknown argument is told which there are.
pub(crate) fn wrong(error: FieldError) -> Problem {
    let hint = match &error.kind {
        FieldErrorKind::Unknown { known, .. } => error
            .hint()
            .or_else(|| Some(format!("known here: {}", known.join(", ")))),
        _ => error.hint(),
    };
    Problem {
        hint,
        ..Problem::from(error)
    }
}
