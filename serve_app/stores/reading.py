"""Reads many things by id: from the cache, the rest from the shop, written back for the next."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache
from serve_app.stores.epochs import of_epoch, read_current

Value = TypeVar("Value")

_logger = logging.getLogger("ray.serve.recserve.stores")

_ABSENT = b""
"""Cached in place of a thing that the shop does not know, so that it is not asked for again."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[Value]):
    """
    One kind of cached thing.

    Attributes:
        prefix: of its keys in the cache; raise the number in it when the encoding changes.
        encode: to bytes, never empty.
        decode: back; raises ValueError for bytes that mean nothing.
        ttl_s: how long a value is kept.
        absent_ttl_s: how long it is remembered that there is none.
    """

    prefix: str
    encode: Callable[[Value], bytes]
    decode: Callable[[bytes], Value]
    ttl_s: float
    absent_ttl_s: float


@dataclass(frozen=True, slots=True)
class Found(Generic[Value]):
    """
    Attributes:
        values: of the ids that exist.
        unanswered: ids that no store could be asked for; the other absent ids do not exist.
    """

    values: Mapping[str, Value]
    unanswered: frozenset[str] = field(default_factory=frozenset)


class Reader(Generic[Value]):
    """Reads one kind of thing; while the cache is down, the shop is asked for all of it."""

    def __init__(
        self,
        kind: Kind[Value],
        cache: Cache,
        load: Callable[[Sequence[str]], Awaitable[Mapping[str, Value]]],
    ) -> None:
        self._kind = kind
        self._cache = cache
        self._load = load
        self._writes: set[asyncio.Task[None]] = set()

    async def read(self, ids: Sequence[str]) -> Found[Value]:
        """One round trip to the cache, and one to the shop for all that the cache lacks."""
        distinct = list(dict.fromkeys(ids))
        epoch, cached = await self._cached(distinct)
        values = {id_: value for id_, value in cached.items() if value is not None}
        missing = [id_ for id_ in distinct if id_ not in cached]
        if not missing:
            return Found(values)
        try:
            loaded = await self._load(missing)
        except StoreUnavailable as failure:
            _logger.warning("%s not loaded: %s", self._kind.prefix, failure)
            return Found(values, frozenset(missing))
        if epoch is not None:
            self._write_back(epoch, missing, loaded)
        return Found({**values, **loaded})

    async def settled(self) -> None:
        """Waits until everything read so far is written back."""
        await asyncio.gather(*self._writes)

    async def _cached(self, ids: Sequence[str]) -> tuple[bytes | None, dict[str, Value | None]]:
        """
        The epoch, ``None`` while the cache is down, and what is cached: a value, or ``None`` for a
        thing known not to exist.
        """
        try:
            current = await read_current(self._cache, [self._kind.prefix + id_ for id_ in ids])
        except StoreUnavailable as failure:
            _logger.warning("%s not read from the cache: %s", self._kind.prefix, failure)
            return None, {}
        return current.epoch, self._decoded(ids, current.values)

    def _decoded(self, ids: Sequence[str], raw: Sequence[bytes | None]) -> dict[str, Value | None]:
        known: dict[str, Value | None] = {}
        for id_, value in zip(ids, raw, strict=True):
            if value is None:
                continue
            try:
                known[id_] = None if value == _ABSENT else self._kind.decode(value)
            except ValueError as error:
                _logger.warning("%s: unreadable in the cache: %s", self._kind.prefix, error)
        return known

    def _write_back(self, epoch: bytes, asked: Sequence[str], loaded: Mapping[str, Value]) -> None:
        """Beside the answer: nobody waits for the cache to be filled."""
        task = asyncio.create_task(self._write(epoch, asked, loaded))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, epoch: bytes, asked: Sequence[str], loaded: Mapping[str, Value]) -> None:
        kind = self._kind
        present = {kind.prefix + id_: kind.encode(value) for id_, value in loaded.items()}
        absent = {kind.prefix + id_: _ABSENT for id_ in asked if id_ not in loaded}
        try:
            await self._cache.set_many(of_epoch(epoch, present), kind.ttl_s)
            await self._cache.set_many(of_epoch(epoch, absent), kind.absent_ttl_s)
        except StoreUnavailable as failure:
            _logger.warning("%s not written back: %s", kind.prefix, failure)
