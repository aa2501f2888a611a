"""Fits all candidate tables: neighbours of items, buyers, baskets, weights and trends."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import Offsets
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import TYPE_WEIGHTS, InteractionLog
from serve_app.domain.scoring.model_features import DAY_S, TREND_DAYS
from serve_app.fitting.data.labels import BOUGHT, Label
from serve_app.fitting.data.pairs import Pairs, latest_first, pairs_of
from serve_app.fitting.data.windows import chosen
from serve_app.fitting.tables.linear import LinearWeights, linear_weights
from serve_app.fitting.tables.neighbours import neighbours
from serve_app.fitting.tables.popularity_tables import orders_of, periods_of
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.tables.vectors import content_matrix, content_vectors, item_factors


def fit_tables(
    catalogue: Catalogue,
    log: InteractionLog,
    at: float,
    config: TablesConfig,
    label: Label = BOUGHT,
) -> CandidateTables:
    """
    Args:
        catalogue: its popularity, categories and ages give the orders.
        log: interactions that were known; users keep its numbers.
        at: epoch seconds, the moment of the tables.
        label: its interactions make buyers and baskets.
    """
    # Items that are gone would take positions that no source may offer.
    log = chosen(log, catalogue.listed[log.rows])
    n_rows, n_users = len(catalogue), len(log.user_ids)
    bought = pairs_of(chosen(log, label.counts(log)), TYPE_WEIGHTS)
    touched = pairs_of(log, TYPE_WEIGHTS)
    near = neighbours(touched, n_rows, n_users, config)
    content = content_matrix(catalogue)
    linear = linear_of(touched, n_rows, n_users, content, config)
    factors = item_factors(touched, n_rows, n_users, config.factors_dim, config.factors_shrinkage)
    periods = periods_of(log, n_rows, at, config.period_days, config.max_periods)
    return CandidateTables(
        source_weights=np.array(config.source_weights, np.float32),
        **orders_of(catalogue)._asdict(),
        neighbour_offsets=near.offsets,
        neighbour_rows=near.rows,
        neighbour_scores=near.scores,
        **baskets_of(bought, n_rows, n_users, at, config)._asdict(),
        linear_offsets=linear.offsets,
        linear_rows=linear.rows,
        linear_weights=linear.weights,
        trends=trends(touched, n_rows, at, config),
        recent_trends=recent_trends(touched, n_rows, at),
        factors_in=factors.taken,
        factors_out=factors.offered,
        content_vectors=content_vectors(content, config.content_dim),
        ending_types=label.ending_types,
        period_starts_at=periods.starts_at,
        period_counts=periods.counts,
        period_totals=periods.totals,
        period_users=periods.users,
    )


class Baskets(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``."""

    buyer_offsets: Offsets
    buyers: NDArray[np.int32]
    basket_offsets: Offsets
    basket_rows: Rows
    basket_weights: NDArray[np.float32]


def baskets_of(
    bought: Pairs, n_rows: int, n_users: int, at: float, config: TablesConfig
) -> Baskets:
    """The latest buyers of each item and the latest items of each user."""
    buyers, buyer_offsets = latest_first(
        bought.rows, bought.users, bought.at, n_rows, config.max_buyers_per_item
    )
    basket, basket_offsets = latest_first(
        bought.users, bought.rows, bought.at, n_users, config.max_items_per_user
    )
    return Baskets(
        buyer_offsets=buyer_offsets,
        buyers=bought.users[buyers],
        basket_offsets=basket_offsets,
        basket_rows=bought.rows[basket],
        basket_weights=decay(bought.at[basket], at, config.votes_half_life_days),
    )


def decay(
    happened_at: NDArray[np.float64], at: float, half_life_days: float
) -> NDArray[np.float32]:
    """Weights, float32: 1 at the moment ``at``, 1/2 at one half-life before it."""
    age_days = (at - happened_at) / DAY_S
    return np.exp2(-age_days / half_life_days).astype(np.float32)


def trends(pairs: Pairs, n_rows: int, at: float, config: TablesConfig) -> NDArray[np.float32]:
    """Recent share of an item's users, to a power, shape (n_rows,), float32, above 0."""
    shares = shares_lately(pairs, n_rows, at, config.trend_half_life_days)
    return (shares**config.trend_exponent).astype(np.float32)


def recent_trends(pairs: Pairs, n_rows: int, at: float) -> NDArray[np.float32]:
    """Recent share at each half-life of ``TREND_DAYS``, shape (n_rows, len(TREND_DAYS))."""
    shares = [shares_lately(pairs, n_rows, at, days) for days in TREND_DAYS]
    return np.column_stack(shares).astype(np.float32)


def shares_lately(
    pairs: Pairs, n_rows: int, at: float, half_life_days: float
) -> NDArray[np.float64]:
    """Share of an item's users who came lately, shape (n_rows,), float64, above 0."""
    weights = pairs.weights * decay(pairs.at, at, half_life_days)
    late = np.bincount(pairs.rows, weights, minlength=n_rows)
    ever = np.bincount(pairs.rows, pairs.weights, minlength=n_rows)
    # The prior keeps items without users above 0 and pulls items with few users towards it.
    return np.asarray((late + 0.01) / (ever + 1), np.float64)


def linear_of(
    pairs: Pairs, n_rows: int, n_users: int, content: csr_array, config: TablesConfig
) -> LinearWeights:
    return linear_weights(
        pairs,
        n_rows,
        n_users,
        content,
        config.content_weight,
        config.regularization,
        config.max_linear_items,
        config.max_linear_weights,
    )
