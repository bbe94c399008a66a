//! How far a watch came.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::SAVE_EACH;
use super::asked::Asked;
use crate::output::{Line, Output, Style};
use crate::place;
use crate::run::Run;

/// Remembers how far a watch came, for `--from @last`, and says so when it ends.
pub(super) struct Place {
    output: Output,
    file: PathBuf,
    /// What was shown last, and whether that is written down.
    cursor: Option<String>,
    saved: bool,
    written: Option<Instant>,
}

impl Place {
    /// Finds where the place of a watch of these things is kept.
    pub fn of(run: &Run, asked: &Asked) -> Place {
        let workspace = run.settings.text("workspace").unwrap_or_default();
        let which = format!("{:?} {workspace} {}", run.target(), asked.name());
        let name = format!("watch-{}", place::hash_of(Path::new(&which)));
        Place {
            output: run.output,
            file: place::state_dir(&run.environment).join(name),
            cursor: None,
            saved: true,
            written: None,
        }
    }

    /// Returns where the last watch of these things stopped.
    pub fn read(&self) -> Option<String> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Takes note of what was shown, and writes it down every second.
    pub fn note(&mut self, cursor: Option<String>) {
        if cursor.is_none() {
            return;
        }
        self.cursor = cursor;
        self.saved = false;
        let fresh = self.written.is_some_and(|at| at.elapsed() < SAVE_EACH);
        if !fresh {
            self.save();
        }
    }

    /// Writes it down.
    pub fn save(&mut self) {
        let Some(cursor) = self.cursor.as_ref().filter(|_| !self.saved) else {
            return;
        };
        self.saved = true;
        self.written = Some(Instant::now());
        // A place that cannot be remembered only means that @last begins now.
        if let Some(folder) = self.file.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = std::fs::write(&self.file, cursor);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.save();
        if let Some(cursor) = self.cursor.as_ref().filter(|_| !self.output.is_json()) {
            let text = format!("-- go on with --from @last, or --from {cursor} --");
            self.output.say(Line::new().styled(Style::Dim, text));
        }
    }
}
