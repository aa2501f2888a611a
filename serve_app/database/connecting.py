"""Opens connections to PostgreSQL for the serving side: bounded in time, one by one."""

import asyncio
import ipaddress
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, LiteralString
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import set_json_loads

from serve_app.background import SharedCall
from serve_app.database.connection_pool import AsyncConnection
from serve_app.database.detached import DetachedCalls
from serve_app.database.json_values import read_json
from serve_app.database.schema import SCHEMA_VERSION
from serve_app.errors import StoreUnavailable

Parameters = Mapping[str, Any]

_PORT = "5432"

_OPTIONS: Parameters = {
    # Without it every read would be a transaction of three round trips.
    "autocommit": True,
    "prepare_threshold": None,
    # Ids may be any text, whatever the client's environment says.
    "client_encoding": "utf8",
    # A server that vanished without closing the connection is noticed after two seconds.
    "keepalives_idle": 2,
    "tcp_user_timeout": 2_000,
}

# Not as options of the connection: poolers refuse those, and a read-only default would make
# ``target_session_attrs=read-write`` refuse every server. Behind a pooler the session is shared
# with other programs, and stays as it is; their backend has another number than the client knows.
_SETTLE: LiteralString = """
SELECT is_own, pg_is_in_recovery(),
  CASE WHEN is_own THEN set_config('statement_timeout', %s, false) END,
  CASE WHEN is_own THEN set_config('lock_timeout', %s, false) END,
  CASE WHEN is_own THEN set_config('default_transaction_read_only', %s, false) END
FROM (SELECT pg_backend_pid() = %s AS is_own) AS backend
"""


class ShopIdentities:
    """Knows, by connection, the shop whose data the database holds, in tables of this build.

    Each connection is asked once: a name may point to another server's database by now.
    """

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[AsyncConnection, str] = WeakKeyDictionary()

    async def check(self, conn: AsyncConnection, *allowed: str) -> str:
        """Returns the identity; it is empty where the database names none.

        Args:
            allowed: none of them allows any identity.

        Raises:
            StoreUnavailable: it is not one of those that are allowed, or the tables are older than
                this build, or newer by more than one version.
            UndefinedTable: a build without identities made the tables.
        """
        found = self._found.get(conn)
        if found is None:
            found = self._found[conn] = await _shop_of(conn)
        if allowed and found not in allowed:
            # Asked again: the right data may be restored into this database.
            del self._found[conn]
            raise StoreUnavailable("postgres", "another_shop")
        return found


async def _shop_of(conn: AsyncConnection) -> str:
    cursor = await conn.execute(
        "SELECT coalesce(max(version), 0), (SELECT shop_id::text FROM recserve_shop)"
        " FROM recserve_schema"
    )
    [(version, shop_id)] = await cursor.fetchall()
    # The next build migrates the tables while this one still serves, and takes nothing away that
    # this one uses. The build after that may.
    if version > SCHEMA_VERSION + 1:
        raise StoreUnavailable("postgres", "newer_schema")
    if version < SCHEMA_VERSION:
        raise StoreUnavailable("postgres", "older_schema")
    return shop_id or ""


class Connector:
    """Opens connections to one URL. It may name several hosts; the first that answers counts."""

    def __init__(
        self,
        url: str,
        *,
        attempt_timeout_s: float,
        statement_timeout_s: float,
        lock_timeout_s: float | None = None,
    ) -> None:
        """
        Args:
            attempt_timeout_s: for one address.
            statement_timeout_s: the limit that the server gets, unless a pooler is in between.
            lock_timeout_s: the same for waits for a lock. Given, the connections can write; without
                it, they only read.
        """
        self._attempt_timeout_s = attempt_timeout_s
        self._statement_timeout = f"{statement_timeout_s * 1e3:.0f}ms"
        self._lock_timeout = f"{(lock_timeout_s or 0) * 1e3:.0f}ms"
        self._writes = lock_timeout_s is not None
        self._calls = DetachedCalls()
        # A look-up holds a thread until DNS gives up.
        self._lookup = SharedCall(lambda: addresses_of(conninfo_to_dict(url)))

    async def connect(self) -> AsyncConnection:
        """
        Raises:
            psycopg.Error, OSError, UnicodeError: no address answers as it should.
            StoreUnavailable: the database cannot hold every text, or cannot be written to.
        """
        failures: list[Exception] = []
        for address in await asyncio.wait_for(self._lookup.result(), self._attempt_timeout_s):
            try:
                return await self._attempt(address)
            except (psycopg.Error, OSError, StoreUnavailable) as error:
                failures.append(error)
        raise failures[-1]

    async def close(self) -> None:
        """Waits until every abandoned attempt has ended."""
        self._lookup.cancel()
        await self._calls.close()

    async def _attempt(self, address: Parameters) -> AsyncConnection:
        attempt = _Attempt()
        try:
            await self._calls.within(self._attempt_timeout_s, self._open(address, attempt))
        except BaseException:
            attempt.abandon()
            raise
        assert attempt.conn is not None
        return attempt.conn

    async def _open(self, address: Parameters, attempt: "_Attempt") -> None:
        conn = await psycopg.AsyncConnection.connect(**{**address, **_OPTIONS})
        try:
            _check_encoding(conn)
            await self._settle(conn)
            set_json_loads(_read_json, conn)
        except BaseException:
            conn.pgconn.finish()
            raise
        attempt.succeed(conn)

    async def _settle(self, conn: AsyncConnection) -> None:
        read_only = "off" if self._writes else "on"
        limits = (self._statement_timeout, self._lock_timeout, read_only)
        row = await (await conn.execute(_SETTLE, (*limits, conn.info.backend_pid))).fetchone()
        assert row is not None, "the statement gives one row"
        is_own, is_standby, *_ = row
        if is_standby and self._writes:
            # The next address may be that of the primary.
            raise StoreUnavailable("postgres", "standby")
        if is_own:
            # There are few statements, so each is worth preparing when it is first repeated.
            # Behind a pooler the next server would not know the prepared one.
            conn.prepare_threshold = 1


@dataclass(slots=True)
class _Attempt:
    """Closes a connection that opens in the moment in which its caller gives up."""

    conn: AsyncConnection | None = None
    is_abandoned: bool = False

    def succeed(self, conn: AsyncConnection) -> None:
        self.conn = conn
        if self.is_abandoned:
            conn.pgconn.finish()

    def abandon(self) -> None:
        self.is_abandoned = True
        if self.conn is not None:
            self.conn.pgconn.finish()


def _read_json(raw: bytes | str) -> Any:
    try:
        return read_json(raw)
    except ValueError as error:
        # Like a store that does not answer: the rows of the batch are then read one by one.
        raise StoreUnavailable("postgres", "unreadable_json") from error


def is_pooled(conn: AsyncConnection) -> bool:
    """Tells whether a pooler is between this process and the server."""
    return conn.prepare_threshold is None


def _check_encoding(conn: AsyncConnection) -> None:
    encoding = conn.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", None):
        # One id with a letter outside of it would fail the reads of its whole batch.
        raise StoreUnavailable("postgres", f"encoding_{encoding}")


async def addresses_of(parameters: Parameters) -> list[Parameters]:
    """The parameters for each address of each host, in order, or shuffled if the URL says so.

    Raises:
        OSError: DNS knows none of the hosts.
    """
    if parameters.get("hostaddr"):
        return [parameters]
    hosts = str(parameters.get("host") or "").split(",")
    ports = str(parameters.get("port") or "").split(",")
    found: list[Parameters] = []
    failures: list[OSError] = []
    for host, port in zip(hosts, cycle(ports) if len(ports) == 1 else ports, strict=False):
        try:
            found += [_at(parameters, *place, port) for place in await _resolve(host, port)]
        except OSError as error:
            failures.append(error)
    if not found:
        raise failures[-1]
    if parameters.get("load_balance_hosts") == "random":
        random.shuffle(found)
    return found


def _at(parameters: Parameters, host: str, address: str, port: str) -> Parameters:
    place = {"host": host, "hostaddr": address, "port": port}
    return {**parameters, **{key: value or None for key, value in place.items()}}


async def _resolve(host: str, port: str) -> Sequence[tuple[str, str]]:
    """The host with each of its addresses; sockets and numbers need no DNS."""
    if not host or host[0] in "/@" or _is_number(host):
        return [(host, "")]
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port or _PORT, type=socket.SOCK_STREAM
    )
    return [(host, str(place[4][0])) for place in found]


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
