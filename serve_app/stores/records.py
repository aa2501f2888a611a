"""Defines how the serving side reads the shop: users, items and histories by id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serve_app.domain.interactions import Events

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
