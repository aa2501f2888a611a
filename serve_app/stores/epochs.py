"""What is cached holds until the next load or fit: it carries the epoch in which it was read.

To empty the cache would not be enough: who read the shop before a load writes back what he read
after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serve_app.domain.scoring.model_features import DAY_S
from serve_app.stores.cache import Cache

EPOCH_BYTES = 16

_KEY = "recserve:epoch"
_TTL_S = 3_650 * DAY_S
_BEFORE_ANY = bytes(EPOCH_BYTES)


@dataclass(frozen=True, slots=True)
class Current:
    """
    Attributes:
        epoch: to be put on what is computed from what is read from now on.
        values: one per key, ``None`` where there is none of this epoch.
    """

    epoch: bytes
    values: list[bytes | None]


async def read_current(cache: Cache, keys: Sequence[str]) -> Current:
    """
    One round trip.

    Raises:
        StoreUnavailable: no answer.
    """
    epoch, *found = await cache.get_many([_KEY, *keys])
    epoch = epoch or _BEFORE_ANY
    return Current(epoch, [_holding(epoch, value) for value in found])


def of_epoch(epoch: bytes, values: Mapping[str, bytes]) -> dict[str, bytes]:
    """The values as they are to be written; computed from what was read after ``epoch`` was."""
    return {key: epoch + value for key, value in values.items()}


async def begin_epoch(cache: Cache, epoch: bytes) -> None:
    """
    From now on, nothing holds that was cached before.

    Args:
        epoch: ``EPOCH_BYTES`` at random.

    Raises:
        StoreUnavailable: no answer.
    """
    await cache.set_many({_KEY: epoch}, _TTL_S)


def _holding(epoch: bytes, value: bytes | None) -> bytes | None:
    return None if value is None or not value.startswith(epoch) else value[EPOCH_BYTES:]
