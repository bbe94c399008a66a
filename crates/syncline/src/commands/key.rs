//! `syncline key`

use clap::Args;
use syncline_api::{Code, Problem};
use syncline_model::json::{Json, Object};

use crate::failure::Result;
use crate::place;
use crate::run::Run;

/// Print the owner's key of the node in the data directory.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  curl -H \"Authorization: Bearer $(syncline key)\" http://127.0.0.1:7420/v1/status"
)]
pub struct KeyArgs {}

/// Runs the command.
pub fn run(_: &KeyArgs, run: &Run) -> Result {
    let data = run.settings.data();
    let file = data.join(place::OWNER_KEY);
    let key = place::owner_key(&data).map_err(|error| {
        let what = format!("cannot read {}: {error}", file.display());
        Problem::new(Code::Unauthorized, what)
            .hint("the first `syncline up` makes it; name the node's data directory with --data")
    })?;
    if !run.output.is_json() {
        return run.output.line(key);
    }
    let file = Json::from(file.display().to_string());
    let members: Object = [("key", Json::from(key)), ("file", file)]
        .into_iter()
        .collect();
    run.output.document(&Json::Object(members))
}
