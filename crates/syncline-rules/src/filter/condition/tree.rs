//! An expression as a tree, its names resolved.

use std::sync::Arc;

use syncline_model::json::Number;
use syncline_schema::Pattern;

/// A node of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    List(Vec<Node>),
    /// Something that is known of the change or its document.
    Field(Field),
    /// The variable of a loop around, counted from the outermost.
    Local(usize),
    Member(Box<Node>, Arc<str>),
    Index(Box<(Node, Node)>),
    /// Whether a member is there.
    Has(Box<Node>, Arc<str>),
    HasField(Field),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    If(Box<(Node, Node, Node)>),
    Compare(Compare, Box<(Node, Node)>),
    Calculate(Calculate, Box<(Node, Node)>),
    In(Box<(Node, Node)>),
    Call(Function, Box<Node>, Option<Box<Node>>),
    Matches(Box<Node>, Box<Pattern>),
    /// A loop over a list or the keys of an object.
    Loop(Loop, Box<(Node, Node)>),
}

#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(Number),
    Text(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calculate {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    StartsWith,
    EndsWith,
    Contains,
    LowerAscii,
    UpperAscii,
    Int,
    Double,
    String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loop {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Loop {
    pub fn parse(name: &str) -> Option<Loop> {
        Some(match name {
            "all" => Loop::All,
            "exists" => Loop::Exists,
            "exists_one" | "existsOne" => Loop::ExistsOne,
            "filter" => Loop::Filter,
            "map" => Loop::Map,
            _ => return None,
        })
    }
}

/// What can be known of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    ChangeId,
    ChangeType,
    ChangeActor,
    ChangeAgent,
    ChangeSession,
    ChangeToolCall,
    ChangeChanged,
    ChangePriority,
    ChangeMessage,
    ChangeOutcome,
    ChangeBranch,
    ChangeBulk,
    ChangeVersion,
    ChangeFrom,
    ChangeBase,
    ChangeBlind,
    ChangeCommittedAt,
    Address,
    Kind,
    Id,
    Parent,
    Ancestors,
    Project,
    Level,
    Labels,
    Title,
    Description,
    State,
    Owner,
    Collaborators,
    Permissions,
    Data,
    Metadata,
}

/// The members of `change`, by the names that a change has on the wire.
pub(super) const CHANGE: [(&str, Field); 22] = [
    ("id", Field::ChangeId),
    ("context", Field::Address),
    ("kind", Field::Kind),
    ("parent", Field::Parent),
    ("project", Field::Project),
    ("labels", Field::Labels),
    ("type", Field::ChangeType),
    ("actor", Field::ChangeActor),
    ("agent", Field::ChangeAgent),
    ("session", Field::ChangeSession),
    ("tool_call", Field::ChangeToolCall),
    ("changed", Field::ChangeChanged),
    ("priority", Field::ChangePriority),
    ("message", Field::ChangeMessage),
    ("outcome", Field::ChangeOutcome),
    ("branch", Field::ChangeBranch),
    ("bulk", Field::ChangeBulk),
    ("version", Field::ChangeVersion),
    ("from", Field::ChangeFrom),
    ("base", Field::ChangeBase),
    ("blind", Field::ChangeBlind),
    ("committed_at", Field::ChangeCommittedAt),
];

/// The members of `change.actor`.
pub(super) const ACTOR: [(&str, Field); 4] = [
    ("id", Field::ChangeActor),
    ("agent", Field::ChangeAgent),
    ("session", Field::ChangeSession),
    ("tool_call", Field::ChangeToolCall),
];

/// What a filter names goes by that name alone as well, and so do the parts of the document.
pub(super) const ALONE: [(&str, Field); 19] = [
    ("kind", Field::Kind),
    ("parent", Field::Parent),
    ("project", Field::Project),
    ("level", Field::Level),
    ("labels", Field::Labels),
    ("title", Field::Title),
    ("description", Field::Description),
    ("state", Field::State),
    ("owner", Field::Owner),
    ("data", Field::Data),
    ("metadata", Field::Metadata),
    ("type", Field::ChangeType),
    ("actor", Field::ChangeActor),
    ("agent", Field::ChangeAgent),
    ("session", Field::ChangeSession),
    ("changed", Field::ChangeChanged),
    ("priority", Field::ChangePriority),
    ("message", Field::ChangeMessage),
    ("branch", Field::ChangeBranch),
];

/// The members of `context`, also called `document`.
pub(super) const CONTEXT: [(&str, Field); 17] = [
    ("context", Field::Address),
    ("address", Field::Address),
    ("kind", Field::Kind),
    ("id", Field::Id),
    ("parent", Field::Parent),
    ("ancestors", Field::Ancestors),
    ("project", Field::Project),
    ("level", Field::Level),
    ("labels", Field::Labels),
    ("title", Field::Title),
    ("description", Field::Description),
    ("state", Field::State),
    ("owner", Field::Owner),
    ("collaborators", Field::Collaborators),
    ("permissions", Field::Permissions),
    ("data", Field::Data),
    ("metadata", Field::Metadata),
];

impl Field {
    /// Says whether the document must be at hand: the rest is in the record.
    pub fn is_of_document(self) -> bool {
        matches!(
            self,
            Field::Title
                | Field::Description
                | Field::State
                | Field::Owner
                | Field::Collaborators
                | Field::Permissions
                | Field::Data
                | Field::Metadata
        )
    }

    /// Says whether it is the same for all changes of one context.
    pub fn is_of_context(self) -> bool {
        matches!(self, Field::Address | Field::Kind | Field::Id)
    }
}
