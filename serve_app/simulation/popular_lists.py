"""Makes the lists of the comparison: the most bought items, without those that a shopper has."""

import numpy as np
import pyarrow as pa

from serve_app.arrays.columns import Rows
from serve_app.arrays.units import DAY_S
from serve_app.demo.tastes import Floats
from serve_app.simulation.crowd import Crowd
from serve_app.simulation.shop_service import Listed

HALF_LIFE_DAYS = 30.0
"""Days after which a purchase counts half. The best of 7, 14, 30 and 90 on the demo shop differ by
less than the noise of a week."""


class PopularLists:
    """Orders items by their purchases until the last midnight."""

    def __init__(self, n_items: int) -> None:
        self._n_items = n_items
        self._items: list[Rows] = []
        self._at: list[Floats] = []
        self._order: Rows = np.arange(n_items, dtype=np.int32)

    def add(self, items: Rows, at: Floats) -> None:
        """Adds purchases; times in epoch seconds."""
        self._items.append(items)
        self._at.append(at)

    def order_at(self, at: float) -> None:
        """Orders the items by the purchases that were added, as at an epoch second."""
        items, moments = np.concatenate(self._items), np.concatenate(self._at)
        weights = np.exp2((moments - at) / (HALF_LIFE_DAYS * DAY_S))
        counts = np.bincount(items, weights, minlength=self._n_items)
        self._order = np.argsort(-counts, kind="stable").astype(np.int32)

    def top(self, n: int, owned: set[int]) -> list[int]:
        """The first ``n`` items that are not owned."""
        head = self._order[: n + len(owned)].tolist()
        return [item for item in head if item not in owned][:n]


def listed_of(crowd: Crowd, items: list[int]) -> Listed:
    """A list as the service would answer it, without an answer to refer to."""
    return Listed(tuple(crowd.item_id(item) for item in items), "")


def purchases_of(table: pa.Table, crowd: Crowd) -> tuple[Rows, Rows, Floats]:
    """Shoppers, items and times of the purchases in a demo shop's table of interactions."""
    bought = table.filter(pa.compute.equal(table["type"], "purchase"))
    shoppers = np.array([int(user_id[1:]) for user_id in bought["user_id"].to_pylist()], np.int32)
    numbers = [int(item_id[1:]) for item_id in bought["item_id"].to_pylist()]
    items = np.array([crowd.item_of_number[number] for number in numbers], np.int32)
    at = bought["timestamp"].cast(pa.int64()).to_numpy() / 1e6
    return shoppers, items, at
