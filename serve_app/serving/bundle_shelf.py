"""Keeps the opened bundles of a process, and what each stage prepares from them."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from serve_app.background import ChangeLogger, repeat
from serve_app.bundles.bundle import Bundle, current_version, open_bundle
from serve_app.bundles.roots import CURRENT, BundleLocation
from serve_app.errors import BundleError, StageFailed, StoreUnavailable

Prepared = TypeVar("Prepared")

_logger = logging.getLogger("ray.serve.recserve.bundles")

POLL_S = 2.0
"""Seconds between two checks of the current version."""

N_KEPT = 2
"""The current version and the one before it, which batches under way still need."""

# Weak: a bundle is closed as soon as no stage holds it any more.
_in_use: WeakValueDictionary[tuple[BundleLocation, str], Bundle] = WeakValueDictionary()
_opening = Lock()


def _shared(location: BundleLocation, version: str) -> Bundle:
    """Opens a bundle, or finds the opened one: all stages of the process share it."""
    # Stages open versions in threads: without the lock, two threads could open one version twice.
    # A lock of threads, because no event loop runs in them.
    with _opening:
        bundle = _in_use.get((location, version))
        if bundle is None:
            bundle = open_bundle(location.root, version, cache_dir=location.cache_dir)
            _in_use[location, version] = bundle
        return bundle


class BundleShelf(Generic[Prepared]):
    """Opens each version once, in a thread: when it becomes current, or when a batch needs it."""

    def __init__(
        self, location: BundleLocation, stage: str, prepare: Callable[[Bundle], Prepared]
    ) -> None:
        """``prepare`` computes what the stage works with from a bundle. It runs in a thread."""
        self._location = location
        self._stage = stage
        self._prepare = prepare
        self._opened: OrderedDict[str, asyncio.Task[Prepared]] = OrderedDict()
        self._following: asyncio.Task[None] | None = None
        # Every batch and every poll finds the fault of a bad version again: it is logged once.
        self._problems = ChangeLogger(_logger.warning)

    async def at(self, version: str) -> Prepared:
        """Prepares the version if nobody has; raises StageFailed if it cannot be opened."""
        self.follow()
        task = self._opened.get(version)
        if task is None:
            # The task is stored before anything is awaited: later batches wait for this one.
            task = asyncio.create_task(asyncio.to_thread(self._open, version))
            self._opened[version] = task
            # May drop a version that is still being opened: its callers hold the task themselves.
            while len(self._opened) > N_KEPT:
                self._opened.popitem(last=False)
        self._opened.move_to_end(version)
        try:
            # Shielded: a batch that is cancelled must not stop the opening for the others.
            prepared = await asyncio.shield(task)
        except (BundleError, StoreUnavailable, OSError) as error:
            # Forgotten, so that the next batch tries again: the fault may be repaired. A late
            # waiter may drop a newer attempt, which costs one more opening.
            self._opened.pop(version, None)
            self._problems.log(
                version, f"{self._stage}: bundle {version} cannot be opened: {error}"
            )
            raise StageFailed(self._stage, type(error).__name__) from error
        self._problems.resolved(version)
        return prepared

    async def current(self) -> str | None:
        """Reads the version that is published as current; ``None`` before the first.

        Raises:
            StageFailed: the root cannot be read.
        """
        try:
            return await asyncio.to_thread(current_version, self._location.root)
        except (BundleError, StoreUnavailable, OSError) as error:
            raise StageFailed(self._stage, type(error).__name__) from error

    def follow(self) -> None:
        """Starts to open versions as soon as they are current. Needs a running event loop."""
        if self._following is None:
            self._following = asyncio.create_task(repeat(self._open_current, POLL_S))

    def _open(self, version: str) -> Prepared:
        return self._prepare(_shared(self._location, version))

    async def _open_current(self) -> None:
        try:
            version = await self.current()
        except StageFailed as failure:
            self._problems.log(CURRENT, f"the current bundle is not opened: {failure.__cause__}")
            return
        self._problems.resolved(CURRENT)
        if version is not None:
            # ``at`` has already logged the reason.
            with suppress(StageFailed):
                await self.at(version)
