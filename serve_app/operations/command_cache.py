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


def use_cache(url: str, use: Callable[[Cache], Coroutine[Any, Any, Result]]) -> Result:
    """Opens the cache, runs ``use`` in an event loop of its own, and closes the cache.

    Raises:
        StoreUnavailable: Redis does not answer.
    """

    async def run() -> Result:
        cache = Cache(url, COMMAND_REDIS)
        try:
            return await use(cache)
        finally:
            await cache.close()

    return asyncio.run(run())


def begin_new_epoch(redis_url: str) -> None:
    """Begins a new epoch of the cache: all cached values expire.

    Raises:
        SettingsInvalid: Redis does not answer. The new data are in use, but old cached values are
            served until they expire.
    """
    epoch = secrets.token_bytes(EPOCH_BYTES)
    try:
        use_cache(redis_url, lambda cache: begin_epoch(cache, epoch))
    except StoreUnavailable as failure:
        raise SettingsInvalid("REDIS_URL", f"cached values do not expire: {failure}") from failure
