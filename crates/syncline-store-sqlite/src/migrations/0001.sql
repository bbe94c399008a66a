-- Facts about the file itself.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Which migrations made this schema, and that they said what they say today.
CREATE TABLE migration (
    version INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL
) STRICT;

CREATE TABLE workspace (
    ws INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    log BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    cursor_key BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_hash BLOB NOT NULL,
    last_committed_at INTEGER NOT NULL,
    low_water INTEGER NOT NULL,
    contexts INTEGER NOT NULL
) STRICT;

-- pos is ws << 40 | seq, so that each workspace's log is one run of rows. What a history shows of
-- a version is here too, before what may be long: this row is written anyway.
CREATE TABLE log (
    pos INTEGER PRIMARY KEY,
    header BLOB NOT NULL,
    ctx INTEGER NOT NULL,
    version INTEGER NOT NULL,
    change_id BLOB NOT NULL,
    hash BLOB NOT NULL,
    whole INTEGER NOT NULL,
    salt BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- What rarely changes stands before what changes with each version. recent_seqs is the newest
-- chunk of the history, whole or not.
CREATE TABLE context (
    ctx INTEGER PRIMARY KEY,
    ws INTEGER NOT NULL,
    address TEXT NOT NULL,
    parent TEXT,
    state TEXT NOT NULL,
    level TEXT NOT NULL,
    owner TEXT,
    title TEXT,
    labels TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    change_id BLOB NOT NULL,
    hash BLOB NOT NULL,
    deleted INTEGER NOT NULL,
    actor TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    recent_seqs BLOB NOT NULL,
    UNIQUE (ws, address)
) STRICT;
CREATE INDEX context_parent ON context (ws, parent) WHERE parent IS NOT NULL;

-- Apart from `context`, so that a scan of heads reads no documents.
CREATE TABLE body (
    ctx INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

-- The history before recent_seqs: the seqs of versions 32 * chunk + 1 to 32 * chunk + 32, five
-- bytes each. A row for each version would make each write rewrite a page of its own.
CREATE TABLE version_chunk (
    ctx INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    seqs BLOB NOT NULL,
    PRIMARY KEY (ctx, chunk)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot (
    ctx INTEGER NOT NULL,
    version INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (ctx, version)
) STRICT;

CREATE TABLE change_id (
    ws INTEGER NOT NULL,
    id BLOB NOT NULL,
    digest BLOB NOT NULL,
    outcome BLOB NOT NULL,
    PRIMARY KEY (ws, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE label (
    ws INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    ctx INTEGER NOT NULL,
    PRIMARY KEY (ws, key, value, ctx)
) STRICT, WITHOUT ROWID;
