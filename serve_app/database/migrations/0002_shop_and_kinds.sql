-- The identity of the shop: bundles and caches that were made from another database carry another.
CREATE TABLE recserve_shop (shop_id uuid NOT NULL);
CREATE UNIQUE INDEX recserve_shop_is_one_row ON recserve_shop ((true));
INSERT INTO recserve_shop VALUES (gen_random_uuid());

-- The kind of each column that a shop added: number, flag, list or text. It outlives its file.
CREATE TABLE recserve_attributes (
  of_table text NOT NULL CHECK (of_table IN ('items', 'users')),
  name text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('number', 'flag', 'list', 'text')),
  PRIMARY KEY (of_table, name)
);

-- As the catalogue reads them: values of several types are a text.
INSERT INTO recserve_attributes
SELECT of_table, name, CASE
    WHEN bool_and(type = 'number') THEN 'number'
    WHEN bool_and(type = 'boolean') THEN 'flag'
    WHEN bool_and(type = 'array') THEN 'list'
    ELSE 'text'
  END
FROM (
  SELECT 'items' AS of_table, key AS name, jsonb_typeof(value) AS type
  FROM item_features, jsonb_each(attributes)
  UNION ALL
  SELECT 'users', key, jsonb_typeof(value) FROM user_features, jsonb_each(attributes)
) AS stored
WHERE type <> 'null'
GROUP BY of_table, name;

-- A load takes the next numbers itself. A sequence would not give them back after a failed load.
ALTER TABLE item_features ALTER item_row DROP IDENTITY;

-- The last events of any type that ends an item, however long ago they were.
CREATE INDEX interactions_by_type ON interactions (user_id, type, at DESC);
DROP INDEX interactions_purchases;
