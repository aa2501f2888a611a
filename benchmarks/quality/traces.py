"""What users of the demo shop did before the cut, as far as it tells what they like."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.demo.tastes import Assortment, Floats
from serve_app.domain.interactions import TYPE_CODES, InteractionLog
from serve_app.domain.scoring.model_features import DAY_S
from serve_app.fitting.data.windows import chosen


class Looks(NamedTuple):
    """
    What users did with items that they looked at; each pair once.

    Attributes:
        users, items: shape (n,), int32.
        viewed, clicked, carted: shape (n,), how often; no more clicks than views, nor items in the
            cart than clicks.
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
    The categories that users looked at on a day; each once.

    Attributes:
        users, categories: shape (n,), int32.
        at: shape (n,), epoch seconds, midnight.
        n_views: shape (n,).
        is_only: shape (n,), whether no other category was looked at on that day.
    """

    users: Rows
    categories: Rows
    at: Floats
    n_views: NDArray[np.int64]
    is_only: Mask


class Seen(NamedTuple):
    """What some users did before the cut; they are numbered from 0."""

    n_users: int
    looks: Looks
    ratings: Ratings
    visits: Visits


def seen_of(
    log: InteractionLog, users: NDArray[np.integer], item_of_row: Rows, assortment: Assortment
) -> Seen:
    """
    Args:
        log: what was known.
        users: numbers in the log.
        item_of_row: numbers in the assortment.
    """
    place = np.full(len(log.user_ids), -1, np.int32)
    place[users] = np.arange(len(users))
    own = chosen(log, place[log.users] >= 0)
    who, items = place[own.users], item_of_row[own.rows]
    is_rating = own.types == TYPE_CODES["rating"]
    return Seen(
        len(users),
        _looks(who, items, own.types, len(assortment)),
        Ratings(who[is_rating], items[is_rating], own.values[is_rating].astype(np.float64)),
        _visits(who, assortment.categories[items], own),
    )


def _looks(who: Rows, items: Rows, types: NDArray[np.uint8], n_items: int) -> Looks:
    keys, places = np.unique(who.astype(np.int64) * n_items + items, return_inverse=True)
    viewed, clicked, carted = (
        np.bincount(places, types == TYPE_CODES[kind], minlength=len(keys)).astype(np.int64)
        for kind in ("view", "click", "cart")
    )
    users, numbers = np.divmod(keys, n_items)
    clicked = np.minimum(clicked, viewed)
    counts = (viewed, clicked, np.minimum(carted, clicked))
    return Looks(users.astype(np.int32), numbers.astype(np.int32), *counts)


def _visits(who: Rows, categories: Rows, own: InteractionLog) -> Visits:
    views = own.types == TYPE_CODES["view"]
    days = (own.at // DAY_S).astype(np.int64)
    table = np.column_stack((who, days, categories))[views]
    distinct, n_views = np.unique(table, axis=0, return_counts=True)
    _, visit, n_categories = np.unique(
        distinct[:, :2], axis=0, return_inverse=True, return_counts=True
    )
    users, categories = distinct[:, 0].astype(np.int32), distinct[:, 2].astype(np.int32)
    return Visits(users, categories, distinct[:, 1] * DAY_S, n_views, n_categories[visit] == 1)
