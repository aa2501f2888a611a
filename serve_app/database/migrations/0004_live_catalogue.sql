-- Numbers the changes that serving follows between two fits: of items, and of forgotten users.
CREATE SEQUENCE recserve_revision;

-- Revision 0: every fit from now on knows the items that are here.
ALTER TABLE item_features
  ADD COLUMN revision bigint NOT NULL DEFAULT 0,
  ADD COLUMN withdrawn_at timestamptz;
CREATE INDEX item_features_by_revision ON item_features (revision);

-- Users whose data were deleted, as the index of the archive knows them: 64 bits of a hash of the
-- id, never the id. Archives of earlier fits do not answer for them.
CREATE TABLE forgotten_users (
  user_hash bigint PRIMARY KEY,
  revision bigint NOT NULL,
  forgotten_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX forgotten_users_by_revision ON forgotten_users (revision);

-- The lock stays until the transaction ends, so revisions become visible in their order. Without
-- it, a reader that has seen revision 8 could miss revision 7, which commits later.
CREATE FUNCTION recserve_lock_revisions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1919247222);
  RETURN NULL;
END $$;

CREATE FUNCTION recserve_next_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1919247222);
  NEW.revision := nextval('recserve_revision');
  RETURN NEW;
END $$;

-- Before the first row is locked: two updates that lock rows first, and this lock second, could
-- wait for each other for ever. Columns that a fit writes are not named: a fit takes no lock.
CREATE TRIGGER item_features_lock
  BEFORE UPDATE OF item_id, title, category, price, tags, in_stock, attributes, created_at,
    withdrawn_at ON item_features
  FOR EACH STATEMENT EXECUTE FUNCTION recserve_lock_revisions();

CREATE TRIGGER item_features_changed
  BEFORE UPDATE OF item_id, title, category, price, tags, in_stock, attributes, created_at,
    withdrawn_at ON item_features
  FOR EACH ROW WHEN (
    ROW(OLD.item_id, OLD.title, OLD.category, OLD.price, OLD.tags, OLD.in_stock, OLD.attributes,
      OLD.created_at, OLD.withdrawn_at)
    IS DISTINCT FROM
    ROW(NEW.item_id, NEW.title, NEW.category, NEW.price, NEW.tags, NEW.in_stock, NEW.attributes,
      NEW.created_at, NEW.withdrawn_at))
  EXECUTE FUNCTION recserve_next_revision();

CREATE TRIGGER item_features_added BEFORE INSERT ON item_features
  FOR EACH ROW EXECUTE FUNCTION recserve_next_revision();

CREATE TRIGGER forgotten_users_numbered BEFORE INSERT OR UPDATE ON forgotten_users
  FOR EACH ROW EXECUTE FUNCTION recserve_next_revision();
