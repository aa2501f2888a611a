"""Computes features of items and users from the interactions before a moment."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import PURCHASE, RATING, TYPE_CODES, TYPE_WEIGHTS, InteractionLog
from serve_app.domain.scoring.model_features import (
    DAY_S,
    HALF_LIVES_DAYS,
    ITEM_FEATURES,
    USER_COLUMNS,
)
from serve_app.domain.settings import Settings
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.data.pairs import find_pairs
from serve_app.fitting.data.windows import select_interactions

N_FAVORITE_CATEGORIES = 3
EVER = np.inf
# Weight of a tenth of a view: the logarithm of an item without interactions stays finite.
_FEW = 0.02
N_RECENT_VIEWS = 10


class PopularityConfig(Settings):
    """Settings of the popularity and the trend of items."""

    half_life_days: float = Field(
        default=30.0,
        gt=0,
        description="Days after which an interaction counts half for popularity. A larger value"
        " forgets more slowly; the fit chooses it.",
    )
    trend_days: float = Field(
        default=30.0, gt=0, description="Days of each of the two periods that the trend compares."
    )
    trend_prior: float = Field(
        default=3.0,
        gt=0,
        description="Interactions that are added to both periods. A larger value damps the trend of"
        " items with few interactions.",
    )


class ItemNumbers(NamedTuple):
    """
    Attributes:
        features: shape (n, len(ITEM_FEATURES)), float32.
        popularity: shape (n,), float64.
        avg_rating: shape (n,), float64, NaN without ratings.
        num_ratings: shape (n,), float64.
    """

    features: NDArray[np.float32]
    popularity: NDArray[np.float64]
    avg_rating: NDArray[np.float64]
    num_ratings: NDArray[np.float64]


def compute_item_numbers(
    catalogue: Catalogue,
    log: InteractionLog,
    at: float,
    config: PopularityConfig,
    label: Label = BOUGHT,
) -> ItemNumbers:
    """
    Args:
        catalogue: its prices and categories are used.
        log: interactions that were known at ``at``.
        at: epoch seconds.
        label: its interactions make a user a buyer of the item.
    """
    n = len(catalogue)
    age_days = (at - log.at) / DAY_S
    weights = TYPE_WEIGHTS[log.types] * np.exp2(-age_days / config.half_life_days)
    popularity = np.log1p(np.bincount(log.rows, weights, minlength=n))
    levels = _levels(catalogue, log, age_days)
    last_at = np.full(n, -np.inf)
    np.maximum.at(last_at, log.rows, log.at)
    times = np.bincount(log.rows, minlength=n)
    buyers = find_pairs(select_interactions(log, label.counts(log)), TYPE_WEIGHTS).rows
    avg_rating, num_ratings = _mean_by(log, log.rows, n)
    n_buyers = np.bincount(buyers, minlength=n)
    features = {
        **{f"item.popularity_{days}d": levels[days] for days in HALF_LIVES_DAYS},
        "item.surge_3d": levels[3] - levels[14],
        "item.surge_7d": levels[7] - levels[30],
        "item.surge_30d": levels[30] - levels[EVER],
        "item.days_since_last": np.where(np.isfinite(last_at), (at - last_at) / DAY_S, np.nan),
        "item.log_times_per_buyer": np.log1p(times) - np.log1p(n_buyers),
        "item.popularity": popularity,
        "item.log_views": np.log1p(_count(log, "view", n)),
        "item.log_buyers": np.log1p(n_buyers),
        "item.trend": _trend(log, age_days, n, config),
        "item.log_price": np.log1p(catalogue.number("price")),
        "item.price_level": _price_level(catalogue),
        "item.avg_rating": avg_rating,
        "item.log_ratings": np.log1p(num_ratings),
        "item.category_popularity": _category_means(catalogue, popularity),
    }
    columns = [features[name] for name in ITEM_FEATURES]
    return ItemNumbers(
        np.column_stack(columns).astype(np.float32), popularity, avg_rating, num_ratings
    )


def _levels(
    catalogue: Catalogue, log: InteractionLog, age_days: NDArray[np.float64]
) -> dict[float, NDArray[np.float64]]:
    """Logarithm of an item's popularity over that of the mean item, by half-life in days.

    The ratio removes the pace of the shop, which differs from month to month.
    """
    levels = {}
    for half_life_days in (*HALF_LIVES_DAYS, EVER):
        weights = TYPE_WEIGHTS[log.types] * np.exp2(-age_days / half_life_days)
        sums = np.bincount(log.rows, weights, minlength=len(catalogue)) + _FEW
        levels[half_life_days] = np.log(sums / _mean_of(sums[catalogue.listed]))
    return levels


def _mean_of(sums: NDArray[np.floating]) -> float:
    return float(sums.mean()) if len(sums) else _FEW


def compute_user_columns(
    catalogue: Catalogue,
    log: InteractionLog,
    created_at: NDArray[np.float64],
    label: Label = BOUGHT,
) -> NDArray[np.float64]:
    """Features of users, shape (len(log.user_ids), len(USER_COLUMNS)), columns in that order.

    Args:
        catalogue: its prices and categories are used.
        log: interactions that were known.
        created_at: shape (len(log.user_ids),), epoch seconds, NaN where unknown.
        label: prices and numbers of items come from its interactions.
    """
    n = len(log.user_ids)
    bought = select_interactions(log, label.counts(log))
    prices = catalogue.number("price")[bought.rows]
    avg_price, std_price = _mean_and_deviation(bought.users, prices, n)
    avg_rating, num_ratings = _mean_by(log, log.users, n)
    first_at, last_at = _first_and_last(log, n)
    columns = {
        "total_purchases": np.bincount(log.users[log.types == PURCHASE], minlength=n),
        "avg_rating": avg_rating,
        "num_ratings": num_ratings,
        "n_items": _distinct(bought.users, bought.rows, n),
        "n_categories": _distinct(bought.users, catalogue.categories.codes[bought.rows], n),
        "avg_price": avg_price,
        "std_price": std_price,
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


def _count(log: InteractionLog, kind: str, n: int) -> NDArray[np.int64]:
    return np.bincount(log.rows[log.types == TYPE_CODES[kind]], minlength=n)


def _mean_by(
    log: InteractionLog, owners: NDArray[np.int32], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and number of the ratings of each owner, shapes (n,); the mean of none is NaN."""
    rated = (log.types == RATING) & np.isfinite(log.values)
    counts = np.bincount(owners[rated], minlength=n).astype(float)
    sums = np.bincount(owners[rated], log.values[rated], minlength=n)
    return _divide(sums, counts), counts


def _trend(
    log: InteractionLog, age_days: NDArray[np.float64], n: int, config: PopularityConfig
) -> NDArray[np.float64]:
    """Log ratio of the interactions of the last window to those of the window before it."""
    window = np.floor(age_days / config.trend_days)
    late, early = (np.bincount(log.rows[window == i], minlength=n) for i in (0, 1))
    return np.log((late + config.trend_prior) / (early + config.trend_prior))


def _price_level(catalogue: Catalogue) -> NDArray[np.float64]:
    """Rank of the price within the category, 0 (cheapest) to 1; NaN without a price."""
    prices, codes = catalogue.number("price"), catalogue.categories.codes
    known = np.flatnonzero(catalogue.listed & np.isfinite(prices))
    order = known[np.lexsort((prices[known], codes[known]))]
    starts = np.flatnonzero(np.diff(codes[order], prepend=MISSING - 1))
    lengths = np.diff(np.append(starts, len(order)))
    within = np.arange(len(order)) - np.repeat(starts, lengths)
    levels = np.full(len(prices), np.nan)
    # The only item of a category has rank 0, not 0 / 0.
    levels[order] = within / np.repeat(np.maximum(lengths - 1, 1), lengths)
    return levels


def _category_means(catalogue: Catalogue, popularity: NDArray[np.float64]) -> NDArray[np.float64]:
    codes = np.where(catalogue.listed, catalogue.categories.codes, MISSING)
    known = codes != MISSING
    n = catalogue.categories.n_words
    counts = np.bincount(codes[known], minlength=n)
    means = _divide(np.bincount(codes[known], popularity[known], minlength=n), counts)
    # MISSING is -1 and picks the NaN that is appended.
    return np.where(known, np.append(means, np.nan)[codes], np.nan)


def _mean_and_deviation(
    owners: NDArray[np.int32], values: NDArray[np.floating], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    owners, values = owners[np.isfinite(values)], values[np.isfinite(values)]
    counts = np.bincount(owners, minlength=n)
    means = _divide(np.bincount(owners, values, minlength=n), counts)
    # In two passes: sums of squares minus squares of sums lose digits on equal prices.
    squares = np.bincount(owners, (values - means[owners]) ** 2, minlength=n)
    return means, np.sqrt(_divide(squares, counts))


def _first_and_last(log: InteractionLog, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, last = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(first, log.users, log.at)
    np.maximum.at(last, log.users, log.at)
    return (
        np.where(np.isfinite(first), first, np.nan),
        np.where(np.isfinite(last), last, np.nan),
    )


def _distinct(owners: NDArray[np.int32], values: NDArray[np.number], n: int) -> NDArray[np.int64]:
    """Number of distinct values of each owner, shape (n,)."""
    order = np.lexsort((values, owners))
    new = (np.diff(owners[order], prepend=-1) != 0) | (np.diff(values[order], prepend=-1) != 0)
    return np.bincount(owners[order][new], minlength=n)


def _divide(sums: NDArray[np.number], counts: NDArray[np.number]) -> NDArray[np.float64]:
    """Quotients, shape (n,); NaN where the count is zero."""
    quotients = np.full(len(sums), np.nan)
    np.divide(sums, counts, out=quotients, where=counts > 0)
    return quotients
