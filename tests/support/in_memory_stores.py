"""Gives tests a shop and a cache in memory, in place of PostgreSQL and Redis.

Both pass the contract tests of the real stores (``tests/contract``).
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TypeVar

from serve_app.arrays.ragged import offsets_of
from serve_app.database.records import ItemRow, UserRow
from serve_app.domain.interactions import MAX_EVENTS, Events, latest
from serve_app.domain.item_changes import Changes, ItemChange
from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Moment
from serve_app.stores.server_identity import IDENTITY_BYTES

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class InMemoryShop:
    """Answers as a ``ShopReader`` does, from mappings.

    Attributes:
        events: each user's events, oldest first.
        failure: every method raises it when it is given.
        changed: changes of items, in the order of their revisions.
        forgotten: hashes of users; they are named at each look.
    """

    users: Mapping[str, UserRow] = field(default_factory=dict)
    shelves: Mapping[str, ItemRow] = field(default_factory=dict)
    events: Mapping[str, Events] = field(default_factory=dict)
    max_events_per_user: int = MAX_EVENTS
    failure: StoreUnavailable | None = None
    changed: list[ItemChange] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)

    def of_shop(self, shop_id: str) -> "InMemoryShop":
        return self

    async def user_features(self, ids: Sequence[str]) -> Mapping[str, UserRow]:
        return self._pick(self.users, ids)

    async def items(self, ids: Sequence[str]) -> Mapping[str, ItemRow]:
        return self._pick(self.shelves, ids)

    async def histories(
        self, user_ids: Sequence[str], types: tuple[int, ...]
    ) -> Mapping[str, Events]:
        limit = self.max_events_per_user
        return {
            user: events[latest(events, offsets_of([len(events)]), limit, types)]
            for user, events in self._pick(self.events, user_ids).items()
        }

    async def changes(self, since: int) -> Changes:
        if self.failure is not None:
            raise self.failure
        latest = {item.row: item for item in self.changed if item.revision > since}
        items = sorted(latest.values(), key=lambda item: item.revision)
        last = max((item.revision for item in items), default=since)
        return Changes(last, items, self.forgotten)

    def _pick(self, rows: Mapping[str, Row], ids: Sequence[str]) -> dict[str, Row]:
        if self.failure is not None:
            raise self.failure
        return {wanted: rows[wanted] for wanted in ids if wanted in rows}


class InMemoryCache:
    """Answers as a ``Cache`` does, in one process.

    Attributes:
        server: identity of the Redis that it stands for.
    """

    def __init__(
        self, clock: Callable[[], float], server: bytes | None = bytes(IDENTITY_BYTES)
    ) -> None:
        """``clock`` gives seconds from a fixed moment."""
        self._clock = clock
        self.server = server
        self._values: dict[str, tuple[bytes, float]] = {}
        self._space = ""

    def of_shop(self, shop_id: str) -> "InMemoryCache":
        view = copy(self)  # It shares the values.
        view._space = shop_id and f"{shop_id}:"
        return view

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._get(key) for key in keys]

    async def read(self, keys: Sequence[str]) -> Moment:
        return Moment(self.server, await self.get_many(keys))

    async def set_absent(self, values: Mapping[str, bytes], ttl_s: float) -> list[bytes | None]:
        self._put({k: value for k, value in values.items() if self._get(k) is None}, ttl_s)
        return [self._get(key) for key in values]

    async def set_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        self._put(values, ttl_s)

    def _put(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        until = self._clock() + ttl_s
        self._values.update({self._space + key: (value, until) for key, value in values.items()})

    async def remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._values.pop(self._space + key, None)

    async def keys(self, prefix: str) -> list[str]:
        names = [
            key.removeprefix(self._space) for key in self._values if key.startswith(self._space)
        ]
        return [name for name in names if name.startswith(prefix) and self._get(name) is not None]

    def _get(self, key: str) -> bytes | None:
        value, until = self._values.get(self._space + key, (None, 0.0))
        return value if self._clock() < until else None
