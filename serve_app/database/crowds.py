"""Finds user ids that stand for many people, such as that of guests or of walk-in customers."""

from collections.abc import Iterator, Sequence
from typing import LiteralString

from serve_app.database.schema import Connection
from serve_app.domain.interactions import MAX_ENDING_EVENTS

_STORED: LiteralString = "SELECT user_id FROM user_features WHERE n_items > %(n)s ORDER BY 1"

# Distinct items are counted for the few users with enough rows only: that sorts.
_STAGED: LiteralString = """
WITH busy AS (
  SELECT user_id FROM staged_interactions GROUP BY user_id HAVING count(*) > %(n)s)
SELECT user_id FROM staged_interactions JOIN busy USING (user_id)
GROUP BY user_id HAVING count(DISTINCT item_id) > %(n)s ORDER BY 1
"""


def stored_crowds(conn: Connection) -> list[str]:
    """Users with more items than serving reads of anybody, as the last fit counted them."""
    return _users(conn, _STORED)


def staged_crowds(conn: Connection) -> list[str]:
    """Such users of the file that is being loaded, and of the last fit."""
    return sorted({*_users(conn, _STAGED), *stored_crowds(conn)})


def _users(conn: Connection, query: LiteralString) -> list[str]:
    return [user_id for (user_id,) in conn.execute(query, {"n": MAX_ENDING_EVENTS})]


_N_SHOWN = 3


def crowds_in_words(user_ids: Sequence[str]) -> Iterator[str]:
    """Names users who look like a guest or walk-in account."""
    if user_ids:
        shown = ", ".join(map(repr, user_ids[:_N_SHOWN]))
        more = f" and {len(user_ids) - _N_SHOWN} more" if len(user_ids) > _N_SHOWN else ""
        yield (
            f"more than {MAX_ENDING_EVENTS} items each: {shown}{more}. If such an id stands for"
            " guests or walk-in customers, load each visit under an id of its own"
        )
