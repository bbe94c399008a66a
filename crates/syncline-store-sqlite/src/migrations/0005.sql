-- What a change id stands for has a sum of its own, since no record vouches for it. Older rows have none.
ALTER TABLE change_id ADD COLUMN sum BLOB;
