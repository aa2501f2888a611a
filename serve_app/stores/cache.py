"""What is quick to read and may be lost at any time."""

from collections.abc import Mapping, Sequence
from typing import Protocol

ANSWER_PREFIX = "recserve:answer:2:"
"""Of the keys under which answers are kept."""


class Cache(Protocol):
    """
    Bytes by key, each with a time to live.

    A key that is absent is normal. Values of one call are read and written in one round trip.
    """

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """
        The values of the keys, in their order; ``None`` where there is none.

        Raises:
            StoreUnavailable: no answer.
        """
        ...

    async def set_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        """
        Write all values; each is forgotten ``ttl_s`` seconds later.

        Raises:
            StoreUnavailable: no answer; some values may have been written.
        """
        ...

    async def keys(self, prefix: str) -> list[str]:
        """
        All keys that start with ``prefix``, in no order. Slow: walks the whole cache.

        Raises:
            StoreUnavailable: no answer.
        """
        ...


class InMemoryCache:
    """The same in one process; ``clock`` returns seconds."""

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._values: dict[str, tuple[bytes, float]] = {}

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._get(key) for key in keys]

    async def set_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        until = self._clock() + ttl_s
        self._values.update({key: (value, until) for key, value in values.items()})

    async def keys(self, prefix: str) -> list[str]:
        return [
            key for key in self._values if key.startswith(prefix) and self._get(key) is not None
        ]

    def _get(self, key: str) -> bytes | None:
        value, until = self._values.get(key, (None, 0.0))
        return value if self._clock() < until else None


class Clock(Protocol):
    """Seconds since some fixed moment."""

    def __call__(self) -> float: ...
