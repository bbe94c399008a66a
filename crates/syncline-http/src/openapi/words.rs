//! The words that members may hold, from the tables that the code reads and writes them by.

use syncline_api::{BulkMode, Code, Enc, Mode, ResetReason};
use syncline_delivery::webhook::{Circuit, Status};
use syncline_model::change::{ChangeType, Outcome};
use syncline_model::conflict::{ConflictKind, ConflictState, Strategy};
use syncline_model::document::Level;
use syncline_model::json::Json;
use syncline_model::proposal::Operation;

use super::object;
use super::shapes::{Named, words};
use crate::webhooks::AttemptOutcome;

/// Returns the schema of all words of a table.
macro_rules! all {
    ($table:ty) => {
        words(<$table>::ALL.iter().map(|word| word.as_str()))
    };
}

/// Returns the schemas by name.
pub(super) fn schemas() -> Named {
    vec![
        ("ChangeType", all!(ChangeType)),
        ("Enc", all!(Enc)),
        ("Outcome", all!(Outcome)),
        ("Operation", all!(Operation)),
        ("Mode", all!(Mode)),
        ("BulkMode", all!(BulkMode)),
        ("ResetReason", all!(ResetReason)),
        ("Level", all!(Level)),
        ("Strategy", all!(Strategy)),
        ("ConflictKind", all!(ConflictKind)),
        ("ConflictState", all!(ConflictState)),
        ("WebhookStatus", all!(Status)),
        ("Circuit", all!(Circuit)),
        ("AttemptOutcome", all!(AttemptOutcome)),
        ("ProblemCode", words(Code::all().map(Code::name))),
        (
            "Priority",
            object([("enum", (1..=4).map(Json::from).collect::<Json>())]),
        ),
    ]
}
