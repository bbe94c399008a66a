//! The messages of the WebSocket as a table: what each holds, who sends it, what answers it.
//!
//! The AsyncAPI document is made from it, and a node tells by it a message that is not built yet
//! from one that does not exist. Tests compare it with what is really read and written.

use Kind::{Any, Count, Flag, Is, ListOf, Text};

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Whoever connects.
    Client,
    /// The node.
    Node,
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct MessageType {
    /// Its `type`.
    pub name: &'static str,
    /// Who sends it.
    pub sender: Sender,
    /// What it is for.
    pub about: &'static str,
    /// What it holds, beside its type.
    pub members: &'static [Member],
    /// Of these members, one is there, and no two are.
    pub one_of: &'static [&'static str],
    /// The messages that answer it.
    pub answers: &'static [&'static str],
    /// Whether nodes know it already.
    pub built: bool,
}

/// A member of a message.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it says.
    pub about: &'static str,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number that is not negative.
    Count,
    /// True or false.
    Flag,
    /// Something that has a schema of its own.
    Is(&'static str),
    /// A list of such things.
    ListOf(&'static str),
    /// A list of texts.
    Texts,
    /// An object of texts.
    TextsByName,
    /// Any JSON.
    Any,
}

/// Returns the message of a type that clients send.
pub fn client_message(name: &str) -> Option<&'static MessageType> {
    let sent = |message: &&MessageType| message.sender == Sender::Client && message.name == name;
    MESSAGES.iter().find(sent)
}

const fn must(name: &'static str, kind: Kind, about: &'static str) -> Member {
    Member {
        name,
        kind,
        required: true,
        about,
    }
}

const fn may(name: &'static str, kind: Kind, about: &'static str) -> Member {
    Member {
        name,
        kind,
        required: false,
        about,
    }
}

const fn client(
    name: &'static str,
    about: &'static str,
    members: &'static [Member],
    answers: &'static [&'static str],
) -> MessageType {
    MessageType {
        name,
        sender: Sender::Client,
        about,
        members,
        one_of: &[],
        answers,
        built: true,
    }
}

const fn one_of(one_of: &'static [&'static str], message: MessageType) -> MessageType {
    MessageType { one_of, ..message }
}

const fn node(name: &'static str, about: &'static str, members: &'static [Member]) -> MessageType {
    MessageType {
        name,
        sender: Sender::Node,
        about,
        members,
        one_of: &[],
        answers: &[],
        built: true,
    }
}

const fn later(name: &'static str, about: &'static str) -> MessageType {
    MessageType {
        name,
        sender: Sender::Client,
        about,
        members: &[],
        one_of: &[],
        answers: &[],
        built: false,
    }
}

const SUB: Member = must("sub", Text, "The subscription");
const N: Member = must(
    "n",
    Count,
    "1, 2, 3 … for each subscription on this connection, so that no hole goes unseen",
);
const CURSOR: Member = may(
    "cursor",
    Text,
    "The place to go on from; none inside a bulk",
);

const DELIVERY: Member = may(
    "delivery",
    Count,
    "Of a durable subscription alone: 1 for the first time that this is delivered, and so on",
);

const ENDED: Member = may(
    "ended",
    Flag,
    "The subscription is over; if `retry`, subscribe again from the last cursor",
);

/// What an `error` of a node holds.
const ERROR: &[Member] = &[
    may("ref", Text, "What it answers"),
    must("code", Is("ProblemCode"), "The stable name of the problem"),
    must("text", Text, "What went wrong, in words"),
    must("retry", Flag, "The same may succeed later"),
    may("after_ms", Count, "When to try again"),
    may("pointer", Text, "The field that is wrong"),
    may("hint", Text, "What to do about it"),
    may("limit", Count, "The limit that was met"),
    may("setting", Text, "The setting that holds the limit"),
    ENDED,
];

/// What a client says of its own error, which is read leniently.
const TOLD: &[Member] = &[
    may("ref", Text, "What it is about"),
    may("code", Text, "The client's name for it"),
    may("text", Text, "What went wrong, in words"),
    may("retry", Flag, "The same may succeed later"),
    may("after_ms", Count, "When to try again"),
    may("pointer", Text, "The field that is wrong"),
    may("hint", Text, "What to do about it"),
    may("limit", Count, "The limit that was met"),
    may("setting", Text, "The setting that holds the limit"),
    ENDED,
];

/// All messages: the clients' first.
pub const MESSAGES: &[MessageType] = &[
    client(
        "hello",
        "The first message of a connection, within 5 s",
        &[
            may("token", Text, "The key; none on the Unix socket"),
            may("client", Text, "The client's name and version"),
            may(
                "workspace",
                Text,
                "The workspace; `default` where none is named",
            ),
            may("agent", Text, "Who acts under the key"),
            may("session", Text, "The agent's session"),
            may("provider", Text, "Whose model or service it is"),
            may("capabilities", Any, "What the client can do"),
        ],
        &["welcome", "error"],
    ),
    one_of(
        &["scope", "durable"],
        client(
            "subscribe",
            "Asks for the changes of a scope",
            &[
                must("id", Text, "The client's name for it on this connection"),
                may("scope", Is("Scope"), "Which contexts; not with `durable`"),
                may("filter", Is("Filters"), "Which of their changes"),
                may(
                    "where",
                    Text,
                    "An expression (CEL) that must be true, at most 1 KB",
                ),
                may(
                    "fields",
                    Kind::Texts,
                    "JSON Pointers: only these parts of documents",
                ),
                may("mode", Is("Mode"), "What comes of each change"),
                may(
                    "from",
                    Is("From"),
                    "Where it begins; `now` unless said otherwise",
                ),
                may(
                    "coalesce_ms",
                    Count,
                    "Changes of one context within this time may be told as one",
                ),
                may(
                    "exclude_self",
                    Flag,
                    "Without what this connection's actor wrote",
                ),
                may("old", Flag, "With the values before"),
                may(
                    "ack",
                    Flag,
                    "With acknowledgements, as a durable subscription always is, and no other",
                ),
                may(
                    "durable",
                    Text,
                    "A durable subscription's name, instead of `scope`: its definition says the rest, so that nothing but `id` and `ack` may stand beside it",
                ),
            ],
            &["subscribed", "error"],
        ),
    ),
    client(
        "unsubscribe",
        "Ends a subscription",
        &[must("id", Text, "Which")],
        &[],
    ),
    client(
        "submit",
        "Proposes changes",
        &[
            must("id", Text, "The client's name for it"),
            must("proposals", ListOf("Proposal"), "What is proposed"),
            may("mode", Is("BulkMode"), "As one bulk; absent: each alone"),
        ],
        &["receipt", "error"],
    ),
    client(
        "resync",
        "Asks for one context again, as a snapshot",
        &[
            must("context", Text, "Which context"),
            may("id", Text, "The client's name for the question"),
            may("sub", Text, "The subscription that missed something"),
            may("branch", Text, "Which line of versions"),
            may("version", Count, "The version that the client holds"),
            may(
                "hash",
                Text,
                "The hash of what it holds: it is sent the context if that differs",
            ),
        ],
        &["snapshot", "error"],
    ),
    client(
        "ack",
        "Says that all of a durable subscription up to a cursor was handled",
        &[SUB, must("cursor", Text, "Up to here")],
        &["error"],
    ),
    client(
        "nack",
        "Gives a delivery of a durable subscription back",
        &[
            SUB,
            must("cursor", Text, "Which delivery"),
            may("delay_ms", Count, "After how long it comes again"),
            may("reason", Text, "Why: a dead letter says it"),
        ],
        &["error"],
    ),
    client(
        "extend",
        "Takes the whole ack wait again",
        &[
            SUB,
            may(
                "cursor",
                Text,
                "For which delivery; all that it has, if absent",
            ),
        ],
        &["error"],
    ),
    client("heartbeat", "Shows that the client is there", &[], &[]),
    client(
        "error",
        "Tells the node of an error at the client",
        TOLD,
        &[],
    ),
    later("lease", "Acquires, renews or releases a lease"),
    later("presence", "Joins, beats or leaves"),
    later("push", "A replica's proposals"),
    later("pushed", "What became of a replica's proposals"),
    later("checkpoint", "A replica's digest of what it holds"),
    node(
        "welcome",
        "Answers `hello`",
        &[
            must("connection", Text, "The node's name for the connection"),
            must("epoch", Text, "Which life of the log this is"),
            must("cursor", Text, "The log's end"),
            must("heartbeat_s", Count, "How much silence there is at most"),
            must(
                "limits",
                Is("ConnectionLimits"),
                "The connection's limits, by name",
            ),
            may("token_expires_at", Text, "When the token stops to count"),
        ],
    ),
    node(
        "subscribed",
        "Answers `subscribe`, once the subscription is live",
        &[
            must("id", Text, "The subscription"),
            must("cursor", Text, "Where it goes on"),
            must(
                "recovered",
                Flag,
                "Nothing is missing; if not, `snapshot` pages follow",
            ),
            may("reason", Is("ResetReason"), "Why not"),
        ],
    ),
    node(
        "change",
        "A change",
        &[
            SUB,
            N,
            must("change", Is("Change"), "The change"),
            may(
                "resume",
                Text,
                "The cursor to keep instead of the change's own",
            ),
            DELIVERY,
        ],
    ),
    node(
        "snapshot",
        "A page of contexts, or the answer to `resync`",
        &[
            may("sub", Text, "The subscription"),
            may("ref", Text, "The `resync` that it answers"),
            must(
                "contexts",
                ListOf("Context"),
                "The contexts, each as of its page",
            ),
            must("last", Flag, "No page follows"),
            may("cursor", Text, "With the last page: where the log goes on"),
        ],
    ),
    node(
        "enter",
        "A context came into the scope",
        &[
            SUB,
            N,
            must(
                "context",
                Is("Context"),
                "As of the version that the change made",
            ),
            CURSOR,
            DELIVERY,
        ],
    ),
    node(
        "leave",
        "A context left the scope; nothing more is said of it",
        &[
            SUB,
            N,
            must("context", Text, "Which"),
            may("branch", Text, "Which of its branches; absent is main"),
            CURSOR,
            DELIVERY,
        ],
    ),
    node(
        "begin",
        "A bulk's visible parts follow",
        &[SUB, must("bulk", Text, "The bulk"), DELIVERY],
    ),
    node(
        "end",
        "A bulk's visible parts are complete",
        &[
            SUB,
            must("bulk", Text, "The bulk"),
            must("cursor", Text, "The place after it"),
            DELIVERY,
        ],
    ),
    node(
        "heartbeat",
        "The node is there, and each subscription has all up to its cursor",
        &[must("subs", Kind::TextsByName, "Cursors by subscription")],
    ),
    node(
        "receipt",
        "Answers `submit`: an answer for each proposal, in their order",
        &[
            must("ref", Text, "The submit's id"),
            may("bulk", Text, "The bulk, if it was one"),
            must("receipts", ListOf("ReceiptOrRefusal"), "The answers"),
        ],
    ),
    node(
        "lagging",
        "The subscription fell behind and is fed from the log",
        &[SUB],
    ),
    node(
        "reset",
        "Start again from a snapshot: the subscription is over, unless it is a durable one",
        &[
            SUB,
            must("reason", Is("ResetReason"), "Why"),
            may(
                "cursor",
                Text,
                "Of a durable subscription alone: what to acknowledge, once the contexts were read again",
            ),
            DELIVERY,
        ],
    ),
    node("error", "Something went wrong; the connection stays", ERROR),
];
