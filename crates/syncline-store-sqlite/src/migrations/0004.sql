-- Texts of a line's records, compressed together: the body of a record in `log` may say that it is
-- one of them. `first` is the version of the first.
CREATE TABLE frame (
    frame INTEGER PRIMARY KEY,
    ctx INTEGER NOT NULL,
    first INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;

-- Up to which version a line's records were framed, or found not to be worth it.
ALTER TABLE context ADD COLUMN framed INTEGER NOT NULL DEFAULT 0;
