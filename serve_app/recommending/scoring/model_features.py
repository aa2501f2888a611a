"""Names and assembles the model features. Training and serving call the same functions.

A row per candidate has four groups side by side. They are features of the user, of the item, of the
candidate (this user and this item), and crosses of these. A missing number is NaN, for which each
node of XGBoost has a default direction.
"""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.ragged import owners
from serve_app.arrays.units import DAY_S
from serve_app.domain.batches import ScoringBatch
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.item_patches import ItemPatch

USER_COLUMNS = (
    "total_purchases",
    "avg_rating",
    "num_ratings",
    "n_items",
    "n_categories",
    "avg_price",
    "std_price",
    "n_active_days",
    "first_at",
    "last_at",
    "created_at",
)
"""Columns that a store keeps of a user, float64; times in epoch seconds; NaN if unknown."""

USER_FEATURES = (
    "user.log_purchases",
    "user.avg_rating",
    "user.log_ratings",
    "user.log_items",
    "user.n_categories",
    "user.log_avg_price",
    "user.std_price",
    "user.log_active_days",
    "user.log_items_per_day",
    "user.days_since_first",
    "user.days_since_last",
)

HALF_LIVES_DAYS = (1, 3, 7, 14, 30, 90)
"""Half-lives of the popularities that the models see side by side."""

TREND_DAYS = (7, 30)
"""Half-lives of the trends that scale the autoencoder's scores, side by side."""

ITEM_FEATURES = (
    "item.popularity",
    "item.log_views",
    "item.log_buyers",
    "item.trend",
    *(f"item.popularity_{days}d" for days in HALF_LIVES_DAYS),
    "item.surge_3d",
    "item.surge_7d",
    "item.surge_30d",
    "item.days_since_last",
    "item.log_times_per_buyer",
    "item.log_price",
    "item.price_level",
    "item.avg_rating",
    "item.log_ratings",
    "item.category_popularity",
)

SOURCES = (
    "similar_users",
    "autoencoder",
    "recent_items",
    "next_items",
    "similar_sessions",
    "favorite_categories",
    "new_items",
    "popular",
)
"""Sources in the order of their columns. The first source wins a tie between reasons."""

SESSION_FEATURES = (
    "candidate.after_last",
    "candidate.later_than_last",
    "candidate.beside_last",
    "candidate.after_last_two",
    "candidate.step_from_last",
    "candidate.log_next",
    "candidate.category_of_last",
    "candidate.session_category_share",
    "candidate.price_to_last",
    "candidate.price_to_session",
    "candidate.times_in_session",
    "candidate.steps_since_seen",
    "candidate.session_events",
    "candidate.session_items",
    "candidate.session_streak",
    "candidate.minutes_since_last",
    "candidate.table_age_days",
    "candidate.unfinished_grade",
    "candidate.unfinished_place",
    "candidate.minutes_since_unfinished",
)
"""What the candidate has to do with the latest session, and above all with its last item."""

SHARED = slice(0, 5)
"""Sources whose scores are also divided by the best score of the request."""

CANDIDATE_FEATURES = (
    *(f"candidate.{source}_score" for source in SOURCES),
    *(f"candidate.{source}_rank" for source in SOURCES),
    *(f"candidate.{source}_share" for source in SOURCES[SHARED]),
    "candidate.autoencoder_plain",
    *(f"candidate.autoencoder_{days}d" for days in TREND_DAYS),
    "candidate.autoencoder_plain_share",
    *(f"candidate.autoencoder_{days}d_share" for days in TREND_DAYS),
    "candidate.n_sources",
    "candidate.fused",
    "candidate.category_share",
    "candidate.taste",
    "candidate.content",
    "candidate.log_times_seen",
    "candidate.days_since_seen",
    "candidate.price_to_habit",
    "candidate.buyers_to_habit",
    "candidate.habit_buyers",
    "candidate.log_events",
    "candidate.log_expected",
    "candidate.log_expected_by_visit",
    "candidate.pace_to_expected",
    "candidate.factors_plain",
    "candidate.factors",
    "candidate.factors_plain_share",
    "candidate.factors_share",
    *SESSION_FEATURES,
)

CROSS_FEATURES = ("cross.age_days", "cross.price_to_avg")

FEATURES = (*USER_FEATURES, *ITEM_FEATURES, *CANDIDATE_FEATURES, *CROSS_FEATURES)

_USUAL_PRICE = USER_FEATURES.index("user.log_avg_price")
FUSED_COLUMN = CANDIDATE_FEATURES.index("candidate.fused")
DAYS_SINCE_LAST = ITEM_FEATURES.index("item.days_since_last")
LOG_BUYERS = ITEM_FEATURES.index("item.log_buyers")
PRICE_LEVEL = ITEM_FEATURES.index("item.price_level")
CATEGORY_POPULARITY = ITEM_FEATURES.index("item.category_popularity")
SOURCE_RANKS = slice(len(SOURCES), 2 * len(SOURCES))

DEFINITION = 4
"""Version of the formulas. Raised when a formula changes under an unchanged name."""


def fingerprint(names: Sequence[str]) -> str:
    """Identifies an ordered choice of features and the formulas behind them; 12 hex digits."""
    return sha256(f"{DEFINITION}|{'|'.join(names)}".encode()).hexdigest()[:12]


def unknown_user() -> NDArray[np.float64]:
    """Columns of a user that no store knows, shape (len(USER_COLUMNS),)."""
    columns = np.full(len(USER_COLUMNS), np.nan)
    counts = ("total_purchases", "num_ratings", "n_items", "n_categories", "n_active_days")
    # Counts of nothing are known to be zero; everything else is unknown.
    columns[[USER_COLUMNS.index(name) for name in counts]] = 0.0
    return columns


def days_since(
    moments: NDArray[np.floating], at: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Days from moments to ``at``, one or of the same shape, at least 0; NaN if unknown."""
    # Moments may be later than ``at``: the clock of a bundle stops some time after its fit, and
    # users go on.
    return np.asarray(np.maximum(at - moments, 0.0) / DAY_S, np.float64)


def user_features(
    columns: NDArray[np.float64], at: float | NDArray[np.float64]
) -> NDArray[np.float32]:
    """Model features of users at epoch seconds, shape (n, len(USER_FEATURES)).

    The columns have shape (n, len(USER_COLUMNS)), the moments shape (n,).
    """
    named = dict(zip(USER_COLUMNS, columns.T, strict=True))
    features = (
        np.log1p(named["total_purchases"]),
        named["avg_rating"],
        np.log1p(named["num_ratings"]),
        np.log1p(named["n_items"]),
        named["n_categories"],
        np.log1p(named["avg_price"]),
        named["std_price"],
        np.log1p(named["n_active_days"]),
        np.log1p(named["n_items"]) - np.log1p(named["n_active_days"]),
        days_since(named["first_at"], at),
        days_since(named["last_at"], at),
    )
    return np.stack(features, axis=1).astype(np.float32)


def assemble(
    names: Sequence[str], catalogue: Catalogue, batch: ScoringBatch
) -> NDArray[np.float32]:
    """One row of model features per candidate, shape (len(batch.rows), len(names)).

    ``names`` are the features of the model, in its order. Each column is contiguous.
    """
    requests = owners(batch.offsets)
    # Filled by column and transposed at the end: the compiled trees read columns.
    columns = np.empty((len(names), len(batch.rows)), np.float32)
    blocks = (
        (USER_FEATURES, lambda i: batch.user_features[requests, i]),
        (ITEM_FEATURES, lambda i: catalogue.features[batch.rows, i]),
        (CANDIDATE_FEATURES, lambda i: batch.candidate_features[:, i]),
        (CROSS_FEATURES, lambda i: _CROSSES[i](catalogue, batch, requests)),
    )
    for group, column in blocks:
        for i, name in enumerate(group):
            if name in names:
                columns[names.index(name)] = column(i)
    if batch.patch is not None:
        _write_patch(columns, names, batch, batch.patch)
    return columns.T


def _write_patch(
    columns: NDArray[np.float32], names: Sequence[str], batch: ScoringBatch, patch: ItemPatch
) -> None:
    """Replaces the numbers of items that differ from the catalogue; columns (n_names, n)."""
    positions, at = patch.hits(batch.rows)
    requests = owners(batch.offsets)[positions]
    usual = batch.user_features[requests, _USUAL_PRICE]
    prices = patch.prices[at]
    patched = {
        "item.log_price": np.log1p(prices),
        "item.price_level": patch.price_levels[at],
        "item.category_popularity": patch.category_popularities[at],
        "cross.age_days": _age_of(patch.created_at[at], batch.at[requests]),
        "cross.price_to_avg": np.log1p(prices) - usual,
    }
    for name, values in patched.items():
        if name in names:
            columns[names.index(name), positions] = values


def _age_days(
    catalogue: Catalogue, batch: ScoringBatch, requests: NDArray[np.int64]
) -> NDArray[np.floating]:
    return _age_of(catalogue.number("created_at")[batch.rows], batch.at[requests])


def _age_of(created_at: NDArray[np.floating], at: NDArray[np.float64]) -> NDArray[np.floating]:
    # An item that is dated ahead has no age yet. At 0 days it would look like the newest of all.
    return np.where(created_at > at, np.nan, days_since(created_at, at))


def _price_to_avg(
    catalogue: Catalogue, batch: ScoringBatch, requests: NDArray[np.int64]
) -> NDArray[np.floating]:
    """Log ratio of the item's price to what the user pays on average."""
    usual = batch.user_features[requests, _USUAL_PRICE]
    return np.asarray(np.log1p(catalogue.number("price")[batch.rows]) - usual)


_CROSSES = (_age_days, _price_to_avg)
