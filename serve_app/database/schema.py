"""Connects the offline side to PostgreSQL, and creates and checks its tables."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from serve_app.errors import DatabaseFailed, SchemaMismatch, SettingsInvalid


def _migrations() -> tuple[bytes, ...]:
    """Statements of ``migrations/*.sql``, in the order of the numbers in their names."""
    folder = files("serve_app.database").joinpath("migrations")
    scripts = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return tuple(file.read_bytes() for file in scripts)


MIGRATIONS = _migrations()
"""The n-th one turns tables of version n - 1 into tables of version n."""

SCHEMA_VERSION = len(MIGRATIONS)

Connection = psycopg.Connection[TupleRow]

_LOCK = 0x7265_6373  # "recs": the key of the advisory lock under which tables change
_LOAD_LOCK = 0x7265_636C  # "recl": held by the one load that writes
_FIT_LOCK = 0x7265_6366  # "recf": held by the one fit of a shop
_CONNECT_TIMEOUT_S = 5

WRONG_ENCODING = "the encoding of the database is {}: create it with ENCODING 'UTF8'"


@contextmanager
def connect(url: str, doing: str = "the command") -> Iterator[Connection]:
    """Yields a connection in autocommit mode: each ``conn.transaction()`` block commits by itself.

    Args:
        doing: what is done with it, for the message of a failure.

    Raises:
        SettingsInvalid: no such server or database, the URL cannot be read, or the database cannot
            hold every text.
        DatabaseFailed: the server ended the work or the connection.
    """
    with _opened(url) as conn, saying_failures(doing):
        encoding = conn.info.parameter_status("server_encoding")
        if encoding not in ("UTF8", None):
            raise SettingsInvalid("DATABASE_URL", WRONG_ENCODING.format(encoding))
        yield conn


def _opened(url: str) -> Connection:
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            # Ids may be any text, whatever the client's environment says.
            client_encoding="utf8",
        )
    except psycopg.ProgrammingError as error:
        # The driver's message would repeat the URL, and with it the password.
        reason = "must be a URL of the form postgresql://user:password@host:port/database"
        raise SettingsInvalid("DATABASE_URL", reason) from error
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SettingsInvalid("DATABASE_URL", reason) from error


def ensure_schema(conn: Connection, migrations: Sequence[bytes] = MIGRATIONS) -> None:
    """Creates the tables, or brings those of an older build up to date; the data stay.

    Several callers at once are fine. A migration that fails leaves the database as it was.

    Raises:
        SchemaMismatch: a newer version is there than this build knows.
        SettingsInvalid: the database holds tables of another application with these names.
    """
    with conn.transaction():
        # CREATE TABLE IF NOT EXISTS is no substitute: two callers at once could both create.
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = schema_version(conn) or 0
        for version, statements in enumerate(migrations[found:], start=found + 1):
            _apply(conn, version, statements)
        if found > len(migrations):
            raise SchemaMismatch(len(migrations), found)


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


def lock_loads(conn: Connection, wait: Callable[[], None]) -> None:
    """Lets one load write at a time, until the end of the transaction.

    Two loads that lock the tables in different orders would stop each other for ever.

    Args:
        wait: is called before a wait for another load.
    """
    _lock(conn, _LOAD_LOCK, wait)


@contextmanager
def only_fit(url: str, wait: Callable[[], None]) -> Iterator[None]:
    """Lets one fit of the shop run at a time, on any machine.

    Args:
        wait: is called before a wait for another fit.

    Raises:
        DatabaseFailed: the server ended the connection.
    """
    # A transaction of its own connection. A pooler between would keep a lock of the session, and
    # later fits would wait for ever.
    with connect(url, "the fit") as conn, conn.transaction():
        conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        _lock(conn, _FIT_LOCK, wait)
        yield


def _lock(conn: Connection, key: int, wait: Callable[[], None]) -> None:
    got = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchone()
    if got is None or not got[0]:
        wait()
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (key,))


_SERVER_FAILURES = (
    psycopg.OperationalError,
    psycopg.errors.DataCorrupted,
    psycopg.errors.IndexCorrupted,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.ReadOnlySqlTransaction,
)


@contextmanager
def one_snapshot(conn: Connection) -> Iterator[None]:
    """Lets all reads of a block see the database at one moment."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextmanager
def saying_failures(doing: str) -> Iterator[None]:
    """Turns a failure of the server, such as a full disk, into one sentence.

    Errors of statements keep their traceback: they are bugs.

    Raises:
        DatabaseFailed: the server ended the work or the connection.
    """
    try:
        yield
    except _SERVER_FAILURES as error:
        reason = error.diag.message_primary or " ".join(str(error).split())
        raise DatabaseFailed(doing, reason or type(error).__name__) from error


def shop_id(conn: Connection) -> UUID:
    """The identity of the shop whose data the database holds.

    Raises:
        SchemaMismatch: the tables are missing or of another version.
    """
    check_schema(conn)
    row = conn.execute("SELECT shop_id FROM recserve_shop").fetchone()
    assert row is not None, "the table holds one row"
    found: UUID = row[0]
    return found


def _apply(conn: Connection, version: int, statements: bytes) -> None:
    try:
        conn.execute(statements)
    except psycopg.errors.DuplicateTable as error:
        reason = f"holds a table of another application: {error.diag.message_primary}"
        raise SettingsInvalid("DATABASE_URL", reason) from error
    conn.execute("INSERT INTO recserve_schema VALUES (%s)", (version,))
