"""Computes features of items from the interactions before a moment."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING
from serve_app.arrays.units import DAY_S
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import RATING, TYPE_CODES, TYPE_WEIGHTS, InteractionLog
from serve_app.domain.settings import Settings
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.data.means import compute_means
from serve_app.fitting.data.pairs import find_pairs
from serve_app.fitting.data.windows import select_interactions
from serve_app.recommending.scoring.model_features import HALF_LIVES_DAYS, ITEM_FEATURES

EVER = np.inf
# Weight of a tenth of a view: the logarithm of an item without interactions stays finite.
_PRIOR_WEIGHT = 0.02


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
    """Numbers of all items at one moment.

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
    """Computes features, popularity and ratings of all items.

    Args:
        log: interactions that were known at ``at``, epoch seconds.
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
    rated = log.types == RATING
    avg_rating, num_ratings = compute_means(log.rows[rated], log.values[rated], n)
    views = np.bincount(log.rows[log.types == TYPE_CODES["view"]], minlength=n)
    n_buyers = np.bincount(buyers, minlength=n)
    features = {
        **{f"item.popularity_{days}d": levels[days] for days in HALF_LIVES_DAYS},
        "item.surge_3d": levels[3] - levels[14],
        "item.surge_7d": levels[7] - levels[30],
        "item.surge_30d": levels[30] - levels[EVER],
        "item.days_since_last": np.where(np.isfinite(last_at), (at - last_at) / DAY_S, np.nan),
        "item.log_times_per_buyer": np.log1p(times) - np.log1p(n_buyers),
        "item.popularity": popularity,
        "item.log_views": np.log1p(views),
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
        sums = np.bincount(log.rows, weights, minlength=len(catalogue)) + _PRIOR_WEIGHT
        listed = sums[catalogue.listed]
        levels[half_life_days] = np.log(sums / (listed.mean() if len(listed) else _PRIOR_WEIGHT))
    return levels


def _trend(
    log: InteractionLog, age_days: NDArray[np.float64], n: int, config: PopularityConfig
) -> NDArray[np.float64]:
    """Log ratio of an item's interactions in the last ``trend_days`` to those in the days before.

    Shape (n,). The second period is as long, and ``trend_prior`` is added to both.
    """
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
    means, _ = compute_means(codes[known], popularity[known], catalogue.categories.n_words)
    # MISSING is -1 and picks the NaN that is appended.
    return np.where(known, np.append(means, np.nan)[codes], np.nan)
