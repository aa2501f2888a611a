"""Numbers that the past gives to items and users."""

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
from serve_app.fitting.data.pairs import pairs_of
from serve_app.fitting.data.windows import chosen

N_FAVORITE_CATEGORIES = 3
EVER = np.inf
_FEW = 0.02
N_RECENT_VIEWS = 10


class PopularityConfig(Settings):
    """
    Attributes:
        half_life_days: after how long an interaction says half as much.
        trend_days: length of the two windows that are compared for the trend.
        trend_prior: interactions added to both windows, so that few say little.
    """

    half_life_days: float = Field(default=30.0, gt=0)
    trend_days: float = Field(default=30.0, gt=0)
    trend_prior: float = Field(default=3.0, gt=0)


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


def item_numbers(
    catalogue: Catalogue,
    log: InteractionLog,
    at: float,
    config: PopularityConfig,
    label: Label = BOUGHT,
) -> ItemNumbers:
    """
    Args:
        catalogue: its prices and categories are used.
        log: what was known at ``at``.
        at: epoch seconds.
        label: what makes a user of the item its buyer.
    """
    n = len(catalogue)
    age_days = (at - log.at) / DAY_S
    weights = TYPE_WEIGHTS[log.types] * np.exp2(-age_days / config.half_life_days)
    popularity = np.log1p(np.bincount(log.rows, weights, minlength=n))
    levels = _levels(catalogue, log, age_days)
    last_at = np.full(n, -np.inf)
    np.maximum.at(last_at, log.rows, log.at)
    times = np.bincount(log.rows, minlength=n)
    buyers = pairs_of(chosen(log, label.counts(log)), TYPE_WEIGHTS).rows
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
    """
    By half-life, how far an item's popularity is from that of the mean item, as a logarithm: the
    pace of the shop as a whole, which no two months share, is not in it.
    """
    levels = {}
    for half_life_days in (*HALF_LIVES_DAYS, EVER):
        weights = TYPE_WEIGHTS[log.types] * np.exp2(-age_days / half_life_days)
        sums = np.bincount(log.rows, weights, minlength=len(catalogue)) + _FEW
        levels[half_life_days] = np.log(sums / _mean_of(sums[catalogue.listed]))
    return levels


def _mean_of(sums: NDArray[np.floating]) -> float:
    return float(sums.mean()) if len(sums) else _FEW


def user_columns(
    catalogue: Catalogue,
    log: InteractionLog,
    created_at: NDArray[np.float64],
    label: Label = BOUGHT,
) -> NDArray[np.float64]:
    """
    What is kept of each user, shape (len(log.user_ids), len(USER_COLUMNS)), columns in that order.

    Args:
        catalogue: its prices and categories are used.
        log: what was known.
        created_at: shape (len(log.user_ids),), epoch seconds, NaN where unknown.
        label: whose interactions tell prices and breadth.
    """
    n = len(log.user_ids)
    bought = chosen(log, label.counts(log))
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


def favorite_categories(catalogue: Catalogue, log: InteractionLog) -> list[list[str]]:
    """Per user the names of the categories that he had most to do with, at most three."""
    codes = catalogue.categories.codes[log.rows]
    n_words = max(catalogue.categories.n_words, 1)
    keys = (log.users.astype(np.int64) * n_words + codes)[codes != MISSING]
    pairs, places = np.unique(keys, return_inverse=True)
    totals = np.bincount(places, TYPE_WEIGHTS[log.types[codes != MISSING]], minlength=len(pairs))
    words = catalogue.categories.vocabulary.take(range(catalogue.categories.n_words))
    favorites: list[list[str]] = [[] for _ in log.user_ids]
    for key in pairs[np.lexsort((pairs, -totals))].tolist():
        own = favorites[key // n_words]
        if len(own) < N_FAVORITE_CATEGORIES:
            own.append(words[key % n_words])
    return favorites


def recent_views(catalogue: Catalogue, log: InteractionLog) -> list[list[str]]:
    """Per user the ids of the distinct items that he viewed last, latest first, at most ten."""
    viewed = pairs_of(chosen(log, log.types == TYPE_CODES["view"]), TYPE_WEIGHTS)
    recent: list[list[str]] = [[] for _ in log.user_ids]
    for i in np.argsort(-viewed.at, kind="stable").tolist():
        own = recent[viewed.users[i]]
        if len(own) < N_RECENT_VIEWS:
            own.append(catalogue.item_ids.at(int(viewed.rows[i])))
    return recent


def _count(log: InteractionLog, kind: str, n: int) -> NDArray[np.int64]:
    return np.bincount(log.rows[log.types == TYPE_CODES[kind]], minlength=n)


def _mean_by(
    log: InteractionLog, owners: NDArray[np.int32], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of the ratings and their number, by the owners of the interactions."""
    rated = (log.types == RATING) & np.isfinite(log.values)
    counts = np.bincount(owners[rated], minlength=n).astype(float)
    sums = np.bincount(owners[rated], log.values[rated], minlength=n)
    return _divided(sums, counts), counts


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
    levels[order] = within / np.repeat(np.maximum(lengths - 1, 1), lengths)
    return levels


def _category_means(catalogue: Catalogue, popularity: NDArray[np.float64]) -> NDArray[np.float64]:
    codes = np.where(catalogue.listed, catalogue.categories.codes, MISSING)
    known = codes != MISSING
    n = catalogue.categories.n_words
    counts = np.bincount(codes[known], minlength=n)
    means = _divided(np.bincount(codes[known], popularity[known], minlength=n), counts)
    return np.where(known, np.append(means, np.nan)[codes], np.nan)


def _mean_and_deviation(
    owners: NDArray[np.int32], values: NDArray[np.floating], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    owners, values = owners[np.isfinite(values)], values[np.isfinite(values)]
    counts = np.bincount(owners, minlength=n)
    means = _divided(np.bincount(owners, values, minlength=n), counts)
    squares = np.bincount(owners, (values - means[owners]) ** 2, minlength=n)
    return means, np.sqrt(_divided(squares, counts))


def _first_and_last(log: InteractionLog, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, last = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(first, log.users, log.at)
    np.maximum.at(last, log.users, log.at)
    return (
        np.where(np.isfinite(first), first, np.nan),
        np.where(np.isfinite(last), last, np.nan),
    )


def _distinct(owners: NDArray[np.int32], values: NDArray[np.number], n: int) -> NDArray[np.int64]:
    """How many distinct values each owner has, shape (n,)."""
    order = np.lexsort((values, owners))
    new = (np.diff(owners[order], prepend=-1) != 0) | (np.diff(values[order], prepend=-1) != 0)
    return np.bincount(owners[order][new], minlength=n)


def _divided(sums: NDArray[np.number], counts: NDArray[np.number]) -> NDArray[np.float64]:
    quotients = np.full(len(sums), np.nan)
    np.divide(sums, counts, out=quotients, where=counts > 0)
    return quotients
