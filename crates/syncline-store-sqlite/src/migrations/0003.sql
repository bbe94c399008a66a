-- Small values that are kept beside the log: acknowledged places, attempts. No hash of the log
-- covers them, so each carries the first bytes of one of its own: SHA-256 over the lengths of space
-- and key, then space, key and value.
CREATE TABLE kept (
    ws INTEGER NOT NULL,
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    sum BLOB NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (ws, space, key)
) STRICT;
