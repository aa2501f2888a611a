-- The answer that led to an interaction, and the item's position in it. Null where nobody said.
-- Builds of version 2 do not name these columns, so they read and write beside this version.
ALTER TABLE interactions ADD COLUMN request_id text, ADD COLUMN position int;
