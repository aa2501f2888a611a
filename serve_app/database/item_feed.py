"""Reads what changed in a shop after a revision: items, and users who were forgotten.

Revisions commit in their order (``migrations/0004_live_catalogue.sql``). Therefore a reader that
asks for later revisions than the last one it saw never misses a change, whoever wrote it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import numpy as np

from serve_app.database.schema import Connection
from serve_app.domain.item_changes import Changes, ItemChange

PAGE = 1_000
"""Changes that one query reads at most: it has to end within the time of a read."""

# One statement, hence one snapshot: no revision of one table hides an earlier one of the other.
READ_CHANGES: LiteralString = """
SELECT revision, user_hash, item_row, item_id, coalesce(title, item_id), category, price, tags,
  in_stock, date_part('epoch', created_at), withdrawn_at IS NULL, attributes
FROM (
  (SELECT revision, NULL::bigint AS user_hash, item_row, item_id, title, category, price, tags,
    in_stock, created_at, withdrawn_at, attributes
  FROM item_features WHERE revision > %s ORDER BY revision LIMIT %s)
  UNION ALL
  (SELECT revision, user_hash, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM forgotten_users WHERE revision > %s ORDER BY revision LIMIT %s)
) AS changed
ORDER BY revision LIMIT %s
"""

READ_KINDS: LiteralString = "SELECT name, kind FROM recserve_attributes WHERE of_table = 'items'"


def parameters_since(revision: int) -> Sequence[int]:
    """Parameters of ``READ_CHANGES``."""
    return (revision, PAGE, revision, PAGE, PAGE)


def changes_of(rows: Sequence[Sequence[Any]], kinds: Mapping[str, str], since: int) -> Changes:
    """The changes that ``READ_CHANGES`` has read after a revision."""
    items = [_item(row) for row in rows if row[1] is None]
    # PostgreSQL has no unsigned numbers: hashes are stored as if they were signed.
    hashes = np.array([row[1] for row in rows if row[1] is not None], np.int64).view(np.uint64)
    return Changes(
        revision=int(rows[-1][0]) if rows else since,
        items=items,
        forgotten=hashes.tolist(),
        kinds=kinds,
        is_complete=len(rows) < PAGE,
    )


def _item(row: Sequence[Any]) -> ItemChange:
    revision, _, item_row, item_id, title, category, price, tags, *others = row
    in_stock, created_at, is_listed, attributes = others
    return ItemChange(
        revision,
        item_row,
        item_id,
        title,
        category,
        _finite(price),
        tuple(tag for tag in tags if tag is not None),
        in_stock,
        _finite(created_at),
        is_listed,
        attributes if isinstance(attributes, dict) else {},
    )


def _finite(number: float | None) -> float | None:
    """Infinite ones, such as the time 'infinity', are as unknown as null."""
    return number if number is not None and np.isfinite(number) else None


def last_revision(conn: Connection) -> int:
    """The last revision that the transaction of a connection sees; 0 before the first change."""
    row = conn.execute("""
        SELECT greatest((SELECT max(revision) FROM item_features),
          (SELECT max(revision) FROM forgotten_users), 0)
    """).fetchone()
    return int(row[0]) if row else 0
