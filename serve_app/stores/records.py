"""What the serving side reads of the shop: the contract, and a shop in memory that keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.ragged import offsets_of
from serve_app.domain.interactions import MAX_EVENTS, Events, latest
from serve_app.errors import StoreUnavailable

UserRow = NDArray[np.float64]
"""Numbers about a user, shape (11,), columns as ``domain.scoring.model_features.USER_COLUMNS``."""

Attribute = str | float | int | bool | None | list["Attribute"] | dict[str, "Attribute"]


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item as it is shown.

    Attributes:
        attributes: what JSON can say: texts, numbers, flags, lists of these.
    """

    title: str | None
    category: str
    price: float | None
    tags: tuple[str, ...]
    in_stock: bool
    avg_rating: float | None
    num_ratings: int
    attributes: Mapping[str, Attribute]


class ShopReader(Protocol):
    """
    Users, items and histories by id.

    An id that is absent from a result is unknown to the shop (or, in ``histories``, did nothing
    yet): normal, not an error. Ids may repeat and may be any text.
    """

    async def user_features(self, ids: Sequence[str]) -> Mapping[str, UserRow]:
        """
        Raises:
            StoreUnavailable: no answer in time.
        """
        ...

    async def items(self, ids: Sequence[str]) -> Mapping[str, ItemRow]:
        """
        Raises:
            StoreUnavailable: no answer in time.
        """
        ...

    async def histories(self, user_ids: Sequence[str]) -> Mapping[str, Events]:
        """
        What each user did, oldest first: the latest events up to a limit, and the last purchase
        of every item, which has to stay excluded however long ago it was bought.

        Raises:
            StoreUnavailable: no answer in time.
        """
        ...


Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class InMemoryShop:
    """A shop for tests of what is built on one.

    Attributes:
        events: each user's, oldest first.
        failure: raised by every method when given.
    """

    users: Mapping[str, UserRow] = field(default_factory=dict)
    shelves: Mapping[str, ItemRow] = field(default_factory=dict)
    events: Mapping[str, Events] = field(default_factory=dict)
    max_events_per_user: int = MAX_EVENTS
    failure: StoreUnavailable | None = None

    async def user_features(self, ids: Sequence[str]) -> Mapping[str, UserRow]:
        return self._pick(self.users, ids)

    async def items(self, ids: Sequence[str]) -> Mapping[str, ItemRow]:
        return self._pick(self.shelves, ids)

    async def histories(self, user_ids: Sequence[str]) -> Mapping[str, Events]:
        found = self._pick(self.events, user_ids)
        limit = self.max_events_per_user
        return {
            user: events[latest(events, offsets_of([len(events)]), limit)]
            for user, events in found.items()
        }

    def _pick(self, rows: Mapping[str, Row], ids: Sequence[str]) -> dict[str, Row]:
        if self.failure is not None:
            raise self.failure
        return {wanted: rows[wanted] for wanted in ids if wanted in rows}
