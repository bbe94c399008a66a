//! The difference between two documents for a person: a line for each change.

use crate::diff::{ALIGNED_LEVELS_MAX, Edit, align, align_by_place, classes, key_of, matches};
use crate::text::{SHOWN_MAX, shown_change, shown_text, shown_value};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use syncline_model::json::{Json, Object};

/// Bounds the report; more changes than this nobody reads, they are counted.
const LINES_MAX: usize = 1_000;

/// Longer texts are not compared by lines.
const TEXT_LINES_MAX: usize = 100_000;

/// Describes what changed, a line for each change, sorted by path.
///
/// `~` changed, `+` added, `-` removed, then the path and the values, cut where they are long.
/// Items of an array are named by a unique `id`, `key`, `name`, `slug` or `uuid` if all have it,
/// else by index (a removed one by its old index). Control characters and such that turn the
/// direction of reading are escaped. Equal documents give an empty text.
pub fn readable(from: &Json, to: &Json) -> String {
    let mut report = Report::default();
    report.value(from, to);
    report.finish()
}

#[derive(Default)]
struct Report<'a> {
    text: String,
    lines: usize,
    path: Vec<Step<'a>>,
    array_levels: usize,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
    /// An item, by the member that names it.
    Item(&'static str, &'a Json),
}

impl<'a> Report<'a> {
    fn value(&mut self, from: &'a Json, to: &'a Json) {
        match (from, to) {
            (Json::Object(a), Json::Object(b)) if a.ptr_eq(b) => {}
            (Json::Array(a), Json::Array(b)) if Arc::ptr_eq(a, b) => {}
            (Json::Object(a), Json::Object(b)) => self.object(a, b),
            (Json::Array(a), Json::Array(b)) => self.array(a, b),
            _ if from == to => {}
            (Json::String(a), Json::String(b)) if are_long_texts(a, b) => self.long_text(a, b),
            (Json::String(a), Json::String(b)) => self.line("~", || {
                let (from, to) = shown_change(a, b);
                format!("{from} -> {to}")
            }),
            _ => self.line("~", || {
                format!("{} -> {}", shown_value(from), shown_value(to))
            }),
        }
    }

    fn object(&mut self, from: &'a Object, to: &'a Object) {
        for (key, old) in from.iter() {
            self.below(Step::Key(key), |report| match to.get(key) {
                Some(new) => report.value(old, new),
                None => report.removed(old),
            });
        }
        for (key, new) in to.iter().filter(|(key, _)| !from.contains_key(key)) {
            self.below(Step::Key(key), |report| report.added(new));
        }
    }

    fn array(&mut self, from: &'a [Json], to: &'a [Json]) {
        self.array_levels += 1;
        match key_of(&[from, to]) {
            Some(name) => self.keyed(from, to, name),
            None => self.indexed(from, to),
        }
        self.array_levels -= 1;
    }

    fn keyed(&mut self, from: &'a [Json], to: &'a [Json], name: &'static str) {
        let id = |item: &'a Json| item.get(name).expect("every item has the key");
        let places: HashMap<&Json, usize> = to
            .iter()
            .enumerate()
            .map(|(place, item)| (id(item), place))
            .collect();
        let mut kept = vec![false; to.len()];
        let mut furthest = 0;
        let mut in_order = true;
        for old in from {
            let step = Step::Item(name, id(old));
            match places.get(id(old)) {
                Some(&place) => {
                    kept[place] = true;
                    in_order &= place >= furthest;
                    furthest = place;
                    self.below(step, |report| report.value(old, &to[place]));
                }
                None => self.below(step, |report| report.removed(old)),
            }
        }
        for (new, _) in to.iter().zip(kept).filter(|(_, kept)| !kept) {
            self.below(Step::Item(name, id(new)), |report| report.added(new));
        }
        if !in_order {
            self.line("~", || "items in another order".to_owned());
        }
    }

    fn indexed(&mut self, from: &'a [Json], to: &'a [Json]) {
        let by_place = self.array_levels > ALIGNED_LEVELS_MAX;
        let edits = if by_place {
            align_by_place(from, to)
        } else {
            align(from, to)
        };
        let (mut i, mut j) = (0, 0);
        for edit in edits {
            match edit {
                Edit::Keep(run) => (i, j) = (i + run, j + run),
                Edit::Pair(run) => {
                    for (old, new) in from[i..i + run].iter().zip(&to[j..j + run]) {
                        self.below(Step::Index(j), |report| report.value(old, new));
                        j += 1;
                    }
                    i += run;
                }
                Edit::Remove(run) => {
                    for old in &from[i..i + run] {
                        self.below(Step::Index(i), |report| report.removed(old));
                        i += 1;
                    }
                }
                Edit::Add(run) => {
                    for new in &to[j..j + run] {
                        self.below(Step::Index(j), |report| report.added(new));
                        j += 1;
                    }
                }
            }
        }
    }

    fn added(&mut self, value: &Json) {
        self.line("+", || shown_value(value));
    }

    fn removed(&mut self, value: &Json) {
        self.line("-", || shown_value(value));
    }

    /// The changed lines of a text, indented below its path.
    fn long_text(&mut self, from: &str, to: &str) {
        let (old, new): (Vec<&str>, Vec<&str>) =
            (from.split('\n').collect(), to.split('\n').collect());
        let (a, b) = classes(old.iter(), new.iter());
        let same = matches(&a, &b);
        let (removed, added) = (old.len() - same.len(), new.len() - same.len());
        self.line("~", || {
            format!("text: {removed} lines removed, {added} added")
        });
        let (mut i, mut j) = (0, 0);
        for (next_i, next_j) in same.into_iter().chain([(old.len(), new.len())]) {
            for line in &old[i..next_i] {
                self.write(|text| text.push_str(&format!("    - {}", shown_text(line))));
            }
            for line in &new[j..next_j] {
                self.write(|text| text.push_str(&format!("    + {}", shown_text(line))));
            }
            (i, j) = (next_i + 1, next_j + 1);
        }
    }

    fn below(&mut self, step: Step<'a>, report: impl FnOnce(&mut Report<'a>)) {
        self.path.push(step);
        report(self);
        self.path.pop();
    }

    fn line(&mut self, sign: &str, what: impl FnOnce() -> String) {
        let path = std::mem::take(&mut self.path);
        self.write(|text| {
            write!(text, "{sign} {}  {}", shown_path(&path), what()).expect("a String takes all");
        });
        self.path = path;
    }

    fn write(&mut self, line: impl FnOnce(&mut String)) {
        self.lines += 1;
        if self.lines <= LINES_MAX {
            line(&mut self.text);
            self.text.push('\n');
        }
    }

    fn finish(mut self) -> String {
        if self.lines > LINES_MAX {
            let more = self.lines - LINES_MAX;
            writeln!(self.text, "… and {more} more lines").expect("a String takes all");
        }
        self.text
    }
}

/// Texts of several lines that are too long to show both in one.
fn are_long_texts(from: &str, to: &str) -> bool {
    let several = from.contains('\n') || to.contains('\n');
    let lines = |text: &str| text.bytes().filter(|&byte| byte == b'\n').count();
    several && from.len().max(to.len()) > SHOWN_MAX && lines(from).max(lines(to)) < TEXT_LINES_MAX
}

/// The path in RFC 6901, but with items by name; `/` for the whole document.
fn shown_path(path: &[Step<'_>]) -> String {
    if path.is_empty() {
        return "/".to_owned();
    }
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) => {
                text.push('/');
                text.push_str(&shown_text(&key.replace('~', "~0").replace('/', "~1")));
            }
            Step::Index(index) => write!(text, "/{index}").expect("a String takes all"),
            Step::Item(name, id) => {
                let id = id.as_str().map_or_else(|| shown_value(id), shown_text);
                write!(text, "[{name}={id}]").expect("a String takes all");
            }
        }
    }
    text
}
