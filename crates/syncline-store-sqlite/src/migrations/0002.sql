-- A row of `context` is one line of a context's versions now. For a branch, `address` holds the
-- key of its line, so that UNIQUE (ws, address) holds, and the branches of a context are a range
-- of that index; lists and subtrees show rows without a branch alone. `conflicts` has what waits
-- in the head, as JSON; NULL when nothing does.
ALTER TABLE context ADD COLUMN branch TEXT;
ALTER TABLE context ADD COLUMN conflicts TEXT;

-- A branch has a parent, and is no child of it.
DROP INDEX context_parent;
CREATE INDEX context_parent ON context (ws, parent) WHERE parent IS NOT NULL AND branch IS NULL;

-- Conflicts, waiting and ended. The append that wrote a row last held the records from first_seq
-- to last_seq: one of them is the last that tells of it.
CREATE TABLE conflict (
    ws INTEGER NOT NULL,
    id TEXT NOT NULL,
    address TEXT NOT NULL,
    branch TEXT,
    state TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (ws, id)
) STRICT;
-- One for each form of query, so that a page costs a page, however many have ended.
CREATE INDEX conflict_open ON conflict (ws, id) WHERE state = 'open';
CREATE INDEX conflict_context ON conflict (ws, address, id);
CREATE INDEX conflict_context_open ON conflict (ws, address, id) WHERE state = 'open';
