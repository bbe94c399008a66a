//! Tests of syncline-schema at its API: the public suite, laws, bounds, merge rules, corrections.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod bounds;
mod failures;
mod laws;
mod merging;
mod refusals;
mod suite;

use syncline_model::json::{Json, Limits};
use syncline_schema::{Schema, SchemaError, SchemaLimits};

#[track_caller]
fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &Limits::wire()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn compile(text: &str) -> Result<Schema, SchemaError> {
    Schema::compile(&json(text), SchemaLimits::default())
}
