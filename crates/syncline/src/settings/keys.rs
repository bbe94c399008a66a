//! The settings that there are: name, type, default, and one line of help.

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A file or folder.
    Path,
    /// `host:port`.
    Listen,
    /// A whole number between the bounds.
    Number(u64, u64),
    /// Bytes; `16MiB` is understood.
    Bytes(u64, u64),
    /// Several texts; separated by commas in the environment.
    List,
    /// Several `person/ana=10`; separated by commas in the environment.
    Ranks,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the TOML file and in `syncline config`.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Its default, as one would write it; absent where there is none or the platform has it.
    pub default: Option<&'static str>,
    /// What it does.
    pub help: &'static str,
}

impl Key {
    /// Returns the name of the environment variable.
    pub fn variable(&self) -> String {
        format!("SYNCLINE_{}", self.name.to_uppercase())
    }

    /// Finds a setting by its name.
    pub fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const fn key(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
        help,
    }
}

const fn open(name: &'static str, kind: Kind, help: &'static str) -> Key {
    Key {
        name,
        kind,
        default: None,
        help,
    }
}

const STRATEGIES: &[&str] = &[
    "merge",
    "field_merge",
    "latest_wins",
    "source_priority",
    "keep_both",
    "manual",
    "user_choice",
];

/// All settings, in the order in which `syncline config` shows them.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    open("data", Kind::Path, "the node's data directory"),
    key("listen", Kind::Listen, "127.0.0.1:7420", "where the node listens; port 0 picks one"),
    key("store", Kind::Text, "sqlite", "where contexts are kept"),
    open("url", Kind::Text, "the node that commands talk to, instead of the one in `data`"),
    key("workspace", Kind::Text, "default", "the workspace that commands mean"),
    open("agent", Kind::Text, "who acts, recorded with each change"),
    open("session", Kind::Text, "the agent's session, recorded with each change"),
    open("provider", Kind::Text, "whose model or service acts, recorded with each change"),
    key("color", Kind::Word(&["auto", "always", "never"]), "auto", "when to use colours"),
    key("allowed_hosts", Kind::List, "", "Host headers that are accepted beside the node's own"),
    key("allowed_origins", Kind::List, "", "Origin headers that are accepted beside the node's own"),
    key("log_level", Kind::Word(&["off", "error", "warn", "info", "debug", "trace"]), "warn", "which events the node logs on stderr"),
    key("log_format", Kind::Word(&["text", "json"]), "text", "how the node logs"),
    key("max_document_bytes", Kind::Bytes(1024, 64 * MIB), "10MiB", "the largest document"),
    key("max_document_depth", Kind::Number(4, 100), "64", "how deep a document nests"),
    key("max_patch_operations", Kind::Number(1, 100_000), "4096", "the operations of one JSON Patch"),
    key("max_request_bytes", Kind::Bytes(4096, 256 * MIB), "16MiB", "the largest request body or message"),
    key("max_bulk", Kind::Number(1, 1_000), "1000", "the proposals of one bulk"),
    key("bulk_heads_bytes_max", Kind::Bytes(MIB, 256 * GIB), "256MiB", "the documents that one bulk changes, as they are before"),
    key("max_page", Kind::Number(1, 1_000), "1000", "the items of one page"),
    key("max_wait_s", Kind::Number(1, 600), "60", "how long a read may wait for news"),
    key("max_head_s", Kind::Number(1, 600), "30", "how long until the head of a connection's next request is complete"),
    key("max_connections", Kind::Number(4, 1_000_000), "10000", "the connections that are open at once"),
    key("max_subscriptions", Kind::Number(1, 100_000), "100", "the live subscriptions of one connection"),
    key("max_principal_subscriptions", Kind::Number(1, 1_000_000), "20000", "the live subscriptions of one principal, over all its connections"),
    key("max_durable_subscriptions", Kind::Number(1, 10_000), "100", "the durable subscriptions of one principal in a workspace"),
    key("max_workspaces", Kind::Number(1, 100_000), "1000", "the workspaces of this node"),
    key("commit_bytes", Kind::Bytes(64 * 1024, 256 * MIB), "4MiB", "the proposals that share one commit"),
    key("queue_bytes", Kind::Bytes(MIB, 4 * GIB), "64MiB", "the proposals that wait for a commit"),
    key("cache_bytes", Kind::Bytes(MIB, 256 * GIB), "64MiB", "the heads that are kept parsed"),
    key("recent_bytes", Kind::Bytes(64 * 1024, 4 * GIB), "32MiB", "the newest records of a workspace that readers find in memory; all workspaces together have room for eight times as much"),
    key("strategy", Kind::Word(STRATEGIES), "merge", "how writes on an old version are resolved, where neither they, their context nor its kind say"),
    key("fallback", Kind::Word(&["manual", "latest_wins", "source_priority", "keep_both", "user_choice"]), "manual", "how clashes are resolved that the strategy leaves"),
    key("ranks", Kind::Ranks, "", "ranks of sources for source_priority, such as person/ana=10, agent/claude-1=5, provider/openai=3, node/laptop=1; the first of these that has one counts, others have 0"),
    key("retention", Kind::Word(&["all", "daily", "tagged"]), "all", "which versions older than keep_all_days are kept, where their kind says nothing"),
    key("keep_all_days", Kind::Number(30, 36_500), "30", "for how many days all versions are kept, where older ones are thinned"),
    key("max_open_conflicts", Kind::Number(1, 10_000), "1000", "the conflicts that wait on one context, or on one of its branches"),
    key("conflict_deadline_s", Kind::Number(1, 31_536_000), "300", "how long a conflict waits before it is more urgent"),
    key("webhooks_allow", Kind::List, "", "addresses, ranges such as 10.0.0.0/8, and hosts that webhooks may reach though they are not public; endpoints named so need no challenge"),
    key("webhooks_allow_http", Kind::Flag, "false", "whether webhooks may go to http:// URLs"),
    key("webhooks_challenge", Kind::Flag, "true", "whether an endpoint that webhooks_allow does not name must answer with a challenge before it is sent anything"),
    key("max_webhooks", Kind::Number(1, 10_000), "100", "the webhooks of one workspace"),
    key("store_readers", Kind::Number(1, 64), "4", "the threads that read from disk"),
];

/// Settings of later releases; naming one is answered clearly.
pub const NOT_BUILT: &[&str] = &["upstream", "upstream_key", "bus"];
