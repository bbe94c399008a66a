//! Syncline's wire types, and the one table from errors to statuses.
//!
//! What doors and clients send each other (PROTOCOL), as types that read and write themselves:
//! contexts, changes, receipts, proposals, scopes and the messages of the WebSocket. A writer's
//! input is read strictly, so that a misspelt field never vanishes; what a node sends is read
//! leniently, so that an older client understands a newer node.

pub mod catalog;
mod change;
mod context;
mod filter;
#[doc(hidden)]
pub mod fuzz;
mod message;
pub mod problem;
mod proposal;
mod receipt;
mod scope;

pub use change::{ChangeView, Enc, Mode, WireBody, WireChange, write_change};
pub use context::{ContextView, partial_context, project, shorten, strip_server_members};
pub use filter::{
    Attribute, CONDITION_BYTES_MAX, Condition, FILTER_BYTES_MAX, FILTER_DEPTH_MAX, FILTER_IN_MAX,
    FILTER_NODES_MAX, FILTER_TEXT_BYTES_MAX, Filter, Filters, PointerPattern,
};
pub use message::{
    BulkMode, COALESCE_MS_MAX, ClientMessage, ErrorMessage, FIELDS_MAX, From, Hello, ID_LENGTH_MAX,
    Resync, ServerMessage, Submit, Subscribe, Welcome, change_opening, write_begin,
    write_change_message, write_end, write_enter, write_error, write_heartbeat, write_lagging,
    write_leave, write_line, write_receipts, write_reset, write_snapshot, write_subscribed,
    write_welcome,
};
pub use problem::{Code, MetLimit, Misfits, Problem, ResetReason, Sides};
pub use proposal::{
    check_named_context, parse_branch, parse_if_match, parse_message, read_proposal, write_proposal,
};
pub use receipt::{ReceiptOrProblem, ReceiptView};
pub use scope::{SCOPE_TERMS_MAX, Scope, ScopeTerm};
