"""Carries out requests about items and users, for the stage ShopWriter."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor

from serve_app.database.writing.item_writes import (
    ItemCounts,
    patch_item,
    put_items,
    read_item_kinds,
    withdraw_item,
)
from serve_app.database.writing.shop_records import forget_user, read_item, read_user
from serve_app.database.writing.writing_connections import ShopConnections
from serve_app.domain.posts import NotWritten, Refused
from serve_app.domain.shop_requests import (
    Changed,
    ForgetUser,
    Found,
    ItemEntry,
    NotThere,
    PatchItem,
    PutItems,
    ReadItem,
    ReadUser,
    ShopOutcome,
    ShopRequest,
    WithdrawItem,
)
from serve_app.errors import StoreUnavailable
from serve_app.loading.posted_items import CheckedItems, check_items
from serve_app.stores.freshness import Freshness
from serve_app.stores.serving_readers import cached_keys_of

N_ATTEMPTS = 3
"""Checks of items, if others give new attributes another kind at the same time."""

OfShop = Callable[[str], Freshness]
"""Gives, for the identity of a shop, the object that makes changes visible."""

_Write = Callable[[CheckedItems], Awaitable[ItemCounts | None]]


class ShopRequests:
    """Each request is one transaction; every change may be repeated."""

    def __init__(self, writes: ShopConnections, of_shop: OfShop, thread: Executor) -> None:
        """``thread`` checks items."""
        self._writes = writes
        self._of_shop = of_shop
        self._thread = thread

    async def handle(self, request: ShopRequest, shop_id: str) -> ShopOutcome:
        """Carries out a request on the database of a shop; an empty id fits every database."""
        try:
            match request:
                case PutItems(entries):
                    return await self._put(entries, shop_id)
                case PatchItem(entry):
                    return await self._patch(entry, shop_id)
                case WithdrawItem(item_id):
                    return await self._withdraw(item_id, shop_id)
                case ForgetUser(user_id):
                    return await self._forget(user_id, shop_id)
                case ReadItem(item_id):
                    record = await read_item(self._writes, item_id)
                case ReadUser(user_id):
                    record = await read_user(self._writes, user_id)
        except StoreUnavailable as failure:
            return NotWritten(failure.reason)
        return NotThere() if record is None else Found(record)

    async def _put(self, entries: Sequence[ItemEntry], shop_id: str) -> ShopOutcome:
        return await self._describe(
            entries, lambda checked: put_items(self._writes, checked.items, checked.kinds, shop_id)
        )

    async def _patch(self, entry: ItemEntry, shop_id: str) -> ShopOutcome:
        outcome = await self._describe(
            [entry],
            lambda checked: patch_item(self._writes, checked.items[0], checked.kinds, shop_id),
        )
        is_missing = isinstance(outcome, Changed) and not any(outcome.counts.values())
        return NotThere() if is_missing else outcome

    async def _describe(self, entries: Sequence[ItemEntry], write: _Write) -> ShopOutcome:
        loop = asyncio.get_running_loop()
        for _ in range(N_ATTEMPTS):
            known_kinds = await read_item_kinds(self._writes)
            checked = await loop.run_in_executor(self._thread, check_items, entries, known_kinds)
            if isinstance(checked, tuple):
                return Refused(checked)
            counts = await write(checked)
            if counts is not None:
                ids = [item.item_id for item in checked.items]
                is_visible = await self._of_shop(counts.shop_id).make_items_visible(ids)
                return Changed(
                    {
                        "added": counts.n_new,
                        "changed": counts.n_changed,
                        "unchanged": counts.n_unchanged,
                    },
                    is_visible,
                )
        return NotWritten("attributes_change")

    async def _withdraw(self, item_id: str, shop_id: str) -> ShopOutcome:
        found_shop = await withdraw_item(self._writes, item_id, shop_id)
        if found_shop is None:
            return NotThere()
        is_visible = await self._of_shop(found_shop).make_items_visible([item_id])
        return Changed({}, is_visible)

    async def _forget(self, user_id: str, shop_id: str) -> ShopOutcome:
        found_shop, n_events = await forget_user(self._writes, user_id, shop_id)
        # Also the values themselves: they would stay in Redis until they expire.
        is_visible = await self._of_shop(found_shop).forget(user_id, cached_keys_of(user_id))
        return Changed({"events": n_events}, is_visible)
