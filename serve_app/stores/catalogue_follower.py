"""Follows the changes of a shop in PostgreSQL, and keeps opened bundles up to date with them."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, replace

from serve_app.background import ChangeLogger, RepeatedStep
from serve_app.database.serving_reads import ShopReader
from serve_app.domain.fitted import Fitted
from serve_app.domain.item_changes import Changes
from serve_app.errors import StoreUnavailable
from serve_app.live.overlay import Live, apply

_logger = logging.getLogger("ray.serve.recserve.catalogue")

POLL_S = 0.5
"""Seconds between two looks for changes."""

WAIT_S = 0.2
"""Longest time for which a batch waits for a revision that its sender has seen."""

N_FOLLOWED = 2
"""The current bundle and the one before it, which batches under way still need."""


@dataclass(frozen=True, slots=True)
class FollowedFit:
    """A fit whose items are followed.

    Attributes:
        version: of its bundle.
        shop_id: identity of the database that it was fitted on.
        revision: of the shop; all changes up to it are in the arrays.
    """

    version: str
    shop_id: str
    revision: int
    fitted: Fitted


@dataclass(slots=True)
class _State:
    """
    Attributes:
        read_s: when the shop was last found to have no later change; ``None`` before that.
    """

    fit: FollowedFit
    live: Live
    read_s: float | None = None


class CatalogueFollower:
    """Keeps the overlays of the fits that a process serves. For one event loop.

    All stages of a process share one follower. While the shop does not answer, the last overlays
    stay.
    """

    def __init__(self, shop: ShopReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._shop = shop
        self._clock = clock
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._reading: asyncio.Task[None] | None = None
        self._repeated = RepeatedStep(self.look)
        self._failed_s = -POLL_S
        self._problems = ChangeLogger(_logger.warning)

    def follow(self) -> None:
        """Starts to look for changes; needs a running event loop."""
        self._repeated.start(POLL_S)

    def live(self, fit: FollowedFit) -> Live:
        """The arrays at the last revision that was read."""
        return self._state_of(fit).live

    def age_s(self, fit: FollowedFit) -> float | None:
        """Seconds since no later change was there; ``None`` if the shop never answered."""
        read_s = self._state_of(fit).read_s
        return None if read_s is None else self._clock() - read_s

    async def at(self, fit: FollowedFit, revision: int) -> tuple[Live, bool]:
        """The arrays at a revision of the shop, or a later one.

        Waits ``WAIT_S`` for changes that were not read yet.

        Returns:
            The arrays, and whether they are behind the revision, or were never up to date.
        """
        self.follow()
        state = self._state_of(fit)
        if _is_behind(state, revision) and self._clock() - self._failed_s > POLL_S:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self._read()
                    if _is_behind(state, revision):
                        # The reading that was under way had begun before the change.
                        await self._read()
        return state.live, _is_behind(state, revision)

    async def catch_up(self, fit: FollowedFit) -> bool:
        """Reads all changes since a fit; tells whether its overlay is up to date now."""
        self.follow()
        state = self._state_of(fit)
        if state.read_s is None:
            await self._read()
        return state.read_s is not None

    async def look(self) -> None:
        """Reads the changes of all fits that are followed."""
        await self._read()

    async def _read(self) -> None:
        # One reading at a time: whoever needs one meanwhile waits for the same one. It ends even
        # if all of them are cancelled.
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all(), context=Context())
        await asyncio.shield(self._reading)

    async def _read_all(self) -> None:
        # Fits that have come to the same revision share each read from then on.
        groups: dict[tuple[str, int], list[_State]] = {}
        for state in self._states.values():
            groups.setdefault((state.fit.shop_id, state.live.revision), []).append(state)
        for (shop_id, _), states in groups.items():
            try:
                await self._read_group(shop_id, states)
            except StoreUnavailable as failure:
                self._failed_s = self._clock()
                self._problems.log(shop_id, f"changes of items are not read: {failure}")
            else:
                self._problems.resolved(shop_id)

    async def _read_group(self, shop_id: str, states: list[_State]) -> None:
        shop, revision = self._shop.of_shop(shop_id), states[0].live.revision
        while True:
            asked_s = self._clock()
            changes = await shop.changes(revision)
            if changes.revision > revision:
                for state in states:
                    # A thread: batches are answered meanwhile.
                    state.live = await asyncio.to_thread(_apply, state.live, changes)
            revision = changes.revision
            if changes.is_complete:
                break
        for state in states:
            state.read_s = asked_s

    def _state_of(self, fit: FollowedFit) -> _State:
        state = self._states.get(fit.version)
        if state is None:
            state = self._states[fit.version] = _State(fit, Live.of(fit.fitted, fit.revision))
            while len(self._states) > N_FOLLOWED:
                self._states.popitem(last=False)
        self._states.move_to_end(fit.version)
        return state


def _apply(live: Live, changes: Changes) -> Live:
    try:
        return apply(live, changes)
    # Any error: one odd item of another program must not keep all others out of the lists.
    except Exception:
        _logger.exception("changes up to revision %d are applied one by one", changes.revision)
    live = apply(live, replace(changes, items=()))
    for item in changes.items:
        try:
            # The arrays count as those before the item's change, which would be old otherwise.
            live = replace(live, revision=item.revision - 1)
            live = apply(live, Changes(item.revision, [item], kinds=changes.kinds))
        except Exception:
            _logger.exception("item %s stays as it was", item.item_id)
    return replace(live, revision=changes.revision)


def _is_behind(state: _State, revision: int) -> bool:
    return state.read_s is None or state.live.revision < revision
