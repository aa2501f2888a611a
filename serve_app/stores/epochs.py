"""Tells which cached values count: each carries a stamp of the state in which it was read.

A stamp is the identity of the Redis server, the epoch of the shop, and the epoch of the value's
owner, a user or an item. Epochs are random bytes in Redis. A load or a fit ends the epoch of the
shop, a change ends those of its owners (``stores.freshness``). A value of another stamp counts as
absent. Emptying the cache would not be enough: a process that read PostgreSQL before a change can
write the old value back after it. ``docs/decisions/0018-the-freshness-law.md`` has the argument.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from zlib import crc32

from serve_app.arrays.units import DAY_S
from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache
from serve_app.stores.server_identity import IDENTITY_BYTES

_logger = logging.getLogger("ray.serve.recserve.stores")

EPOCH_BYTES = 16
STAMP_BYTES = IDENTITY_BYTES + 2 * EPOCH_BYTES
_CHECKSUM_BYTES = 4
_CONTENT_AT = STAMP_BYTES + _CHECKSUM_BYTES

_SHOP, _USER, _ITEM = "epoch", "epoch:user:", "epoch:item:"
# Ten years: an end of this epoch costs all that is cached of a shop.
_SHOP_S = 3_650 * DAY_S


def user_epoch(user_id: str) -> str:
    """Key of a user's epoch."""
    return _USER + user_id


def item_epoch(item_id: str) -> str:
    """Key of an item's epoch."""
    return _ITEM + item_id


@dataclass(frozen=True, slots=True)
class CurrentValues:
    """Cached values that count, and the stamps for those that do not.

    Attributes:
        stamps: one per key, for values that are computed from what is read from now on; ``None``
            if such a value must not be cached.
        values: one per key, ``None`` for keys without a value that counts.
    """

    stamps: list[bytes | None]
    values: list[bytes | None]


async def read_current_values(
    cache: Cache, owners: Sequence[str], keys: Sequence[str], epoch_s: float
) -> CurrentValues:
    """Reads values and what they are checked against, in one round trip; draws absent epochs.

    PostgreSQL must be read after it, never before: a stamp may be older than the data that it
    goes with, and never newer.

    Args:
        owners: one per key: the key of the epoch of the value's owner.
        epoch_s: seconds after which a new epoch of an owner expires.

    Raises:
        StoreUnavailable: no answer.
    """
    # One command, hence one moment.
    moment = await cache.read([_SHOP, *owners, *keys])
    if moment.server is None:
        # The server may be another one than a moment ago, with data of any age.
        return CurrentValues([None] * len(keys), [None] * len(keys))
    shop, *epochs = moment.values[: 1 + len(owners)]
    stamps = _stamps(moment.server, shop, epochs)
    # Against the epochs of this moment alone. If Redis restarts with old data before the draw
    # below, the draw finds the epoch that an old value carries.
    values = [
        _content(stamp, value)
        for stamp, value in zip(stamps, moment.values[1 + len(owners) :], strict=True)
    ]
    if None in stamps:
        shop, epochs = await _complete(cache, shop, owners, epochs, epoch_s)
        stamps = _stamps(moment.server, shop, epochs)
    return CurrentValues(stamps, values)


def with_stamp(stamp: bytes, content: bytes) -> bytes:
    """A value in the form in which it is cached.

    Args:
        stamp: read before the content was computed, never after: it dates the content.
    """
    return stamp + _checksum(content) + content


async def begin_epoch(cache: Cache, epoch: bytes) -> None:
    """Begins an epoch of the shop: nothing counts that was cached before.

    Args:
        epoch: ``EPOCH_BYTES`` at random. A counter could repeat after Redis lost it.

    Raises:
        StoreUnavailable: no answer.
    """
    await cache.set_many({_SHOP: epoch}, _SHOP_S)


async def _complete(
    cache: Cache,
    shop: bytes | None,
    owners: Sequence[str],
    epochs: list[bytes | None],
    epoch_s: float,
) -> tuple[bytes | None, list[bytes | None]]:
    """Draws the epochs that are absent. Absence is never a stamp: it comes back after a loss."""
    absent = {owner for owner, epoch in zip(owners, epochs, strict=True) if epoch is None}
    try:
        if shop is None:
            [shop] = await cache.set_absent({_SHOP: secrets.token_bytes(EPOCH_BYTES)}, _SHOP_S)
        drawn = await _draw(cache, sorted(absent), epoch_s)
    except StoreUnavailable as failure:
        # Values of other owners count nevertheless: a Redis without memory answers reads.
        _logger.warning("%d epochs are not drawn: %s", len(absent), failure)
        return shop, epochs
    return shop, [
        drawn[owner] if epoch is None else epoch
        for owner, epoch in zip(owners, epochs, strict=True)
    ]


async def _draw(cache: Cache, owners: Sequence[str], epoch_s: float) -> Mapping[str, bytes | None]:
    if not owners:
        return {}
    epochs = {owner: secrets.token_bytes(EPOCH_BYTES) for owner in owners}
    # Read back: another reader may have drawn one first.
    return dict(zip(owners, await cache.set_absent(epochs, epoch_s), strict=True))


def _stamps(
    server: bytes, shop: bytes | None, epochs: Sequence[bytes | None]
) -> list[bytes | None]:
    if shop is None:
        return [None] * len(epochs)
    state = server + _of_one_length(shop)
    return [None if epoch is None else state + _of_one_length(epoch) for epoch in epochs]


def _of_one_length(epoch: bytes) -> bytes:
    # Whatever another program or build wrote there: a value is cut at a fixed place.
    if len(epoch) == EPOCH_BYTES:
        return epoch
    return blake2b(epoch, digest_size=EPOCH_BYTES).digest()


def _content(stamp: bytes | None, value: bytes | None) -> bytes | None:
    if stamp is None or value is None or not value.startswith(stamp):
        return None
    content = value[_CONTENT_AT:]
    # A damaged value counts as absent: decoded, it could fail the batch it is read in.
    return content if value[STAMP_BYTES:_CONTENT_AT] == _checksum(content) else None


def _checksum(content: bytes) -> bytes:
    return crc32(content).to_bytes(_CHECKSUM_BYTES, "big")
