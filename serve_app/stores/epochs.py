"""Invalidates all cached values at once: each carries the epoch in which it was read.

Every load and every fit begins an epoch, and values of another epoch count as absent. Emptying the
cache would not be enough: a process that read PostgreSQL before a load can write the old value
back after the load.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from zlib import crc32

from serve_app.arrays.units import DAY_S
from serve_app.stores.cache import Cache

EPOCH_BYTES = 16
_CHECKSUM_BYTES = 4
_CONTENT_AT = EPOCH_BYTES + _CHECKSUM_BYTES

_KEY = "epoch"
_USER, _ITEM = "epoch:user:", "epoch:item:"
# Ten years. The epoch must outlive all that was cached before it: without one, the values that were
# cached before the first epoch would count again.
_TTL_S = 3_650 * DAY_S
_BEFORE_ANY = bytes(EPOCH_BYTES)


def user_epoch(user_id: str) -> str:
    """Key of a user's epoch."""
    return _USER + user_id


def item_epoch(item_id: str) -> str:
    """Key of an item's epoch."""
    return _ITEM + item_id


@dataclass(frozen=True, slots=True)
class CurrentValues:
    """The epoch, and the cached values that belong to it.

    Attributes:
        epoch: goes on every value that is computed from what is read from now on.
        values: one per key, ``None`` for keys that have no value of this epoch.
    """

    epoch: bytes
    values: list[bytes | None]


async def read_current_values(cache: Cache, keys: Sequence[str]) -> CurrentValues:
    """Reads the epoch and the values in one round trip; raises StoreUnavailable."""
    # One command, hence one moment. PostgreSQL is read after it, so that no value ever carries an
    # epoch that is newer than the data it was computed from.
    epoch, *values = await cache.get_many([_KEY, *keys])
    epoch = _of_one_length(epoch)
    return CurrentValues(epoch, [_without_epoch(epoch, value) for value in values])


def with_epoch(epoch: bytes, values: Mapping[str, bytes]) -> dict[str, bytes]:
    """The values in the form in which they are cached.

    Args:
        epoch: read before the values were computed, never after: it dates them.
    """
    return {key: epoch + _checksum(value) + value for key, value in values.items()}


async def begin_epoch(cache: Cache, epoch: bytes) -> None:
    """Invalidates everything that was cached before.

    Args:
        epoch: ``EPOCH_BYTES`` at random. A counter could repeat after Redis lost it.

    Raises:
        StoreUnavailable: no answer.
    """
    await cache.set_many({_KEY: epoch}, _TTL_S)


def _of_one_length(epoch: bytes | None) -> bytes:
    # Whatever another program or build wrote there: a value is cut at a fixed place.
    if epoch is None or len(epoch) == EPOCH_BYTES:
        return epoch or _BEFORE_ANY
    return blake2b(epoch, digest_size=EPOCH_BYTES).digest()


def _without_epoch(epoch: bytes, value: bytes | None) -> bytes | None:
    if value is None or not value.startswith(epoch):
        return None
    content = value[_CONTENT_AT:]
    # A damaged value counts as absent: decoded, it could fail the batch it is read in.
    return content if value[EPOCH_BYTES:_CONTENT_AT] == _checksum(content) else None


def _checksum(content: bytes) -> bytes:
    return crc32(content).to_bytes(_CHECKSUM_BYTES, "big")
