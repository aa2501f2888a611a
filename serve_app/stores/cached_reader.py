"""Reads values by id from the cache, the rest from PostgreSQL, and writes the rest back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache
from serve_app.stores.epochs import read_current_values, with_stamp
from serve_app.stores.reads_apart import ReadResult, ReadsApart

Value = TypeVar("Value")

_logger = logging.getLogger("ray.serve.recserve.stores")

WRITE_BACK = "write back"
"""Name of the tasks that write to the cache beside an answer."""

_ABSENT = b""
"""Cached for ids that PostgreSQL does not know, so that it is not asked for them again."""


@dataclass(frozen=True, slots=True)
class CachedKind(Generic[Value]):
    """One kind of cached value.

    Attributes:
        prefix: of its keys in the cache; raise the number in it when the encoding changes.
        epoch_of: key of the epoch of an id, which ends with each change of it.
        encode: to bytes, never empty.
        decode: the inverse; raises ValueError for bytes of another form.
        ttl_s: how long a value is kept.
        absent_ttl_s: how long it is remembered that an id is unknown.
        epoch_s: how long an epoch that is drawn here is kept.
    """

    prefix: str
    epoch_of: Callable[[str], str]
    encode: Callable[[Value], bytes]
    decode: Callable[[bytes], Value]
    ttl_s: float
    absent_ttl_s: float
    epoch_s: float


class CachedReader(Generic[Value]):
    """Reads one kind of value; while the cache is down, everything comes from PostgreSQL."""

    def __init__(
        self,
        kind: CachedKind[Value],
        cache: Cache,
        load: Callable[[Sequence[str]], Awaitable[Mapping[str, Value]]],
    ) -> None:
        """``load`` reads values from PostgreSQL; unknown ids are absent from its result."""
        self._kind = kind
        self._cache = cache
        self._missing = ReadsApart(load)
        self._writes: set[asyncio.Task[None]] = set()

    async def read(self, ids: Sequence[str]) -> ReadResult[Value]:
        """Reads the cache once, and PostgreSQL for all that the cache lacks."""
        distinct = list(dict.fromkeys(ids))
        stamps, cached = await self._read_cached(distinct)
        values = {id_: value for id_, value in cached.items() if value is not None}
        missing = [id_ for id_ in distinct if id_ not in cached]
        if not missing:
            return ReadResult(values)
        loaded = await self._missing.read(missing)
        if loaded.unanswered:
            _logger.warning("%s: %d ids not loaded", self._kind.prefix, len(loaded.unanswered))
        # Without a stamp nothing is written back. The cache was down: if it has recovered since,
        # a change may have ended the epoch that these values belong to.
        answered = {
            id_: stamps[id_] for id_ in missing if id_ in stamps and id_ not in loaded.unanswered
        }
        if answered:
            self._write_back(answered, loaded.values)
        return ReadResult({**values, **loaded.values}, loaded.unanswered)

    async def wait_written(self) -> None:
        """Waits until everything that was read is written back."""
        await asyncio.gather(*self._writes)

    async def _read_cached(
        self, ids: Sequence[str]
    ) -> tuple[dict[str, bytes], dict[str, Value | None]]:
        """Stamps for what is read from now on, without those that are unknown; and the cached
        values (``None`` for ids that are known not to exist)."""
        kind = self._kind
        owners, keys = [kind.epoch_of(id_) for id_ in ids], [kind.prefix + id_ for id_ in ids]
        try:
            current = await read_current_values(self._cache, owners, keys, kind.epoch_s)
        except StoreUnavailable as failure:
            _logger.warning("%s not read from the cache: %s", kind.prefix, failure)
            return {}, {}
        stamps = {id_: stamp for id_, stamp in zip(ids, current.stamps, strict=True) if stamp}
        return stamps, self._decode(ids, current.values)

    def _decode(self, ids: Sequence[str], raw: Sequence[bytes | None]) -> dict[str, Value | None]:
        known: dict[str, Value | None] = {}
        for id_, value in zip(ids, raw, strict=True):
            if value is None:
                continue
            try:
                known[id_] = None if value == _ABSENT else self._kind.decode(value)
            except ValueError as error:
                # Another build wrote it. It is read from PostgreSQL and overwritten, like a miss.
                _logger.warning("%s: unreadable in the cache: %s", self._kind.prefix, error)
        return known

    def _write_back(self, stamps: Mapping[str, bytes], loaded: Mapping[str, Value]) -> None:
        # A task beside the answer, which must not wait for the cache. The event loop holds tasks
        # weakly: the set keeps this one from being collected before it ends.
        task = asyncio.create_task(self._write(stamps, loaded), name=WRITE_BACK)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, stamps: Mapping[str, bytes], loaded: Mapping[str, Value]) -> None:
        kind = self._kind
        present: dict[str, bytes] = {}
        absent: dict[str, bytes] = {}
        for id_, stamp in stamps.items():
            if id_ in loaded:
                present[kind.prefix + id_] = with_stamp(stamp, kind.encode(loaded[id_]))
            else:
                absent[kind.prefix + id_] = with_stamp(stamp, _ABSENT)
        try:
            await self._cache.set_many(present, kind.ttl_s)
            await self._cache.set_many(absent, kind.absent_ttl_s)
        except StoreUnavailable as failure:
            _logger.warning("%s not written back: %s", kind.prefix, failure)
