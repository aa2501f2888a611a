"""Keeps the opened bundles of a process, and what each stage prepares from them."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from serve_app.background import ChangeLogger, RepeatedStep
from serve_app.bundles.bundle import Bundle
from serve_app.bundles.roots import CURRENT, BundleLocation
from serve_app.bundles.serving_order import ServingOrder, current_order, earlier_order
from serve_app.bundles.shared_bundles import shared_bundle
from serve_app.errors import (
    BundleError,
    FingerprintMismatch,
    ModelsUnusable,
    NoBundleOpens,
    StageFailed,
    StageTimedOut,
    StoreUnavailable,
)

Prepared = TypeVar("Prepared")

_logger = logging.getLogger("ray.serve.recserve.bundles")

POLL_S = 2.0
"""Seconds between two checks of the current version."""

N_KEPT = 2
"""The current version and the one before it, which batches under way still need."""

LONGEST_PAUSE_S = 60.0
"""A version that cannot be opened is tried again after a pause, which doubles up to this."""

N_FAILED = 16
"""Versions whose faults are remembered."""

HOLDS_S = 1.0
"""Longest time for the answer whether a version is open."""

JOIN_S = 20.0
"""Seconds for which a new replica tries again to open a bundle, before it gives up."""

OPENING_S = 600.0
"""Longest time for the first opening in a new replica, the copy of a remote bundle included."""

_EXPECTED = (BundleError, StoreUnavailable, OSError)
_LACKING = (FingerprintMismatch, ModelsUnusable)


@dataclass(frozen=True, slots=True)
class Served(Generic[Prepared]):
    """Holds the version to serve.

    Attributes:
        is_whole: the version has a usable model of every variant.
        faults: sentences that say why it is not the current version, or what it lacks.
    """

    version: str
    prepared: Prepared
    is_whole: bool
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Failure:
    # Text instead of the error: its traceback would keep the half-opened arrays in memory.
    reason: str
    message: str
    is_lacking: bool
    n: int
    until_s: float


class BundleShelf(Generic[Prepared]):
    """Opens each version once, in a thread: when it is to be served, or when a batch needs it."""

    def __init__(
        self,
        location: BundleLocation,
        stage: str,
        prepare: Callable[[Bundle], Prepared],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``prepare`` computes what the stage works with from a bundle. It runs in a thread."""
        self._location = location
        self._stage = stage
        self._prepare = prepare
        self._clock = clock
        self._opened: OrderedDict[str, asyncio.Task[Prepared]] = OrderedDict()
        self._failed: OrderedDict[str, _Failure] = OrderedDict()
        self._repeated = RepeatedStep(self._open_next)
        self._has_joined = False
        # True if versions could be opened, had they a usable model.
        self._lacks_models = False
        # Every batch and every poll finds the fault of a bad version again: it is logged once.
        self._problems = ChangeLogger(_logger.warning)

    async def at(self, version: str) -> Prepared:
        """The prepared version; opens it if necessary.

        Raises:
            StageFailed: it cannot be opened, or could not a moment ago.
        """
        self.follow()
        failure = self._failed.get(version)
        if failure is not None and self._clock() < failure.until_s:
            raise StageFailed(self._stage, failure.reason)
        task = self._task_of(version)
        try:
            # Shielded: a batch that is cancelled must not stop the opening for the others.
            prepared = await asyncio.shield(task)
        # Any error, such as MemoryError: none may stay for ever, because the cause may pass.
        except Exception as error:
            if self._opened.get(version) is task:
                self._note(version, error)
            raise StageFailed(self._stage, type(error).__name__) from error
        self._failed.pop(version, None)
        self._problems.resolved(version)
        return prepared

    async def holds(self, version: str) -> bool:
        """Tells whether a version is open. If it is not, its opening starts.

        A version without a usable model of this stage counts as open: there is nothing to wait for.
        """
        try:
            async with asyncio.timeout(HOLDS_S):
                await self.at(version)
        except TimeoutError:
            return False
        except StageFailed:
            failure = self._failed.get(version)
            return failure is not None and failure.is_lacking
        return True

    async def to_serve(self) -> Served[Prepared] | None:
        """Opens the version to serve (``bundles.serving_order``); ``None`` if there is none yet.

        Raises:
            NoBundleOpens: versions were promoted, but none of them can be opened.
            StageFailed: the root cannot be read.
        """
        order = await self._read(current_order)
        faults = [*order.faults]
        if served := await self._first(order.whole, faults, is_whole=True):
            return served
        earlier = await self._read(earlier_order)
        faults += earlier.faults
        if served := await self._first(earlier.whole, faults, is_whole=True):
            return served
        lacking = (*order.lacking, *earlier.lacking)
        if served := await self._first(lacking, faults, is_whole=False):
            return served
        if faults:
            self._lacks_models = bool(lacking)
            raise NoBundleOpens(self._location.root, "; ".join(dict.fromkeys(faults)))
        return None

    async def join(self) -> None:
        """Waits until the version to serve is open. A new replica takes no request before.

        Returns at once if it was open before, or if nothing was ever promoted. A stage whose model
        is missing joins without one: its requests are degraded, and those of other variants not.

        Raises:
            NoBundleOpens, StageFailed: nothing can be opened within ``JOIN_S``.
        """
        if not self._has_joined:
            try:
                async with asyncio.timeout(OPENING_S):
                    await self._join()
            except TimeoutError as error:
                raise StageTimedOut(self._stage, OPENING_S) from error
            self._has_joined = True

    def follow(self) -> None:
        """Starts to open versions as soon as they are to be served; needs a running event loop."""
        self._repeated.start(POLL_S)

    async def _join(self) -> None:
        gives_up_s = self._clock() + JOIN_S
        while True:
            try:
                await self.to_serve()
                return
            except (NoBundleOpens, StageFailed):
                if self._lacks_models:
                    return
                if self._clock() > gives_up_s:
                    raise
            await asyncio.sleep(POLL_S)

    async def _read(self, order: Callable[[str, Sequence[str]], ServingOrder]) -> ServingOrder:
        location = self._location
        try:
            return await asyncio.to_thread(order, location.root, location.variants)
        except _EXPECTED as error:
            raise StageFailed(self._stage, type(error).__name__) from error

    async def _first(
        self, versions: Iterable[str], faults: list[str], *, is_whole: bool
    ) -> Served[Prepared] | None:
        """Opens the first version that can be opened; appends why the others cannot."""
        for version in versions:
            try:
                prepared = await self.at(version)
            except StageFailed as failure:
                noted = self._failed.get(version)
                faults.append(noted.message if noted else str(failure))
            else:
                # A promotion between both reads names one fault twice.
                return Served(version, prepared, is_whole, tuple(dict.fromkeys(faults)))
        return None

    def _task_of(self, version: str) -> "asyncio.Task[Prepared]":
        task = self._opened.get(version)
        if task is None:
            # The task is stored before anything is awaited: later batches wait for this one.
            task = asyncio.create_task(asyncio.to_thread(self._open, version))
            self._opened[version] = task
            while len(self._opened) > N_KEPT:
                self._opened.popitem(last=False)
        self._opened.move_to_end(version)
        return task

    def _open(self, version: str) -> Prepared:
        return self._prepare(shared_bundle(self._location, version))

    def _note(self, version: str, error: Exception) -> None:
        """Forget a failed opening, and allow the next one after a pause."""
        del self._opened[version]
        before = self._failed.pop(version, None)
        n = before.n + 1 if before else 0
        message = str(error) if isinstance(error, _EXPECTED) else f"{version}: {error!r}"
        pause_s = min(POLL_S * 2**n, LONGEST_PAUSE_S)
        self._failed[version] = _Failure(
            type(error).__name__, message, isinstance(error, _LACKING), n, self._clock() + pause_s
        )
        if len(self._failed) > N_FAILED:
            self._failed.popitem(last=False)
        said = f"{self._stage}: bundle {version} cannot be opened: {message}"
        if isinstance(error, _EXPECTED):
            self._problems.log(version, said)
        else:
            _logger.error(said, exc_info=error)

    async def _open_next(self) -> None:
        try:
            await self.to_serve()
        except (NoBundleOpens, StageFailed) as failure:
            said = f"{self._stage}: no bundle is opened: {failure.__cause__ or failure}"
            self._problems.log(CURRENT, said)
        else:
            self._problems.resolved(CURRENT)
