"""Defines the stage ShopWriter: writes to PostgreSQL what the shop reports over HTTP."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from serve_app.database.writing.event_writes import StoredEvents, store_events
from serve_app.database.writing.writing_connections import UNSTORABLE
from serve_app.domain.posts import EventRow, NotWritten, PostBatch, PostOutcome, Receipt, Refused
from serve_app.domain.shop_requests import ShopOutcome, ShopRequest
from serve_app.errors import StoreUnavailable
from serve_app.loading.events import EventRules, check_posts
from serve_app.serving.stages.shop_request_handling import ShopRequests
from serve_app.stores.connections import Stores
from serve_app.stores.freshness import Freshness


class ShopWriter:
    """Checks posts and writes them. Holds clients, no model.

    It answers only after the commit. As a deployment of its own it keeps a slow PostgreSQL away
    from answers, and it shares no connection with reads.
    """

    def __init__(
        self, stores: Stores, rules: EventRules, clock: Callable[[], float] = time.time
    ) -> None:
        self._stores = stores
        self._rules = rules
        self._clock = clock
        self._freshness: dict[str, Freshness] = {}
        # A check computes for milliseconds: it must not block the event loop.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._requests = cache(lambda: ShopRequests(stores.writes, self._of_shop, self._thread))

    async def write_events(self, batch: PostBatch) -> list[PostOutcome]:
        """Stores the posts whose content is right, in one transaction; one outcome per post."""
        loop = asyncio.get_running_loop()
        now_at = self._clock()
        checked = await loop.run_in_executor(
            self._thread, check_posts, batch.posts, self._rules, now_at
        )
        outcomes: list[PostOutcome] = [
            Refused(of_post) if isinstance(of_post, tuple) else NotWritten("not tried")
            for of_post in checked
        ]
        good = {i: of_post for i, of_post in enumerate(checked) if isinstance(of_post, list)}
        if good:
            written = await self._write(list(good.values()), batch.shop_id)
            for i, outcome in zip(good, written, strict=True):
                outcomes[i] = outcome
        return outcomes

    async def ask_shop(self, asked: tuple[ShopRequest, str]) -> ShopOutcome:
        """Carries out a request about items or users; with it, the id of the served shop."""
        request, shop_id = asked
        return await self._requests().handle(request, shop_id)

    async def silent_stores(self, at_least_s: float) -> dict[str, float]:
        """Seconds by store, of those that have not answered writes for at least so long."""
        seconds = await self._stores.writes.unreachable_s()
        return {"postgres": seconds} if seconds >= at_least_s else {}

    async def close(self) -> None:
        """Closes the connections; a replica keeps them until it ends."""
        for freshness in self._freshness.values():
            await freshness.close()
        await self._stores.writes.close()
        await self._stores.cache.close()

    async def _write(self, posts: Sequence[list[EventRow]], shop_id: str) -> list[PostOutcome]:
        rows = [row for post in posts for row in post]
        try:
            stored = await store_events(self._stores.writes, rows, shop_id)
        except StoreUnavailable as failure:
            if failure.reason != UNSTORABLE or len(posts) == 1:
                return [NotWritten(failure.reason)] * len(posts)
            # One post holds something that the checks let pass. The others must not suffer.
            alone = [await self._write([post], shop_id) for post in posts]
            return [outcome for outcomes in alone for outcome in outcomes]
        # Also for events that were there already: the process that stored them may have ended
        # before it made them visible.
        users = dict.fromkeys(row.user_id for row in rows)
        is_visible = await self._of_shop(stored.shop_id).make_visible(users)
        return receipts(posts, stored, is_visible=is_visible)

    def _of_shop(self, shop_id: str) -> Freshness:
        if shop_id not in self._freshness:
            self._freshness[shop_id] = Freshness(self._stores.cache.of_shop(shop_id))
        return self._freshness[shop_id]


def receipts(
    posts: Sequence[list[EventRow]], stored: StoredEvents, *, is_visible: bool
) -> list[PostOutcome]:
    """One receipt for each post, from the flags of all their rows."""
    outcomes: list[PostOutcome] = []
    start = 0
    for post in posts:
        part = slice(start, start + len(post))
        start = part.stop
        n_new = sum(stored.are_new[part])
        differing = tuple(i for i, differs in enumerate(stored.differ[part]) if differs)
        outcomes.append(Receipt(n_new, len(post) - n_new, differing, is_visible))
    return outcomes
