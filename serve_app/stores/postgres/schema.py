"""Connects the offline side to PostgreSQL, and creates and checks its tables."""

from importlib.resources import files

import psycopg
from psycopg.rows import TupleRow

from serve_app.domain.interactions import PURCHASE
from serve_app.errors import SchemaMismatch, SettingsInvalid

SCHEMA_VERSION = 1

Connection = psycopg.Connection[TupleRow]

_LOCK = 0x7265_6373  # "recs": the key of the advisory lock under which tables are created
_CONNECT_TIMEOUT_S = 5


def connect(url: str) -> Connection:
    """Opens a connection in autocommit mode: each ``conn.transaction()`` block commits by itself.

    Raises:
        SettingsInvalid: no such server or database, or the URL cannot be read.
    """
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
    except psycopg.ProgrammingError as error:
        # The driver's message would repeat the URL, and with it the password.
        reason = "must be a URL of the form postgresql://user:password@host:port/database"
        raise SettingsInvalid("DATABASE_URL", reason) from error
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SettingsInvalid("DATABASE_URL", reason) from error


def ensure_schema(conn: Connection) -> None:
    """Creates the tables if there are none; several callers at once are fine.

    Raises:
        SchemaMismatch: another version is there.
        SettingsInvalid: the database holds tables of another application with these names.
    """
    with conn.transaction():
        # CREATE TABLE IF NOT EXISTS is no substitute: two callers at once could both create.
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if schema_version(conn) is None:
            _create_tables(conn)
        check_schema(conn)


def check_schema(conn: Connection) -> None:
    """Checks the tables; raises SchemaMismatch if they are missing or of another version."""
    found = schema_version(conn)
    if found != SCHEMA_VERSION:
        raise SchemaMismatch(SCHEMA_VERSION, found)


def schema_version(conn: Connection) -> int | None:
    """The version of the tables that are there, ``None`` when there are none."""
    exists = conn.execute("SELECT to_regclass('recserve_schema') IS NOT NULL").fetchone()
    if exists is None or not exists[0]:
        return None
    row = conn.execute("SELECT max(version) FROM recserve_schema").fetchone()
    return None if row is None else row[0]


def _create_tables(conn: Connection) -> None:
    statements = files("serve_app.stores.postgres").joinpath("schema.sql").read_bytes()
    try:
        # The client puts the parameters into the text: the server takes none in DDL, nor in
        # several statements at once.
        parameters = {"version": SCHEMA_VERSION, "purchase": PURCHASE}
        psycopg.ClientCursor(conn).execute(statements, parameters)
    except psycopg.errors.DuplicateTable as error:
        reason = f"holds a table of another application: {error.diag.message_primary}"
        raise SettingsInvalid("DATABASE_URL", reason) from error
