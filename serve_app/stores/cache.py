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
