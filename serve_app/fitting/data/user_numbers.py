"""Computes features of users, and texts about them, from the interactions before a moment."""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING
from serve_app.arrays.units import DAY_S
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import PURCHASE, RATING, TYPE_CODES, TYPE_WEIGHTS, InteractionLog
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.data.means import compute_means
from serve_app.fitting.data.pairs import find_pairs
from serve_app.fitting.data.windows import select_interactions
from serve_app.recommending.scoring.model_features import USER_COLUMNS

N_FAVORITE_CATEGORIES = 3
N_RECENT_VIEWS = 10


def compute_user_columns(
    catalogue: Catalogue,
    log: InteractionLog,
    created_at: NDArray[np.float64],
    label: Label = BOUGHT,
) -> NDArray[np.float64]:
    """Features of users, shape (len(log.user_ids), len(USER_COLUMNS)), columns in that order.

    Args:
        created_at: shape (len(log.user_ids),), epoch seconds, NaN where unknown.
        label: prices and numbers of items come from its interactions.
    """
    n = len(log.user_ids)
    bought = select_interactions(log, label.counts(log))
    prices = catalogue.number("price")[bought.rows]
    avg_price, _ = compute_means(bought.users, prices, n)
    # In two passes: sums of squares minus squares of sums lose digits on equal prices.
    variance, _ = compute_means(bought.users, (prices - avg_price[bought.users]) ** 2, n)
    rated = log.types == RATING
    avg_rating, num_ratings = compute_means(log.users[rated], log.values[rated], n)
    first_at, last_at = _first_and_last(log, n)
    columns = {
        "total_purchases": np.bincount(log.users[log.types == PURCHASE], minlength=n),
        "avg_rating": avg_rating,
        "num_ratings": num_ratings,
        "n_items": _distinct(bought.users, bought.rows, n),
        "n_categories": _distinct(bought.users, catalogue.categories.codes[bought.rows], n),
        "avg_price": avg_price,
        "std_price": np.sqrt(variance),
        "n_active_days": _distinct(log.users, np.floor(log.at / DAY_S), n),
        "first_at": first_at,
        "last_at": last_at,
        "created_at": created_at,
    }
    return np.column_stack([columns[name] for name in USER_COLUMNS]).astype(np.float64)


def find_favorite_categories(catalogue: Catalogue, log: InteractionLog) -> list[list[str]]:
    """For each user, the names of the categories with the largest weight, at most three."""
    codes = catalogue.categories.codes[log.rows]
    n_words = max(catalogue.categories.n_words, 1)
    keys = (log.users.astype(np.int64) * n_words + codes)[codes != MISSING]
    pairs, pair_of = np.unique(keys, return_inverse=True)
    totals = np.bincount(pair_of, TYPE_WEIGHTS[log.types[codes != MISSING]], minlength=len(pairs))
    words = catalogue.categories.vocabulary.take(range(catalogue.categories.n_words))
    favorites: list[list[str]] = [[] for _ in log.user_ids]
    # Ties go to the category with the smaller code.
    for key in pairs[np.lexsort((pairs, -totals))].tolist():
        names = favorites[key // n_words]
        if len(names) < N_FAVORITE_CATEGORIES:
            names.append(words[key % n_words])
    return favorites


def find_recent_views(catalogue: Catalogue, log: InteractionLog) -> list[list[str]]:
    """For each user, ids of the last viewed distinct items, latest first, at most ten."""
    viewed = find_pairs(select_interactions(log, log.types == TYPE_CODES["view"]), TYPE_WEIGHTS)
    recent: list[list[str]] = [[] for _ in log.user_ids]
    # Stable: items viewed at one moment stay in the order of their rows.
    for i in np.argsort(-viewed.at, kind="stable").tolist():
        ids = recent[viewed.users[i]]
        if len(ids) < N_RECENT_VIEWS:
            ids.append(catalogue.item_ids.at(int(viewed.rows[i])))
    return recent


def _first_and_last(log: InteractionLog, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, last = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(first, log.users, log.at)
    np.maximum.at(last, log.users, log.at)
    known = np.isfinite(first)
    return np.where(known, first, np.nan), np.where(known, last, np.nan)


def _distinct(owners: NDArray[np.int32], values: NDArray[np.number], n: int) -> NDArray[np.int64]:
    """Number of distinct values of each owner, shape (n,)."""
    order = np.lexsort((values, owners))
    new = (np.diff(owners[order], prepend=-1) != 0) | (np.diff(values[order], prepend=-1) != 0)
    return np.bincount(owners[order][new], minlength=n)
