//! Writing another value in the user's editor, with the three sides before one's eyes.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use syncline_client::fresh_id;
use syncline_model::conflict::Conflict;
use syncline_model::json::{Json, Object};
use tokio::process::Command;

use crate::clean;
use crate::commands::input::read_json;
use crate::failure::{Failure, Result};

/// Lets the user edit; none if the file came back as it was.
///
/// The file is one JSON object: `value` is what will hold, and the sides stand beside it.
pub async fn value(conflict: &Conflict) -> Result<Option<Json>> {
    let folder = Folder::make()?;
    let file = folder.0.join("conflict.json");
    let before = sides(conflict);
    let text = clean::json(&before.to_pretty()) + "\n";
    std::fs::write(&file, text).map_err(|error| Failure::file("write", &file, &error))?;
    edit(&file).await?;
    let after = read_json(&file)?;
    if after == before {
        return Ok(None);
    }
    let value = after.get("value").cloned();
    value.map(Some).ok_or_else(|| {
        Failure::usage_hint(
            "the edited file has no member \"value\"",
            "what stands there is what will hold; to remove the place, choose a side that has nothing",
        )
    })
}

fn sides(conflict: &Conflict) -> Json {
    let head = conflict.theirs.as_ref().or(conflict.ours.as_ref());
    let mut object = Object::new();
    let named = [
        ("base", conflict.base.as_ref()),
        ("ours", conflict.ours.as_ref()),
        ("theirs", conflict.theirs.as_ref()),
        ("value", head),
    ];
    for (name, side) in named {
        if let Some(side) = side {
            object.insert(name, side.clone());
        }
    }
    Json::Object(object)
}

async fn edit(file: &Path) -> Result {
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
        let editor = std::env::var(name).ok()?;
        (!editor.trim().is_empty()).then_some(editor)
    });
    let editor = named.unwrap_or_else(|| "vi".to_owned());
    let mut command = Command::new("sh");
    // The setting may bring arguments of its own, as in `code --wait`.
    command
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(file);
    let ended = command.status().await;
    let ended = ended.map_err(|error| Failure::usage(format!("cannot start {editor}: {error}")))?;
    match ended.success() {
        true => Ok(()),
        false => Err(Failure::usage_hint(
            format!("{editor} ended with {ended}"),
            "set EDITOR to an editor that is there",
        )),
    }
}

/// A folder of this user's alone, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("syncline-{}", fresh_id()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Failure::file("make", &path, &error))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clean up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
