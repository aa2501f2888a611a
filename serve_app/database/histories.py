"""Asks PostgreSQL for histories by the rule of ``domain.interactions.latest``."""

from functools import cache
from typing import LiteralString

import numpy as np
from psycopg import sql

from serve_app.domain.interactions import MAX_ENDING_EVENTS, Events, are_usable, make_events

# A whole history is one value, not a row per event.
_HISTORIES: LiteralString = """
SELECT wanted.user_id, string_agg(
  int4send(item_row) || float4send(coalesce(value, 'NaN')) || int2send(type)
    || float8send(date_part('epoch', at)), '' ORDER BY at, event_id)
FROM unnest(%s::text[]) AS wanted (user_id) CROSS JOIN LATERAL (
  (SELECT event_id, item_row, value, type, at FROM interactions AS i
    WHERE i.user_id = wanted.user_id ORDER BY at DESC, event_id DESC LIMIT %s)
  {of_types}
) AS done
GROUP BY wanted.user_id
"""

# Codes of types are constants in the text: with a parameter, a prepared statement would be planned
# without knowing how rare a type is. The limit bounds what is read of any user.
_OF_TYPE: LiteralString = """
UNION
(SELECT DISTINCT ON (item_row) event_id, item_row, value, type, at FROM (
  SELECT event_id, item_row, value, type, at FROM interactions AS i
  WHERE i.user_id = wanted.user_id AND type = {type}
  ORDER BY at DESC, event_id DESC LIMIT {limit}) AS ending
ORDER BY item_row, at DESC, event_id DESC)
"""

_SENT = np.dtype([("row", ">i4"), ("value", ">f4"), ("type", ">i2"), ("at", ">f8")])
"""An event as the statement packs it."""


NO_TYPE = 255
"""A code that no type has."""


@cache
def histories_statement(types: tuple[int, ...]) -> sql.Composed:
    """The statement for some ``kept_types``; its parameters are ids and the number of events."""
    of_types = [sql.SQL(_OF_TYPE).format(type=code, limit=MAX_ENDING_EVENTS) for code in types]
    return sql.SQL(_HISTORIES).format(of_types=sql.SQL("").join(of_types))


def unpack(sent: bytes) -> Events:
    """The events of one user, oldest first."""
    rows = np.frombuffer(sent, _SENT)
    # A negative code would wrap around to a known one.
    types = np.where(rows["type"] < 0, NO_TYPE, np.minimum(rows["type"], NO_TYPE))
    events = make_events(rows["row"], types, rows["at"], rows["value"])
    usable = are_usable(events)
    return events if usable.all() else events[usable]
