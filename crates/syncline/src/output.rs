//! All that the program says: data on stdout, talk on stderr.
//!
//! Human text is built of [`Line`]s, whose parts are cleaned (see [`crate::clean`]) before
//! colours are added; so no escape sequence of a document can pass, and no command needs to
//! remember. With `--json`, stdout holds JSON alone.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use syncline_model::json::Json;

use crate::clean;
use crate::failure::{Failure, Result};

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Also in a pipe.
    Always,
    /// Not at all.
    Never,
}

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As the terminal has it.
    Plain,
    /// Names of things.
    Bold,
    /// What matters less.
    Dim,
    /// Additions, and what is well.
    Green,
    /// Removals, and what is wrong.
    Red,
    /// What wants a look.
    Yellow,
    /// Addresses.
    Cyan,
}

impl Style {
    fn code(self) -> Option<&'static str> {
        Some(match self {
            Style::Plain => return None,
            Style::Bold => "\u{1b}[1m",
            Style::Dim => "\u{1b}[2m",
            Style::Green => "\u{1b}[32m",
            Style::Red => "\u{1b}[31m",
            Style::Yellow => "\u{1b}[33m",
            Style::Cyan => "\u{1b}[36m",
        })
    }
}

/// A line of text in parts.
#[derive(Clone, Debug, Default)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// Returns an empty line.
    pub fn new() -> Line {
        Line::default()
    }

    /// Adds a plain part.
    #[must_use]
    pub fn text(self, text: impl AsRef<str>) -> Line {
        self.styled(Style::Plain, text)
    }

    /// Adds a part with a look.
    #[must_use]
    pub fn styled(mut self, style: Style, text: impl AsRef<str>) -> Line {
        self.0.push((style, clean::clean(text.as_ref())));
        self
    }

    /// Adds another line's parts.
    #[must_use]
    pub fn then(mut self, other: Line) -> Line {
        self.0.extend(other.0);
        self
    }

    /// Adds a part that fills at least so many columns, the last of them empty: whatever follows
    /// stands apart.
    #[must_use]
    pub fn cell(self, style: Style, text: impl AsRef<str>, width: usize) -> Line {
        let text = clean::clean(text.as_ref());
        let fill = match text.chars().count() {
            0 => width,
            filled => width.saturating_sub(filled).max(1),
        };
        self.styled(style, text).text(" ".repeat(fill))
    }

    /// Returns the line as it is shown.
    pub fn render(&self, color: bool) -> String {
        let mut out = String::new();
        for (style, text) in &self.0 {
            match style.code().filter(|_| color && !text.is_empty()) {
                Some(code) => {
                    out.push_str(code);
                    out.push_str(text);
                    out.push_str("\u{1b}[0m");
                }
                None => out.push_str(text),
            }
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Line {
        Line::new().text(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Line {
        Line::new().text(text)
    }
}

/// Where the program speaks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    color_out: bool,
    color_err: bool,
    repaint: bool,
    paged: bool,
    asks: bool,
    plain: bool,
}

impl Output {
    /// Looks at the flags and the terminal.
    pub fn new(json: bool, color: Color, plain: bool) -> Output {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let accessible = plain || std::env::var_os("ACCESSIBLE").is_some_and(|v| v == "1");
        let wanted = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !set("NO_COLOR") && !dumb,
        };
        let err_terminal = io::stderr().is_terminal();
        Output {
            json,
            color_out: wanted(io::stdout().is_terminal()),
            color_err: wanted(err_terminal),
            repaint: err_terminal && !accessible && !dumb,
            paged: io::stdout().is_terminal() && !accessible && !dumb,
            asks: io::stdin().is_terminal() && io::stdout().is_terminal(),
            plain: accessible,
        }
    }

    /// Says whether stdout is to hold JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Says whether a progress bar may be drawn.
    pub fn repaints(&self) -> bool {
        self.repaint && !self.json
    }

    /// Says whether a person reads who may want pages.
    pub fn is_paged(&self) -> bool {
        self.paged && !self.json
    }

    /// Says whether a person is there who can be asked.
    pub fn asks(&self) -> bool {
        self.asks && !self.json
    }

    /// Says whether words are wanted, without signs to look at.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Asks for a line, which is typed after the question.
    pub fn question(&self, line: impl Into<Line>) {
        let line = line.into().render(self.color_err);
        let mut err = io::stderr().lock();
        let _ = write!(err, "{line} ").and_then(|()| err.flush());
    }

    /// Returns a line as stdout would get it.
    pub fn rendered(&self, line: impl Into<Line>) -> String {
        line.into().render(self.color_out)
    }

    /// Writes a line of data for people.
    pub fn line(&self, line: impl Into<Line>) -> Result {
        write_out(&line.into().render(self.color_out))
    }

    /// Writes a text of several lines for people.
    pub fn text(&self, text: &str) -> Result {
        text.split('\n').try_for_each(|line| self.line(line))
    }

    /// Writes one JSON document, readable on several lines.
    pub fn document(&self, json: &Json) -> Result {
        write_out(&clean::json(&json.to_pretty()))
    }

    /// Writes one JSON value on a line of its own, as streams do.
    pub fn row(&self, json: &Json) -> Result {
        self.row_text(&json.to_text())
    }

    /// Writes one JSON text on a line of its own.
    pub fn row_text(&self, json: &str) -> Result {
        write_out(&clean::json(json))
    }

    /// Writes a text that is to be read by a program and holds nothing of a context.
    pub fn raw(&self, text: &str) -> Result {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| broken(&error))
    }

    /// Says something to the person at the terminal; what becomes of it does not matter.
    pub fn say(&self, line: impl Into<Line>) {
        let line = line.into().render(self.color_err);
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "{line}").and_then(|()| err.flush());
    }

    /// Says a warning.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.say(Line::new().styled(Style::Yellow, "warning: ").text(text));
    }

    /// Says why the command failed.
    pub fn fail(&self, failure: &Failure) {
        if self.json {
            if let Some(problem) = failure.problem() {
                let mut err = io::stderr().lock();
                let _ = writeln!(err, "{}", clean::json(&problem.to_text()));
            }
            return;
        }
        let Some((text, hint)) = failure.words() else {
            return;
        };
        self.say(Line::new().styled(Style::Red, "error: ").text(text));
        for line in failure.sides() {
            self.say(line);
        }
        if let Some(hint) = hint {
            self.say(Line::new().styled(Style::Cyan, "hint: ").text(hint));
        }
    }
}

fn write_out(text: &str) -> Result {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|error| broken(&error))
}

fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Pipe,
        _ => Failure::usage(format!("cannot write to stdout: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_apart() {
        let cells = |text| Line::new().cell(Style::Plain, text, 3).text("|");
        for (text, shown) in [
            ("", "   |"),
            ("ab", "ab |"),
            ("abc", "abc |"),
            ("abcd", "abcd |"),
        ] {
            assert_eq!(cells(text).render(false), shown);
        }
    }

    #[test]
    fn colours_are_ours_alone() {
        let line = Line::new()
            .styled(Style::Red, "a\u{1b}[32mb")
            .text(" ")
            .cell(Style::Bold, "c", 3);
        assert_eq!(line.render(false), "a\\u{1b}[32mb c");
        assert_eq!(
            line.render(true),
            "\u{1b}[31ma\\u{1b}[32mb\u{1b}[0m \u{1b}[1mc\u{1b}[0m"
        );
    }
}
