"""Opens the cache for a command, and discards the cached values after a load or a fit."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from serve_app.errors import SettingsInvalid, StoreUnavailable
from serve_app.stores.cache import Cache, RedisConfig
from serve_app.stores.epochs import EPOCH_BYTES, begin_epoch

Result = TypeVar("Result")

COMMAND_REDIS = RedisConfig(timeout_s=5.0)
"""Requests give Redis milliseconds and do without it. A command has time and needs the answer."""


def use_cache(
    url: str,
    use: Callable[[Cache], Coroutine[Any, Any, Result]],
    settings: RedisConfig = COMMAND_REDIS,
) -> Result:
    """Opens the cache, runs ``use`` in an event loop of its own, and closes the cache.

    Raises:
        StoreUnavailable: Redis does not answer.
    """

    async def run() -> Result:
        cache = Cache(url, settings)
        try:
            return await use(cache)
        finally:
            await cache.close()

    return asyncio.run(run())


def begin_new_epoch(redis_url: str, shop_id: str) -> None:
    """Begins a new epoch of a shop's cache: all its cached values expire.

    Args:
        shop_id: of the database whose data changed.

    Raises:
        SettingsInvalid: Redis does not answer. The new data are in use, but old cached values are
            served until they expire.
    """
    epoch = secrets.token_bytes(EPOCH_BYTES)

    async def begin(cache: Cache) -> None:
        # The empty id, too: a bundle of an older build, which names no shop, may be in use.
        for shop in (shop_id, ""):
            await begin_epoch(cache.of_shop(shop), epoch)

    try:
        use_cache(redis_url, begin)
    except StoreUnavailable as failure:
        raise SettingsInvalid("REDIS_URL", f"cached values do not expire: {failure}") from failure
