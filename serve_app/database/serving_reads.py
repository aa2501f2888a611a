"""Reads users, items and histories from PostgreSQL within deadlines, for the serving side."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any, LiteralString, Self

import numpy as np
import psycopg
from psycopg import sql
from pydantic import Field

from serve_app.database.connecting import Connector, ShopIdentities
from serve_app.database.connection_pool import AsyncConnection, ConnectionPool
from serve_app.database.detached import DetachedCalls
from serve_app.database.failures import FAILURES, reason_of
from serve_app.database.histories import histories_statement, unpack
from serve_app.database.item_feed import READ_CHANGES, READ_KINDS, changes_of, parameters_since
from serve_app.database.records import ItemRow, UserRow, shortest_float32
from serve_app.domain.interactions import MAX_EVENTS, Events
from serve_app.domain.item_changes import Changes
from serve_app.domain.settings import Settings
from serve_app.errors import StoreUnavailable
from serve_app.reachability import Reachability


class PostgresConfig(Settings):
    """Limits with which the serving side reads PostgreSQL."""

    pool_size: int = Field(
        default=2,
        ge=1,
        description="Most connections of a process that reads PostgreSQL. It keeps one, and opens"
        " others on demand.",
    )
    timeout_s: float = Field(
        default=0.2,
        ge=0.001,
        description="Longest wait in seconds for a query, including the wait for a connection. Also"
        " the server's `statement_timeout`.",
    )
    connect_timeout_s: float = Field(
        default=1.5,
        gt=0,
        description="Longest wait in seconds for a new connection to one address of the server.",
    )
    reconnect_pause_s: float = Field(
        default=0.25,
        gt=0,
        description="Seconds between attempts to connect while the server is down.",
    )
    max_waiting: int = Field(
        default=64, ge=1, description="Queries that may wait for a connection; more fail at once."
    )
    max_events_per_user: int = Field(
        default=MAX_EVENTS,
        ge=1,
        description="Latest events of a history. The last purchase of every other item is kept"
        " too, and so is the last counted interaction.",
    )


_Query = LiteralString | sql.Composed

_USERS: LiteralString = """
SELECT user_id, total_purchases, avg_rating, num_ratings, n_items, n_categories, avg_price,
  std_price, n_active_days, date_part('epoch', first_at), date_part('epoch', last_at),
  date_part('epoch', created_at)
FROM user_features WHERE user_id = ANY(%s)
"""

_ITEMS: LiteralString = """
SELECT item_id, title, category, price, tags, in_stock, avg_rating, num_ratings, attributes
FROM item_features WHERE item_id = ANY(%s)
"""


class ShopReader:
    """Users, items and histories by id, from PostgreSQL.

    An id that is absent from a result is unknown (or, in ``histories``, did nothing yet): that is
    normal. Ids may repeat and may be any text. Every method raises ``StoreUnavailable`` when there
    is no answer in time, or when the database is not that of the shop that is asked for.

    Connections open with the first query, because they belong to the event loop that runs then.
    A server that comes back is found at once, however long it was away.
    """

    def __init__(self, url: str, config: PostgresConfig) -> None:
        self._config = config
        self._calls = DetachedCalls()
        # By kind of read: a lock or a missing right may stop one of them alone.
        self._reachability: dict[str, Reachability] = defaultdict(Reachability)
        self._probes: dict[str, Callable[[], Awaitable[object]]] = {}
        self._connector = Connector(
            url, attempt_timeout_s=config.connect_timeout_s, statement_timeout_s=config.timeout_s
        )
        self._shop_id = ""
        self._identities = ShopIdentities()
        self._pool = ConnectionPool(
            self._connector.connect,
            size=config.pool_size,
            max_waiting=config.max_waiting,
            pause_s=config.reconnect_pause_s,
        )

    def of_shop(self, shop_id: str) -> Self:
        """The database of one shop, over the same connections.

        Reads fail with ``another_shop`` where the database is not that of the shop. An empty id
        stands for bundles that name no shop, and fits every database.
        """
        view = copy(self)
        view._shop_id = shop_id
        return view

    async def user_features(self, ids: Sequence[str]) -> Mapping[str, UserRow]:
        """Numbers of the users, NaN where unknown."""
        rows = await self._fetch("users", _USERS, _storable(ids))
        return {user_id: _finite(numbers) for user_id, *numbers in rows}

    async def items(self, ids: Sequence[str]) -> Mapping[str, ItemRow]:
        """Items as they are shown."""
        rows = await self._fetch("items", _ITEMS, _storable(ids))
        return {
            item_id: ItemRow(
                title, category, price, tuple(tags), in_stock, shortest_float32(rating), *others
            )
            for item_id, title, category, price, tags, in_stock, rating, *others in rows
        }

    async def histories(
        self, user_ids: Sequence[str], types: tuple[int, ...]
    ) -> Mapping[str, Events]:
        """Events of each user, oldest first, as ``domain.interactions.latest`` keeps them.

        Args:
            types: see ``kept_types``.
        """
        limit = self._config.max_events_per_user
        statement = histories_statement(types)
        rows = await self._fetch("histories", statement, _storable(user_ids), limit)
        return {user_id: unpack(sent) for user_id, sent in rows}

    async def changes(self, since: int) -> Changes:
        """Changes after a revision, the oldest first, at most ``item_feed.PAGE`` of them."""
        parameters = parameters_since(since)
        rows = await self._read("changes", READ_CHANGES, parameters, parameters)
        # Read after the items: a kind that changes their values was remembered before them.
        has_attributes = any(row[-1] for row in rows)
        kinds = await self._read("changes", READ_KINDS, (), ()) if has_attributes else []
        return changes_of(rows, dict(kinds), since)

    async def unreachable_s(self) -> float:
        """Seconds for which one kind of read was not answered, the longest of them.

        0 if the last read of every kind was answered, or is now.
        """
        for probe in list(self._probes.values()):
            with suppress(StoreUnavailable):
                await probe()
        return max((read.unreachable_s for read in self._reachability.values()), default=0.0)

    async def close(self) -> None:
        # First the abandoned queries: they hold connections.
        await self._calls.close()
        await self._pool.close()
        await self._connector.close()

    async def _fetch(
        self, kind: str, query: _Query, ids: Sequence[str], *others: object
    ) -> list[tuple[Any, ...]]:
        # The same read for nobody fails as all reads of its kind do, and not because of one user.
        return await self._read(kind, query, (ids, *others), ([], *others))

    async def _read(
        self, kind: str, query: _Query, parameters: Sequence[object], probing: Sequence[object]
    ) -> list[tuple[Any, ...]]:
        """Reads; after a failure, ``probing`` parameters find out when such reads succeed again."""
        call = self._run(query, parameters)
        try:
            rows = await self._calls.within(self._config.timeout_s, call)
        except (StoreUnavailable, *FAILURES) as error:
            self._reachability[kind].failed()
            self._probes[kind] = partial(self._read, kind, query, probing, probing)
            raise StoreUnavailable("postgres", reason_of(error)) from error
        self._reachability[kind].answered()
        self._probes.pop(kind, None)
        return rows

    async def _run(self, query: _Query, parameters: Sequence[object]) -> list[Any]:
        async def ask(conn: AsyncConnection) -> list[Any]:
            if self._shop_id:
                # Tables of a build without identities belong to any shop.
                with suppress(psycopg.errors.UndefinedTable):
                    await self._identities.check(conn, "", self._shop_id)
            return await _ask(conn, query, parameters)

        return await self._pool.run(ask)


async def _ask(conn: AsyncConnection, query: _Query, parameters: Sequence[object]) -> list[Any]:
    async with conn.cursor(binary=True) as cursor:
        await cursor.execute(query, parameters)
        return await cursor.fetchall()


def _finite(numbers: Sequence[float | None]) -> UserRow:
    """Infinite ones, such as the time 'infinity', are as unknown as null."""
    row = np.array(numbers, np.float64)
    row[np.isinf(row)] = np.nan
    return row


def _storable(ids: Sequence[str]) -> list[str]:
    """Distinct ids without a NUL: PostgreSQL holds none with one, and would refuse the batch."""
    return [id_ for id_ in dict.fromkeys(ids) if "\0" not in id_]
