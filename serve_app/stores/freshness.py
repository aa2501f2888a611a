"""Makes changes visible: ends the epochs of users and items that changed.

Every cached value of a user or an item carries the epoch of this owner (``stores.epochs``). To end
an epoch is to remove it. The next reader draws another at random, hence no value that was read
before counts again. Removing needs no memory, and leaves nothing behind for users who never ask.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context

from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache
from serve_app.stores.epochs import EPOCH_BYTES, begin_epoch, item_epoch, user_epoch

_logger = logging.getLogger("ray.serve.recserve.stores")

PAUSE_S = 0.5
"""Pause before epochs are removed again. Reads that were under way have written by then, with the
default time limits of the stores."""

MAX_REMEMBERED = 100_000
"""Owners that are remembered while Redis is away. More of them end the epoch of the shop."""

_PER_COMMAND = 1_000


async def make_visible(cache: Cache, user_ids: Iterable[str]) -> bool:
    """Ends what is cached of users; call it between the commit and the acknowledgement.

    Args:
        cache: of the shop that the users belong to.

    Returns:
        Whether Redis has done it. If not, ``Freshness`` tries again, and this function does not.
    """
    return await _is_done(_remove, cache, [user_epoch(user_id) for user_id in user_ids])


async def make_items_visible(cache: Cache, item_ids: Iterable[str]) -> bool:
    """Ends the cached metadata of items, as ``make_visible`` does for users."""
    return await _is_done(_remove, cache, [item_epoch(item_id) for item_id in item_ids])


class Freshness:
    """Makes changes visible; what Redis does not answer is repeated until it does.

    A process that ends takes along what it has still to repeat. Values of these owners then count
    until their epochs expire, ``CacheTtls.epoch_s`` after they were drawn.
    """

    def __init__(self, cache: Cache, pause_s: float = PAUSE_S) -> None:
        """``cache`` is that of the shop."""
        self._cache = cache
        self._pause_s = pause_s
        self._pending: set[str] = set()
        self._ends_all = False
        self._task: asyncio.Task[None] | None = None

    async def make_visible(self, user_ids: Iterable[str]) -> bool:
        """Ends what is cached of users; call it between the commit and the acknowledgement.

        Returns:
            Whether it has happened: the acknowledgement may say ``now``. If not, it happens as
            soon as Redis answers, and at the latest when the epochs expire.
        """
        return await self._end([user_epoch(user_id) for user_id in user_ids])

    async def make_items_visible(self, item_ids: Iterable[str]) -> bool:
        """Ends the cached metadata of items, as ``make_visible`` does for users."""
        return await self._end([item_epoch(item_id) for item_id in item_ids])

    async def forget(self, user_id: str, keys: Iterable[str]) -> bool:
        """Removes values of a user, and ends all others; returns as ``make_visible``.

        They are removed once more after a pause. A read that was under way may have written what it
        found: it does not count, but it must not stay in Redis either.
        """
        owned = [user_epoch(user_id), *keys]
        is_done = await self._end(owned)
        self._repeat_later(owned)
        return is_done

    async def wait_repeated(self) -> None:
        """Waits until nothing is to be repeated."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """Stops repeating; what is pending is forgotten."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _end(self, epochs: Sequence[str]) -> bool:
        if await _is_done(_remove, self._cache, epochs):
            return True
        _logger.warning("changes of %d owners are not visible: Redis does not answer", len(epochs))
        self._repeat_later(epochs)
        return False

    def _repeat_later(self, epochs: Iterable[str]) -> None:
        self._remember(epochs)
        if self._task is None or self._task.done():
            # Use an empty context. Serve cancels what was started in the context of a cancelled
            # request, and the request that failed first is not the only one that waits.
            self._task = asyncio.create_task(self._repeat(), context=Context())

    def _remember(self, epochs: Iterable[str]) -> None:
        self._pending.update(epochs)
        if len(self._pending) > MAX_REMEMBERED:
            self._pending.clear()
            self._ends_all = True

    async def _repeat(self) -> None:
        while self._pending or self._ends_all:
            await asyncio.sleep(self._pause_s)
            # Taken out before the command is sent. An owner that changes again meanwhile is
            # remembered anew, because this command may run before the new commit.
            pending, ends_all = self._pending, self._ends_all
            self._pending, self._ends_all = set(), False
            if ends_all and not await _is_done(_end_all, self._cache, ()):
                self._ends_all = True
            if not await _is_done(_remove, self._cache, tuple(pending)):
                self._remember(pending)
        _logger.info("nothing that Redis has to forget is left")


async def _is_done(
    act: Callable[[Cache, Sequence[str]], Awaitable[None]], cache: Cache, epochs: Sequence[str]
) -> bool:
    try:
        # A bundle that names no shop has a key space of its own, and may be the served one.
        await asyncio.gather(*(act(space, epochs) for space in (cache, cache.of_shop(""))))
    except StoreUnavailable:
        return False
    return True


async def _remove(cache: Cache, epochs: Sequence[str]) -> None:
    for at in range(0, len(epochs), _PER_COMMAND):
        await cache.remove(epochs[at : at + _PER_COMMAND])


async def _end_all(cache: Cache, _: Sequence[str]) -> None:
    await begin_epoch(cache, secrets.token_bytes(EPOCH_BYTES))
