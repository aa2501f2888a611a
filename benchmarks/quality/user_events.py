"""Collects the demo users' events before the test period that reveal their tastes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.units import DAY_S
from serve_app.demo.tastes import Assortment, Floats
from serve_app.domain.interactions import TYPE_CODES, InteractionLog
from serve_app.fitting.data.windows import select_interactions


class Looks(NamedTuple):
    """
    Events of users with viewed items; each pair once.

    Attributes:
        users, items: shape (n,), int32.
        viewed, clicked, carted: shape (n,), counts; carted <= clicked <= viewed.
    """

    users: Rows
    items: Rows
    viewed: NDArray[np.int64]
    clicked: NDArray[np.int64]
    carted: NDArray[np.int64]


class Ratings(NamedTuple):
    """Attributes: users, items, stars: shape (n,)."""

    users: Rows
    items: Rows
    stars: Floats


class Visits(NamedTuple):
    """
    Categories that users viewed on a day; each once.

    Attributes:
        users, categories: shape (n,), int32.
        at: shape (n,), epoch seconds, midnight.
        n_views: shape (n,).
        is_only: shape (n,), marks the days with views in a single category.
    """

    users: Rows
    categories: Rows
    at: Floats
    n_views: NDArray[np.int64]
    is_only: Mask


class UserEvents(NamedTuple):
    """Events of some users before the test period; the users are numbered from 0."""

    n_users: int
    looks: Looks
    ratings: Ratings
    visits: Visits


def collect_events(
    log: InteractionLog, users: NDArray[np.integer], item_of_row: Rows, assortment: Assortment
) -> UserEvents:
    """
    Args:
        log: training interactions.
        users: numbers in the log.
        item_of_row: numbers in the assortment.
    """
    number_of = np.full(len(log.user_ids), -1, np.int32)
    number_of[users] = np.arange(len(users))
    part = select_interactions(log, number_of[log.users] >= 0)
    numbers, items = number_of[part.users], item_of_row[part.rows]
    is_rating = part.types == TYPE_CODES["rating"]
    return UserEvents(
        len(users),
        _looks(numbers, items, part.types, len(assortment)),
        Ratings(numbers[is_rating], items[is_rating], part.values[is_rating].astype(np.float64)),
        _visits(numbers, assortment.categories[items], part),
    )


def _looks(numbers: Rows, items: Rows, types: NDArray[np.uint8], n_items: int) -> Looks:
    keys, pairs = np.unique(numbers.astype(np.int64) * n_items + items, return_inverse=True)
    viewed, clicked, carted = (
        np.bincount(pairs, types == TYPE_CODES[kind], minlength=len(keys)).astype(np.int64)
        for kind in ("view", "click", "cart")
    )
    users, items = np.divmod(keys, n_items)
    # The densities need carted <= clicked <= viewed; repeated purchases have carts without clicks.
    clicked = np.minimum(clicked, viewed)
    counts = (viewed, clicked, np.minimum(carted, clicked))
    return Looks(users.astype(np.int32), items.astype(np.int32), *counts)


def _visits(numbers: Rows, categories: Rows, events: InteractionLog) -> Visits:
    views = events.types == TYPE_CODES["view"]
    days = (events.at // DAY_S).astype(np.int64)
    table = np.column_stack((numbers, days, categories))[views]
    distinct, n_views = np.unique(table, axis=0, return_counts=True)
    _, visit, n_categories = np.unique(
        distinct[:, :2], axis=0, return_inverse=True, return_counts=True
    )
    users, categories = distinct[:, 0].astype(np.int32), distinct[:, 2].astype(np.int32)
    return Visits(users, categories, distinct[:, 1] * DAY_S, n_views, n_categories[visit] == 1)
