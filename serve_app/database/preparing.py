"""Prepares the database for a command that writes, or says at once why it cannot be written to."""

from collections.abc import Sequence
from typing import LiteralString

from serve_app.database.schema import Connection, ensure_schema
from serve_app.errors import SettingsInvalid

Right = tuple[str, str]
"""A table, and what the command does to it."""

LOAD_RIGHTS: Sequence[Right] = [
    (table, right)
    for table in ("item_features", "user_features", "interactions", "recserve_attributes")
    for right in ("INSERT", "UPDATE")
]
FIT_RIGHTS: Sequence[Right] = [
    ("item_features", "UPDATE"),
    ("user_features", "INSERT"),
    ("user_features", "UPDATE"),
]

_IS_READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on'"

_LACKING: LiteralString = """
SELECT format('GRANT %%s ON %%s TO %%s', needed.privilege, needed.name, current_user)
FROM unnest(%s::text[], %s::text[]) AS needed (name, privilege)
WHERE NOT has_table_privilege(needed.name, needed.privilege)
"""


def prepare_to_write(conn: Connection, rights: Sequence[Right]) -> None:
    """Brings the tables up to date, and checks that this role may write to them.

    A fit would otherwise work for minutes before it meets the refusal.

    Raises:
        SettingsInvalid: the server is read-only, or the role lacks a right.
        SchemaMismatch: a newer version is there than this build knows.
    """
    if conn.execute(_IS_READ_ONLY).fetchone() == (True,):
        raise SettingsInvalid("DATABASE_URL", "the server is read-only: name the primary")
    ensure_schema(conn)
    lacking = conn.execute(_LACKING, [list(part) for part in zip(*rights, strict=True)]).fetchall()
    if lacking:
        grants = "; ".join(grant for (grant,) in lacking)
        raise SettingsInvalid("DATABASE_URL", f"the role lacks rights: {grants}")
