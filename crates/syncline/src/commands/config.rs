//! `syncline config`

use clap::Args;
use syncline_model::json::{Json, Object};

use crate::failure::{Failure, Result};
use crate::output::{Line, Style};
use crate::run::Run;
use crate::settings::{Entry, Origin};

/// Show the settings: each value and where it came from.
///
/// A setting stands in the TOML file under its name, in the environment as SYNCLINE_ and its
/// name in capitals, and the most used ones are flags.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  syncline config\n  syncline config max_document_bytes")]
pub struct ConfigArgs {
    /// Show only this one.
    pub key: Option<String>,
}

/// Runs the command.
pub fn run(args: &ConfigArgs, run: &Run) -> Result {
    match &args.key {
        Some(key) => one(key, run),
        None => all(run),
    }
}

fn one(key: &str, run: &Run) -> Result {
    if key == "store.path" {
        let path = run
            .settings
            .data()
            .join("syncline.db")
            .display()
            .to_string();
        let origin = run
            .settings
            .entry("data")
            .map(|entry| entry.origin.to_string());
        let origin = format!("from data ({})", origin.unwrap_or_default());
        return single(
            run,
            key,
            Json::from(path.as_str()),
            &path,
            &origin,
            "the database",
        );
    }
    let entry = run.settings.entry(key).ok_or_else(|| {
        Failure::usage_hint(
            format!("there is no setting {key:?}"),
            "`syncline config` shows all",
        )
    })?;
    let value = entry
        .value
        .as_ref()
        .map_or_else(|| "(unset)".to_owned(), ToString::to_string);
    single(
        run,
        key,
        json_of(entry),
        &value,
        &entry.origin.to_string(),
        entry.key.help,
    )
}

fn single(run: &Run, key: &str, json: Json, value: &str, origin: &str, help: &str) -> Result {
    if !run.output.is_json() {
        run.output.line(value)?;
        run.output
            .say(Line::new().styled(Style::Dim, format!("{key}: {help}; {origin}")));
        return Ok(());
    }
    let members = [
        ("name", Json::from(key)),
        ("value", json),
        ("origin", Json::from(origin)),
    ];
    run.output
        .document(&Json::Object(members.into_iter().collect()))
}

fn all(run: &Run) -> Result {
    if run.output.is_json() {
        let member = |entry: &Entry| {
            let origin = Json::from(entry.origin.to_string());
            let members = [("value", json_of(entry)), ("origin", origin)];
            (entry.key.name, Json::Object(members.into_iter().collect()))
        };
        let members: Object = run.settings.entries().map(member).collect();
        return run.output.document(&Json::Object(members));
    }
    let names = run.settings.entries().map(|entry| entry.key.name.len());
    let width = names.max().unwrap_or(0) + 2;
    for entry in run.settings.entries() {
        let value = entry
            .value
            .as_ref()
            .map_or_else(|| "(unset)".to_owned(), ToString::to_string);
        let style = if entry.origin == Origin::Default {
            Style::Dim
        } else {
            Style::Green
        };
        run.output.line(
            Line::new()
                .cell(Style::Bold, entry.key.name, width)
                .cell(Style::Plain, value, 28)
                .text("  ")
                .styled(style, entry.origin.to_string()),
        )?;
    }
    Ok(())
}

fn json_of(entry: &Entry) -> Json {
    entry
        .value
        .as_ref()
        .map_or(Json::Null, crate::settings::Value::to_json)
}
